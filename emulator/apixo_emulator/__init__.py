"""An emulator of APIXO's Image Upscaler that an application cannot tell from the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apixo_emulator.testing import intercept

__all__ = ["intercept"]


def __getattr__(name: str) -> Any:
    """Load `intercept` when it is first asked for: a server does without it."""
    if name == "intercept":
        from apixo_emulator.testing import intercept

        return intercept
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
