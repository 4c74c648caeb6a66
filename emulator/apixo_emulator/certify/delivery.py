"""Deliveries to a receiver, byte by byte: what a network, an old proxy or an attacker can send.

An HTTP library sends correct requests only. Half of the cases need incorrect ones, so the request is written here.
"""

from __future__ import annotations

import asyncio
import shlex
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from apixo_emulator.outbound import no_connection, tls_context

# The live API waits so long for a response: platform fact P4.
RESPONSE_S = 30.0
_CONNECT_S = 5.0
_MOST_HEADER_BYTES = 64 * 1024
_MOST_BODY_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
# The API's bodies are shorter.
_MOST_CURL_BODY = 1000
_CURL_BODY_START = 100
_CONTINUE_S = 1.0


class Transmission(Enum):
    """How the request is written to the connection."""

    PLAIN = auto()
    CHUNKED = auto()
    BYTE_BY_BYTE = auto()
    EXPECT_CONTINUE = auto()
    HTTP_1_0 = auto()
    # The body ends before the announced length, then the connection is closed for writing.
    TRUNCATED = auto()
    # The connection is closed before the response is read, as after a timeout of the sender.
    ABANDONED = auto()


# What curl cannot do.
_NOTES = {
    Transmission.BYTE_BY_BYTE: "the body is sent one byte at a time",
    Transmission.TRUNCATED: "only half of the body is sent",
    Transmission.ABANDONED: "the connection is closed before the response",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to the receiver."""

    url: str
    body: bytes
    method: str = "POST"
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    transmission: Transmission = Transmission.PLAIN

    def as_curl(self) -> str:
        """Return the request as a curl command of several lines; what curl cannot send is named in a comment."""
        options = {"HEAD": ["--head"], "GET": []}.get(self.method, ["--request", self.method])
        if self.transmission is Transmission.HTTP_1_0:
            options = [*options, "--http1.0"]
        notes = [_NOTES[self.transmission]] if self.transmission in _NOTES else []
        lines = [shlex.join(["curl", "--include", *options, self.url])]
        lines += [shlex.join(["--header", f"{name}: {value}"]) for name, value in self._all_headers]
        shown = self.body
        if len(shown) > _MOST_CURL_BODY:
            shown = shown[:_CURL_BODY_START]
            notes.append(
                f"the body has {len(self.body)} bytes, of which the first {_CURL_BODY_START} are shown"
            )
        if self._has_body:
            text = shown.decode("utf-8", errors="backslashreplace")
            lines.append(shlex.join(["--data-binary", text]))
        return "\n".join([*(f"# {note}" for note in notes), " \\\n  ".join(lines)])

    def head(self) -> bytes:
        """Return the request line and the headers."""
        url = urlsplit(self.url)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        protocol = "1.0" if self.transmission is Transmission.HTTP_1_0 else "1.1"
        headers = [
            ("Host", url.netloc.rpartition("@")[2]),
            ("User-Agent", f"apixo-emulator/{version('apixo-emulator')}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
            *self._all_headers,
        ]
        if self._has_body and self.transmission is not Transmission.CHUNKED:
            headers.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {target} HTTP/{protocol}", *map(": ".join, headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def pieces(self) -> list[bytes]:
        """Return the body in the pieces that are written one after the other."""
        is_chunked = self.transmission is Transmission.CHUNKED
        is_slow = self.transmission is Transmission.BYTE_BY_BYTE
        size = 7 if is_chunked else 1 if is_slow else _PIECE_BYTES
        half = len(self.body) // 2 if self.transmission is Transmission.TRUNCATED else None
        body = self.body[:half]
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        if is_chunked:
            # At once: what is written after an early response may destroy that.
            chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b"")]
            return [b"".join(chunks)]
        return pieces

    @property
    def _all_headers(self) -> list[tuple[str, str]]:
        headers = [("Content-Type", self.content_type)] if self._has_body else []
        if self.transmission is Transmission.CHUNKED:
            headers.append(("Transfer-Encoding", "chunked"))
        if self.transmission is Transmission.EXPECT_CONTINUE:
            headers.append(("Expect", "100-continue"))
        return [*headers, *self.headers]

    @property
    def _has_body(self) -> bool:
        return self.method not in {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: a status, or the reason why none came.

    Attributes:
        seconds: From the connection to the response.
        lost: The connection could not be made, or was reset. The receiver may not have seen the request: the system
            does so, too, where more connections wait than the server has asked it to hold.
        closed: The receiver ended the connection without a response.
    """

    status: int | None
    seconds: float
    problem: str = ""
    lost: bool = False
    closed: bool = False

    def __str__(self) -> str:
        if self.status is None:
            return self.problem or "the sender did not wait for the response"
        return f"status {self.status}"


async def connection_error(url: str, ca: Path | None) -> OSError | None:
    """Return why there is no connection to the host and port of a URL within 5 s; None if there is one."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await _open(url, ca)
    except OSError as error:  # TimeoutError is one
        return error
    writer.close()
    return None


def in_words(url: str, error: OSError) -> str:
    """Return why there is no connection to a URL, in words."""
    if isinstance(error, TimeoutError):
        return f"no connection within {_CONNECT_S:g} s"
    return str(no_connection(urlsplit(url).netloc, error))


async def send(delivery: Delivery, ca: Path | None) -> Response:
    """Send a delivery and return the receiver's response. Never raises for what the receiver does."""
    began = connected = perf_counter()
    try:
        async with asyncio.timeout(RESPONSE_S):
            reader, writer = await _open(delivery.url, ca)
            connected = perf_counter()
            status = await _exchange(delivery, reader, writer)
            return Response(status, perf_counter() - connected)
    except TimeoutError:
        what = "response" if connected > began else "connection"
        return Response(None, RESPONSE_S, f"no {what} within {RESPONSE_S:g} s")
    except EOFError:
        return Response(None, 0.0, "the connection was closed without a response", closed=True)
    except ConnectionRefusedError:
        return Response(None, 0.0, "the connection was refused", lost=True)
    except ConnectionError:
        problem = "the connection was reset without a response"
        return Response(None, 0.0, problem, lost=True, closed=True)
    except (OSError, ValueError) as error:
        return Response(None, 0.0, str(error) or type(error).__name__)


class _Reader(asyncio.StreamReader):
    """A reader that returns what came before the connection was reset, then raises.

    A server that responds before it has read everything, and closes, resets the connection.
    """

    reset: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        self.reset = exc
        self.feed_eof()


async def _open(address: str, ca: Path | None) -> tuple[_Reader, asyncio.StreamWriter]:
    url = urlsplit(address)
    context = tls_context(ca) if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    loop = asyncio.get_running_loop()
    reader = _Reader(limit=_MOST_HEADER_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(
        lambda: protocol, url.hostname or "", port, ssl=context
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _exchange(
    delivery: Delivery, reader: _Reader, writer: asyncio.StreamWriter
) -> int | None:
    continued = asyncio.Event()
    writing = asyncio.create_task(_write(delivery, writer, continued))
    try:
        # TLS has no end of one direction: there the connection is closed.
        is_cut = delivery.transmission is Transmission.TRUNCATED and not writer.can_write_eof()
        if is_cut or delivery.transmission is Transmission.ABANDONED:
            await writing
            return None
        return await _status(reader, delivery.method, continued)
    except EOFError:
        if reader.reset is not None:
            raise reader.reset from None
        raise
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        writer.close()


async def _write(
    delivery: Delivery, writer: asyncio.StreamWriter, continued: asyncio.Event
) -> None:
    """Write the request. A receiver may respond, and close, before it has read everything."""
    with suppress(ConnectionError):
        writer.write(delivery.head())
        if delivery.transmission is Transmission.EXPECT_CONTINUE:
            # RFC 9110, 10.1.1: a sender does not wait for the interim response for ever.
            with suppress(TimeoutError):
                await asyncio.wait_for(continued.wait(), _CONTINUE_S)
        for piece in delivery.pieces():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if delivery.transmission is Transmission.TRUNCATED and writer.can_write_eof():
            writer.write_eof()
        await writer.drain()


async def _status(reader: asyncio.StreamReader, method: str, continued: asyncio.Event) -> int:
    """Return the status of the final response, once its body was read as far as it is bounded.

    Raises:
        EOFError: The connection was closed before.
        ValueError: It is no HTTP response, or its header is too large.
    """
    while True:
        try:
            head = await reader.readuntil(b"\n\r\n")
        except asyncio.LimitOverrunError:
            raise ValueError("the response's headers exceed 64 KiB") from None
        words = head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version and status
            raise ValueError("the response is not HTTP")
        status = int(words[1])
        if status >= 200 or status == 101:  # noqa: PLR2004 - interim responses precede the final one
            break
        continued.set()
    if method != "HEAD":
        await reader.read(_MOST_BODY_BYTES)
    return status
