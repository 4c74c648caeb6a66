"""Pictures: local files as `data:` URLs (platform fact P14), and results to files."""

from __future__ import annotations

import os
import threading
from base64 import b64encode
from functools import cache
from pathlib import Path

from apixo_client.errors import ImageFileError
from apixo_client.models import terms


@cache
def _media_types() -> dict[str, str]:
    """Return the media type of each file suffix that a picture may have."""
    known = {name: form.media_type for name, form in terms().formats.items()}
    known |= {alias: known[name] for alias, name in terms().format_aliases.items()}
    return {f".{name}": media_type for name, media_type in known.items()}


def suffixes(output_format: str) -> list[str]:
    """Return the file suffixes that fit a format; none if it is not documented."""
    media_type = _media_types().get(f".{output_format}")
    return [suffix for suffix, found in _media_types().items() if found == media_type]


def image_url(image: str | os.PathLike[str]) -> str:
    """Return the URL of a picture: a URL as it is, a local file as a `data:` URL.

    Raises:
        ImageFileError: A text is no URL, or the file's suffix is that of no documented format.
        OSError: The file cannot be read.
        TypeError: It is neither a text nor a path.
    """
    if isinstance(image, os.PathLike):
        return _data_url(Path(image))
    if not isinstance(image, str):
        raise TypeError(f"image: a URL or a Path was expected, found {type(image).__name__}")
    # The service would accept it, charge for it, and let the task fail. No scheme has one letter;
    # drives of Windows have.
    if image.find(":") <= 1:
        raise ImageFileError(
            f"{image[:80]!r} is no URL: a URL such as https://example.com/input.jpg was expected. "
            "For a local file pass pathlib.Path(...)."
        )
    return image


def _data_url(path: Path) -> str:
    media_type = _media_types().get(path.suffix.lower())
    if media_type is None:
        raise ImageFileError(
            f"{path.name!r} cannot be sent: a file that ends in {', '.join(_media_types())} was "
            "expected. Convert or rename it, or pass an image URL."
        )
    return f"data:{media_type};base64,{b64encode(path.read_bytes()).decode('ascii')}"


class AtomicFile:
    """A file that appears under its name only when it is complete.

    It is written beside its target, because a rename is atomic only within one file system.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        self._target = Path(target)
        self._part = self._target.with_name(f".apixo-{os.urandom(8).hex()}.part")
        # `open` and not `tempfile`, so that the result gets the permissions of any new file.
        self._file = self._part.open("xb")
        self._done = False
        # A cancelled task may discard while a thread still commits.
        self._lock = threading.Lock()

    def write(self, content: bytes) -> None:
        """Append."""
        self._file.write(content)

    def commit(self) -> Path:
        """Write the file to disk, rename it to its target, and return that."""
        with self._lock:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._target)
            self._done = True
            return self._target

    def discard(self) -> None:
        """Remove the file unless it was committed."""
        with self._lock:
            if not self._done:
                self._file.close()
                self._part.unlink(missing_ok=True)
