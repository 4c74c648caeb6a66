"""An emulator of APIXO's Image Upscaler that an application cannot tell from the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apixo_emulator.app import create_app
    from apixo_emulator.testing import intercept

__all__ = ["create_app", "intercept"]


def __getattr__(name: str) -> Any:
    """Import `create_app` and `intercept` when they are first asked for: neither needs the other."""
    try:
        if name == "create_app":
            from apixo_emulator.app import create_app

            return create_app
        if name == "intercept":
            from apixo_emulator.testing import intercept

            return intercept
    except ModuleNotFoundError as error:
        from apixo_emulator.extras import what_to_install

        words = f"{__name__}.{name} needs {what_to_install(error)}"
        raise ModuleNotFoundError(words, name=error.name) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
