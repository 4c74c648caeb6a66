"""Local pictures, inlined as `data:` URLs (platform fact P14)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from apixo_client._contract import media_types
from apixo_client._errors import ImageFileError

if TYPE_CHECKING:
    from pathlib import Path


def data_url(path: Path) -> str:
    """Read a picture and give it as a `data:` URL.

    Raises:
        ImageFileError: The file's suffix names none of the documented formats.
        OSError: The file cannot be read.
    """
    known = media_types()
    media_type = known.get(path.suffix.removeprefix(".").lower())
    if media_type is None:
        suffixes = ", ".join(f".{name}" for name in known)
        raise ImageFileError(
            f"{path.name!r} cannot be inlined: a file that ends in {suffixes} was expected. "
            "Convert or rename it, or pass an image URL."
        )
    return f"data:{media_type};base64,{b64encode(path.read_bytes()).decode('ascii')}"
