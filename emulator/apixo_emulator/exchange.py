"""One HTTP request and its response on a connection to another host, and the errors of outbound calls.

Headers, interim responses and body of a response are bounded.

The protocol is h11 on asyncio streams. httpcore accepts any number of interim responses, and a callback
takes 1.6 times the CPU time with it on these streams (3.5 times on its own).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

import h11

from apixo_emulator.domain.addresses import Target

MAX_HEAD_BYTES: Final = 64 * 1024
"""Bytes of a response's headers."""
MAX_INTERIM: Final = 16
"""Interim responses (status 1xx) before the response itself."""
_MAX_WORDS: Final = 300
_READ_BYTES: Final = 16 * 1024
# Pieces of a body that are parsed in a row. A chunk may hold one byte, so that many arrive at once: other
# connections are served in between.
_MOST_PIECES: Final = 64
# Bytes of a response that is no HTTP; its message shows them.
_MOST_SHOWN: Final = 40


class OutboundError(Exception):
    """An outbound call without a usable response; the message says why, without passwords."""


class OutboundRefused(OutboundError):
    """The URL, or an address that its name resolves to, must not be called."""


class OutboundUnreachable(OutboundError):
    """There is no connection: the name does not resolve, or no address accepts it."""


class OutboundUntrusted(OutboundUnreachable):
    """There is no TLS connection: the certificate does not verify, or the handshake fails."""


class OutboundBroken(OutboundError):
    """The server accepted the connection and sent no complete HTTP response."""


class OutboundTooLarge(OutboundError):
    """The body is longer than allowed."""


class OutboundStopped(Exception):
    """The client was closed while a thread waited for a response."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whatever its status.

    Attributes:
        status: the HTTP status, never an interim one.
        headers: by lower-case name; of a repeated one the first value counts, but content
            encodings are joined, since each has to be undone.
        body: as received, without transfer encoding; content encodings are kept.
        duration_ms: from the begin of the last hop to the end of the body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    duration_ms: float


class Request(NamedTuple):
    """A request, and what is read of its response."""

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes
    # Bytes of the response's body; a longer one is cut off (`cut`) or an error.
    max_body: int
    cut: bool


class Exchange:
    """Writes a request and reads its response, on a connection that is used for nothing else."""

    def __init__(self, reader: asyncio.StreamReader, request: Request) -> None:
        self._reader = reader
        self._request = request
        self._place = request.target.authority
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        # The bytes that may still come: head, body, and the framing of chunks.
        self._left = 2 * request.max_body + (MAX_INTERIM + 1) * MAX_HEAD_BYTES
        self._first_bytes = b""

    def written(self) -> bytes:
        """Return the bytes of the request."""
        request = self._request
        headers = {"Host": self._place, "Connection": "close", **request.headers}
        if request.method == "POST":
            headers["Content-Length"] = str(len(request.body))
        head = h11.Request(
            method=request.method, target=request.target.path, headers=list(headers.items())
        )
        parts = (head, h11.Data(data=request.body), h11.EndOfMessage())
        return b"".join(self._connection.send(part) or b"" for part in parts)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read status and headers of the response, after the interim responses."""
        for _ in range(MAX_INTERIM + 1):
            event = await self._next()
            if isinstance(event, h11.Response):
                headers: dict[str, str] = {}
                for raw_name, raw_value in event.headers:
                    name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
                    if name not in headers:
                        headers[name] = value
                    elif name == "content-encoding":
                        headers[name] += f", {value}"
                return event.status_code, headers
        raise OutboundBroken(f"{self._place} sent more than {MAX_INTERIM} interim responses")

    async def body(self, announced: str) -> bytes:
        """Read the body; ``announced`` is the response's Content-Length, if any."""
        limit, cut = self._request.max_body, self._request.cut
        if not cut and announced.isdecimal() and int(announced) > limit:
            raise OutboundTooLarge(f"the body has {announced} bytes, at most {limit} are allowed")
        body = bytearray()
        pieces = 0
        while len(body) <= limit:
            event = await self._next()
            if not isinstance(event, h11.Data):
                return bytes(body)
            body += event.data
            pieces += 1
            if pieces % _MOST_PIECES == 0:
                await asyncio.sleep(0)
        if not cut:
            raise OutboundTooLarge(f"the body is longer than the {limit} bytes allowed")
        return bytes(body[:limit])

    async def _next(self) -> object:
        """Return the next event of the response."""
        while True:
            try:
                event = self._connection.next_event()
            except h11.RemoteProtocolError as error:
                raise OutboundBroken(self._reason(error)) from error
            if event is not h11.NEED_DATA:
                return event
            data = await self._reader.read(_READ_BYTES)
            if not data and self._connection.their_state is h11.SEND_RESPONSE:
                raise OutboundBroken(self._reason(None))
            self._first_bytes = (self._first_bytes + data[:_MOST_SHOWN])[:_MOST_SHOWN]
            self._left -= len(data)
            if self._left < 0:
                raise OutboundTooLarge(f"{self._place} sent more framing than content")
            self._connection.receive_data(data)

    def _reason(self, error: h11.RemoteProtocolError | None) -> str:
        """Return why there is no response; without an error the connection was closed."""
        if self._first_bytes and not self._first_bytes.startswith(b"HTTP/1."):
            return f"{self._place} sent no HTTP/1.1 response but {self._first_bytes!r}"
        if error is None:
            return f"{self._place} closed the connection without a response"
        if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            return f"{self._place} sent more than {MAX_HEAD_BYTES // 1024} KiB of headers"
        if "_SWITCH_UPGRADE" in str(error):
            return f"{self._place} answered 101: it switched to a protocol that was not asked for"
        words = str(error).replace("bytearray(b", "(")
        return f"{self._place} broke the HTTP protocol: {words}"[:_MAX_WORDS]
