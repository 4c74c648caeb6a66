"""Responses: their bodies within bounds, their envelopes, and the errors that they stand for."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx

from apixo_client.errors import InvalidResponseError, api_error, submit_advice
from apixo_client.models import integer, parse_json, text
from apixo_schemas import retry_after_s

# A documented response has a few hundred bytes.
MAX_RESPONSE_BYTES = 1024 * 1024
_PIECE_BYTES = 64 * 1024
# With 32 added, zlib recognises the formats of both gzip and deflate.
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32


class Body:
    """Decodes the body of a response, and bounds its size, its duration and the memory it takes.

    The client asks for unencoded bodies; a service that compresses all the same is understood.

    Args:
        write: Gets the decoded content in pieces.
        most: Bytes of content at most.
        seconds: From now to the end of the body.
    """

    def __init__(
        self, write: Callable[[bytes], object], *, most: int = MAX_RESPONSE_BYTES, seconds: float
    ) -> None:
        self._write, self._most, self._seconds = write, most, seconds
        # The real clock: the network does not follow the clock of a test.
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """The seconds until the body must have ended, at least 0."""
        return max(0.0, self._end - time.monotonic())

    def too_slow(self) -> httpx.ReadTimeout:
        """Return the error of a response that took longer."""
        return httpx.ReadTimeout(f"the response took longer than {self._seconds:g} s")

    def begin(self, head: httpx.Response) -> bool:
        """Prepare for the body behind this head; True if it is to be read.

        Raises:
            httpx.RequestError: The head announces a body that cannot be taken.
        """
        self._head, self._size = head, 0
        encoding = head.headers.get("Content-Encoding", "").strip().lower()
        # httpx has decoded what was in memory from the start, as with transports for tests.
        if encoding in {"", "identity"} or head.is_stream_consumed:
            self._inflate = None
        elif encoding in {"gzip", "x-gzip", "deflate"}:
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        else:
            raise httpx.DecodingError(f"the encoding {encoding!r} was not asked for")
        announced = head.headers.get("Content-Length", "")
        self._announced = int(announced[:20]) if announced.isdecimal() else None
        if (self._announced or 0) > self._most:
            raise self._too_long()
        return True

    def take(self, piece: bytes) -> None:
        """Decode a piece as it came from the network.

        Raises:
            httpx.RequestError: The body is too long, too slow, or cannot be decoded.
        """
        if not self.seconds_left:
            raise self.too_slow()
        if self._inflate is None:
            self._add(piece)
            return
        while piece:
            if self._inflate.eof:
                # A gzip stream may consist of several members.
                self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
            try:
                self._add(self._inflate.decompress(piece, _PIECE_BYTES))
            except zlib.error as error:
                raise httpx.DecodingError(
                    f"the response cannot be decompressed: {error}"
                ) from error
            piece = self._inflate.unconsumed_tail or self._inflate.unused_data

    def end(self) -> int:
        """Check that the body has ended where its headers and its encoding say; return its size.

        Raises:
            httpx.RequestError: It is cut off, or longer than announced.
        """
        downloaded = self._head.num_bytes_downloaded
        # A response made in memory has no wire to count on.
        got = downloaded or self._size
        if self._announced not in {None, got}:
            raise httpx.RemoteProtocolError(f"{got} of {self._announced} bytes arrived")
        if downloaded and self._inflate is not None and not self._inflate.eof:
            raise httpx.DecodingError("the compressed response is cut off")
        return self._size

    def _add(self, content: bytes) -> None:
        self._size += len(content)
        if self._size > self._most:
            raise self._too_long()
        self._write(content)

    def _too_long(self) -> httpx.ReadError:
        return httpx.ReadError(f"the response is longer than {self._most:,} bytes")


def read_data(response: httpx.Response, content: bytes, *, secret: str, now: float) -> Any:
    """Return the ``data`` of an envelope, None if it has none.

    An HTTP status from 400 decides over the envelope's ``code`` (platform fact P1 says that they
    agree); below 400, a ``code`` other than 200 is an error too. ``secret`` is masked in texts.

    Raises:
        ApiError: The service answered with an error.
        InvalidResponseError: The body is no envelope.
    """
    parsed = parse_json(content)
    envelope = parsed if isinstance(parsed, dict) else {}
    code = _code(envelope.get("code"))
    data = envelope.get("data")
    if response.is_success and code in {None, httpx.codes.OK}:
        if envelope:
            return data
        start = _masked(content[:80].decode("utf-8", "replace"), secret)
        raise unexpected(
            response,
            f"The service answered {response.status_code} with a body that is no JSON envelope; "
            f"check that {response.request.url.host} is the API. It begins: {start!r}",
        )
    # Older examples of the platform carry a detail (platform fact P2).
    detail = text(data.get("error")) if isinstance(data, dict) else None
    raise api_error(
        response,
        code=code,
        message=_masked(text(envelope.get("message")) or "", secret),
        detail=_masked(detail or "", secret),
        retry_after=retry_after_s(response.headers.get("Retry-After", ""), now),
    )


def _code(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch("[0-9]{3}", value):
        return int(value)
    return integer(value)


def _masked(message: str, secret: str) -> str:
    # A service may quote the key that it refuses. Only whole words: a key may be called "test".
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", message)


def unexpected(response: httpx.Response, what: str) -> InvalidResponseError:
    """Return the error of a 2xx response that is not as documented."""
    return InvalidResponseError(
        f"{what}. It is not as documented. {submit_advice(response.request)}".rstrip(),
        request=response.request,
        status=response.status_code,
        code=int(httpx.codes.OK),
    )
