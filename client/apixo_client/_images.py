"""Local pictures, inlined as `data:` URLs (platform fact P14)."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from apixo_client._contract import media_types
from apixo_client._errors import ImageFileError

if TYPE_CHECKING:
    from pathlib import Path


def image_url(image: str | Path) -> str:
    """Give the URL of what is to be upscaled: a URL as it is, a file as a `data:` URL.

    Raises:
        ImageFileError: A text names no URL, or the file's suffix no documented format.
        OSError: The file cannot be read.
    """
    if not isinstance(image, str):
        return data_url(image)
    if ":" not in image:
        # The service would accept it, charge for it, and let the task fail.
        raise ImageFileError(
            f"{image[:80]!r} is no URL: a URL such as https://example.com/input.jpg was expected. "
            "For a local file pass pathlib.Path(...)."
        )
    return image


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
