"""`apixo-contract`, also as `python -m apixo_contract`."""

import sys
from importlib.util import find_spec

# What the extra brings, by the name under which it is imported.
_LIBRARIES = ("click", "hypothesis", "imagesize", "jinja2", "jsonschema", "markupsafe")
_FAULT = 70
_INTERRUPTED = 130


def missing_libraries() -> list[str]:
    """Return the libraries of the extra `contract` that are not installed."""
    return [name for name in _LIBRARIES if find_spec(name) is None]


def what_to_install(missing: list[str]) -> str:
    """Return what is missing, and how to install it, as one line."""
    return (
        f"apixo-contract needs {', '.join(missing)}, which the extra `contract` brings: "
        "pip install '.[contract]' in a checkout of the project"
    )


def main() -> None:
    """Run the command; without its extra, say what to install and exit with 70."""
    if missing := missing_libraries():
        sys.stderr.write(f"{what_to_install(missing)}\n")
        sys.exit(_FAULT)
    try:
        from apixo_contract.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("apixo-contract: interrupted\n")
        sys.exit(_INTERRUPTED)
    command(prog_name="apixo-contract")


if __name__ == "__main__":
    main()
