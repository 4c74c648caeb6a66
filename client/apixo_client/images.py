"""Pictures: local files as `data:` URLs (platform fact P14), and results to files."""

from __future__ import annotations

import errno
import os
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx

from apixo_client._responses import Body
from apixo_client.errors import ImageFileError, api_error
from apixo_schemas import contract

# An 8k picture has 256 MiB uncompressed.
_MAX_RESULT_BYTES = 1024 * 1024 * 1024
# From the first request of a download to the end of the result.
_RESULT_S = 3600.0
# A login page of a proxy, or an error of a service, that is sent with 200. Other types are legal.
_NO_PICTURE = re.compile(r"\s*(text/|application/(.+\+)?json\b)", re.IGNORECASE)


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


def _suffix_formats() -> dict[str, str]:
    """Return the documented format of each file suffix."""
    terms = contract()
    known = {name: name for name in terms.formats} | dict(terms.format_aliases)
    return {f".{suffix}": name for suffix, name in known.items()}


def suffixes(output_format: str) -> list[str]:
    """Return the file suffixes that fit a format; none if it is not documented."""
    known = _suffix_formats()
    wanted = known.get(f".{output_format}")
    return [suffix for suffix, name in known.items() if name == wanted]


def _data_url(path: Path) -> str:
    known = _suffix_formats()
    form = contract().formats.get(known.get(path.suffix.lower(), ""))
    if form is None:
        raise ImageFileError(
            f"{path.name!r} cannot be sent: a file that ends in {', '.join(known)} was "
            "expected. Convert or rename it, or pass an image URL."
        )
    return f"data:{form.media_type};base64,{b64encode(path.read_bytes()).decode('ascii')}"


def is_special(path: Path) -> bool:
    """True if there is a device, a pipe or a socket under this name."""
    return path.exists() and not (path.is_file() or path.is_dir())


class AtomicFile:
    """A file that appears under its name only when it is complete.

    It is written beside its target, because a rename is atomic only within one file system. A link
    is followed.

    Raises:
        OSError: The file cannot be made, or the target is a device, a pipe or a socket, which a
            rename would replace.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        self._name, self._target = Path(target), Path(os.path.realpath(target))
        if is_special(self._target):
            expected = "a new name or a regular file was expected"
            raise OSError(errno.EINVAL, expected, str(self._name))
        self._part = self._target.with_name(f".apixo-{os.urandom(8).hex()}.part")
        # `open` and not `tempfile`, so that the result gets the permissions of any new file.
        self._file = self._part.open("xb")
        self.write = self._file.write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Remove the file unless it was committed."""
        try:
            # It fails again where a write has failed, as on a full disk.
            self._file.close()
        finally:
            self._part.unlink(missing_ok=True)

    def commit(self) -> Path:
        """Write the file to disk, rename it to its target, and return that."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._target)
        return self._name


class ResultBody(Body):
    """The body of a picture, which must be complete and have content; redirects are not read."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__(write, most=_MAX_RESULT_BYTES, seconds=_RESULT_S)

    def begin(self, head: httpx.Response) -> bool:
        """See `Body.begin`.

        Raises:
            ApiError: The file server answered with an error.
        """
        if head.next_request is not None:
            return False
        if not head.is_success:
            raise api_error(head, missing="result_not_found")
        kind = head.headers.get("content-type", "")
        # Only 200 says that the body is the whole file; no part was asked for.
        if head.status_code != httpx.codes.OK or _NO_PICTURE.match(kind):
            raise httpx.RemoteProtocolError(
                f"a picture was expected with status 200, the server sent {head.status_code} {kind}"
            )
        return super().begin(head)

    def end(self) -> int:
        """See `Body.end`."""
        size = super().end()
        if not size:
            raise httpx.RemoteProtocolError("the response is empty")
        return size
