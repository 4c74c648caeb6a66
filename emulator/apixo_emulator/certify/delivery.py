"""Deliveries to a receiver, byte by byte: what a network, an old proxy or an attacker can send.

An HTTP library sends correct requests only. Half of the cases need incorrect ones, so the request is written here.
"""

from __future__ import annotations

import asyncio
import shlex
import ssl
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from importlib.metadata import version
from time import perf_counter
from urllib.parse import urlsplit

# The live API waits so long for a response: platform fact P4.
RESPONSE_S = 30.0
_CONNECT_S = 5.0
_MOST_HEADER_BYTES = 64 * 1024
_MOST_BODY_BYTES = 64 * 1024
_CHUNK = 64 * 1024
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
        headers = [("Content-Type", self.content_type)] if self.has_body else []
        notes = []
        match self.transmission:
            case Transmission.CHUNKED:
                headers.append(("Transfer-Encoding", "chunked"))
            case Transmission.EXPECT_CONTINUE:
                headers.append(("Expect", "100-continue"))
            case Transmission.HTTP_1_0:
                options.append("--http1.0")
            case Transmission.BYTE_BY_BYTE:
                notes.append("the body is sent one byte at a time")
            case Transmission.TRUNCATED:
                notes.append("only half of the body is sent")
            case Transmission.ABANDONED:
                notes.append("the connection is closed before the response")
            case _:
                pass
        lines = [shlex.join(["curl", "--include", *options, self.url])]
        for name, value in (*headers, *self.headers):
            lines.append(shlex.join(["--header", f"{name}: {value}"]))
        shown = self.body
        if len(shown) > _MOST_CURL_BODY:
            shown = shown[:_CURL_BODY_START]
            notes.append(
                f"the body has {len(self.body)} bytes, of which the first {_CURL_BODY_START} are shown"
            )
        if self.has_body:
            text = shown.decode("utf-8", errors="backslashreplace")
            lines.append(shlex.join(["--data-binary", text]))
        return "\n".join([*(f"# {note}" for note in notes), " \\\n  ".join(lines)])

    @property
    def has_body(self) -> bool:
        """True if the request has a body, which may be empty."""
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


async def send(delivery: Delivery) -> Response:
    """Send a delivery and return the receiver's response. Never raises for what the receiver does."""
    began = connected = perf_counter()
    try:
        async with asyncio.timeout(RESPONSE_S):
            reader, writer = await _open(delivery.url)
            connected = perf_counter()
            status = await _exchange(delivery, reader, writer)
            return Response(status, perf_counter() - connected)
    except TimeoutError:
        what = "response" if connected > began else "connection"
        outcome = Response(None, RESPONSE_S, f"no {what} within {RESPONSE_S:g} s")
    except EOFError:
        outcome = _failed("the connection was closed without a response", closed=True)
    except ConnectionRefusedError:
        outcome = _failed("the connection was refused", lost=True)
    except ConnectionError:
        outcome = _failed("the connection was reset without a response", lost=True, closed=True)
    except (OSError, ValueError) as error:
        outcome = _failed(str(error) or type(error).__name__)
    return outcome


def _failed(problem: str, *, lost: bool = False, closed: bool = False) -> Response:
    return Response(None, 0.0, problem, lost, closed)


class _Reader(asyncio.StreamReader):
    """A reader that returns what came before the connection was reset, then raises.

    A server that responds before it has read everything, and closes, resets the connection.
    """

    reset: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        self.reset = exc
        self.feed_eof()


async def connect(address: str) -> asyncio.StreamWriter:
    """Connect to the host and port of a URL.

    Raises:
        OSError: Nothing listens there, the TLS handshake fails, or it takes longer than 5 s.
    """
    async with asyncio.timeout(_CONNECT_S):
        return (await _open(address))[1]


async def _open(address: str) -> tuple[_Reader, asyncio.StreamWriter]:
    url = urlsplit(address)
    context = ssl.create_default_context() if url.scheme == "https" else None
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
        if delivery.transmission is Transmission.ABANDONED:
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
        writer.write(_head(delivery))
        match delivery.transmission:
            case Transmission.CHUNKED:
                chunks = [b"%x\r\n%b\r\n" % (len(it), it) for it in _pieces(delivery.body, 7)]
                writer.write(b"".join([*chunks, b"0\r\n\r\n"]))
            case Transmission.BYTE_BY_BYTE:
                for piece in _pieces(delivery.body, 1):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
            case Transmission.EXPECT_CONTINUE:
                await writer.drain()
                # RFC 9110, 10.1.1: a sender does not wait for the interim response for ever.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_CONTINUE_S):
                        await continued.wait()
                writer.write(delivery.body)
            case Transmission.TRUNCATED:
                writer.write(delivery.body[: len(delivery.body) // 2])
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
            case _:
                for piece in _pieces(delivery.body, _CHUNK):
                    writer.write(piece)
                    await writer.drain()
        await writer.drain()


def _pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def _head(delivery: Delivery) -> bytes:
    url = urlsplit(delivery.url)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    protocol = "1.0" if delivery.transmission is Transmission.HTTP_1_0 else "1.1"
    lines = [
        f"{delivery.method} {target} HTTP/{protocol}",
        f"Host: {url.netloc.rpartition('@')[2]}",
        f"User-Agent: apixo-emulator/{version('apixo-emulator')}",
        "Accept: */*",
        "Connection: close",
    ]
    if delivery.has_body:
        lines.append(f"Content-Type: {delivery.content_type}")
        if delivery.transmission is Transmission.CHUNKED:
            lines.append("Transfer-Encoding: chunked")
        else:
            lines.append(f"Content-Length: {len(delivery.body)}")
    if delivery.transmission is Transmission.EXPECT_CONTINUE:
        lines.append("Expect: 100-continue")
    lines += [f"{name}: {value}" for name, value in delivery.headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


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
