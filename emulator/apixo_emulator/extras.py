"""What to install when a library of an extra is missing."""

from __future__ import annotations


def what_to_install(error: ModuleNotFoundError, extra: str = "emulator") -> str:
    """Return which library is missing, which extra brings it, and the command that installs it."""
    return (
        f"{error.name}, which the extra `{extra}` brings: "
        f"pip install '.[{extra}]' in a checkout of the project"
    )
