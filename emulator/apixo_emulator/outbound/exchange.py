"""One request and its answer on a fresh connection: asyncio's transport, httptools' parser.

Not httpcore: its connection, anyio's and h11 cost 600 µs a callback on one core, this 150 µs; ten
thousand callbacks that are due at once have to leave within seconds while polls are answered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

import httptools

# Lower statuses are interim.
_FIRST_FINAL = 200
MAX_ATTEMPTS = 4
"""Addresses of one name that are tried; they share the time for connecting."""


class BrokenProtocol(Exception):
    """What came is no HTTP, or not all of it."""


@dataclass(slots=True)
class Received:
    """An answer as it came, its body cut at the limit."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)


async def connect(
    exchange: Exchange,
    addresses: Sequence[str],
    port: int,
    limit: float,
    *,
    tls: ssl.SSLContext | None,
    name: str,
) -> asyncio.Transport:
    """Connect to the first address that takes the connection; they share the time limit.

    Raises:
        TimeoutError: None did in time.
        OSError: None does.
    """
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    tried = addresses[:MAX_ATTEMPTS]
    for address in tried:
        try:
            async with asyncio.timeout(limit / len(tried)):
                transport, _ = await loop.create_connection(
                    lambda: exchange, address, port, ssl=tls, server_hostname=name if tls else None
                )
                return transport
        except OSError as error:  # TimeoutError is one
            failure = failure or error
    raise failure or OSError("no address")


class Exchange(asyncio.Protocol):
    """Reads one answer of at most ``limit`` bytes of body; `answer` is set when it is there."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parser = httptools.HttpResponseParser(self)
        self._received = Received()
        self._headers_came = False
        self._until_end = True  # the body has no length and ends with the connection
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Received] = loop.create_future()
        self.written: asyncio.Future[None] | None = None
        self._loop = loop

    def data_received(self, data: bytes) -> None:
        """Parse."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BrokenProtocol(str(error) or "no HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        """End a body without a length; anything else is cut short."""
        if exc is not None:
            self._fail(exc)
        elif self._headers_came and self._until_end:
            self._done()
        elif self._headers_came:
            self._fail(BrokenProtocol("Server disconnected before the end of its answer"))
        else:
            self._fail(BrokenProtocol("Server disconnected without sending a response."))
        if self.written is not None and not self.written.done():
            self.written.set_result(None)
        del self._parser  # they hold each other: garbage that Python would have to look for

    def pause_writing(self) -> None:
        """The receiver does not take as fast as we send."""
        self.written = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has taken."""
        if self.written is not None and not self.written.done():
            self.written.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        lower = name.decode("latin-1").lower()
        self._until_end &= lower not in ("content-length", "transfer-encoding")
        self._received.headers.append((lower, value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._received.status = self._parser.get_status_code()
        self._headers_came = self._received.status >= _FIRST_FINAL

    def on_body(self, body: bytes) -> None:
        """Keep a piece, up to the limit."""
        self._received.body += body
        if len(self._received.body) >= self._limit:
            self._done()

    def on_message_complete(self) -> None:
        """Answer, unless it was an interim one (1xx)."""
        if self._headers_came:
            self._done()
        else:
            self._received = Received()
            self._until_end = True

    def _done(self) -> None:
        if not self.answer.done():
            self.answer.set_result(self._received)

    def _fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # a caller that has gone need not look
