"""Results to files, whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from apixo_client._errors import DownloadError
from apixo_client._failures import api_error, transport_error
from apixo_client._requests import download_request

if TYPE_CHECKING:
    from apixo_client._errors import ApiError


class AtomicFile:
    """A file that gets its name only when it is complete.

    It is written beside its target, since only within one file system a rename is atomic.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        self._target = Path(target)
        self._part = self._target.with_name(f".apixo-{os.urandom(8).hex()}.part")
        # `open` and not `tempfile`, so that the result gets the permissions of any new file.
        self._file = self._part.open("xb")
        self._done = False
        self.size = 0
        # A cancelled task may discard while a thread still commits.
        self._lock = threading.Lock()

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._file.write(chunk)
        self.size += len(chunk)

    def commit(self) -> Path:
        """Put the file on disk, then in its place."""
        with self._lock:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._target)
            self._done = True
            return self._target

    def discard(self) -> None:
        """Leave nothing behind; after a commit there is nothing to do."""
        with self._lock:
            if not self._done:
                self._file.close()
                self._part.unlink(missing_ok=True)


def download(client: httpx.Client, url: str, path: str | os.PathLike[str]) -> Path:
    """Stream a result to a file."""
    request = _request(url)
    try:
        response = client.send(request, auth=None, stream=True, follow_redirects=True)
        try:
            if not response.is_success:
                response.read()
                raise _refused(response)
            return _store(response, path)
        finally:
            response.close()
    except httpx.RequestError as error:
        raise transport_error(error, request, DownloadError) from error


def _store(response: httpx.Response, path: str | os.PathLike[str]) -> Path:
    file = AtomicFile(path)
    try:
        for chunk in response.iter_bytes():
            file.write(chunk)
        _check_length(response, file.size)
        return file.commit()
    finally:
        file.discard()


async def adownload(client: httpx.AsyncClient, url: str, path: str | os.PathLike[str]) -> Path:
    """Stream a result to a file."""
    request = _request(url)
    try:
        response = await client.send(request, auth=None, stream=True, follow_redirects=True)
        try:
            if not response.is_success:
                await response.aread()
                raise _refused(response)
            return await _astore(response, path)
        finally:
            await response.aclose()
    except httpx.RequestError as error:
        raise transport_error(error, request, DownloadError) from error


async def _astore(response: httpx.Response, path: str | os.PathLike[str]) -> Path:
    from anyio import to_thread

    file = AtomicFile(path)
    try:
        async for chunk in response.aiter_bytes():
            # Into the system's cache, which takes microseconds.
            file.write(chunk)
        _check_length(response, file.size)
        # To the disk, which may take long.
        return await to_thread.run_sync(file.commit)
    finally:
        file.discard()


def _request(url: str) -> httpx.Request:
    try:
        return download_request(url)
    except httpx.InvalidURL as error:
        raise DownloadError(f"The service gave {url!r} as the result's URL: {error}") from error


def _refused(response: httpx.Response) -> ApiError:
    return api_error(response, missing="result_not_found")


def _check_length(response: httpx.Response, written: int) -> None:
    expected = response.headers.get("Content-Length", "")
    # What came over the wire may be encoded; a response made in memory, as by a transport for
    # tests, has no wire.
    got = response.num_bytes_downloaded or written
    if expected.isdecimal() and int(expected) != got:
        raise DownloadError(
            f"The result came short: {got} of {expected} bytes from {response.request.url.host}. "
            "Download it again.",
            request=response.request,
            status=response.status_code,
        )
