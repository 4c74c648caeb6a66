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
_MOST_CURL_BODY = 2000
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
        """Return the request as a curl line; what curl cannot send is named in a comment."""
        words = ["curl", "-i", "-X", self.method, self.url]
        for name, value in (("Content-Type", self.content_type), *self.headers):
            words += ["-H", f"{name}: {value}"]
        if self.body:
            shown = self.body[:_MOST_CURL_BODY].decode("utf-8", errors="backslashreplace")
            words += ["--data-binary", shown]
        line = shlex.join(words)
        notes = []
        if len(self.body) > _MOST_CURL_BODY:
            notes.append(f"the body has {len(self.body)} bytes")
        if self.transmission is not Transmission.PLAIN:
            notes.append(f"sent {self.transmission.name.lower().replace('_', ' ')}")
        return f"{line}  # {', '.join(notes)}" if notes else line


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: a status with the seconds that it took, or the reason why none came."""

    status: int | None
    seconds: float
    problem: str = ""

    def __str__(self) -> str:
        if self.status is None:
            return self.problem or "the sender did not wait for the response"
        return f"status {self.status}"


async def send(delivery: Delivery) -> Response:
    """Send a delivery and return the receiver's response. Never raises for what the receiver does."""
    began = perf_counter()
    status, problem = None, ""
    try:
        async with asyncio.timeout(RESPONSE_S):
            status = await _exchange(delivery)
    except TimeoutError:
        problem = f"no response within {RESPONSE_S:g} s"
    except ConnectionRefusedError:
        problem = "the connection was refused"
    except (EOFError, ConnectionError):
        problem = "the connection was closed without a response"
    except (OSError, ValueError) as error:
        problem = str(error) or type(error).__name__
    return Response(status, perf_counter() - began, problem)


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the host and port of a URL.

    Raises:
        OSError: Nothing listens there, the TLS handshake fails, or it takes longer than 5 s.
    """
    url = urlsplit(address)
    context = ssl.create_default_context() if url.scheme == "https" else None
    async with asyncio.timeout(_CONNECT_S):
        return await asyncio.open_connection(
            url.hostname,
            url.port or (443 if context else 80),
            ssl=context,
            limit=_MOST_HEADER_BYTES,
        )


async def _exchange(delivery: Delivery) -> int | None:
    reader, writer = await connect(delivery.url)
    continued = asyncio.Event()
    writing = asyncio.create_task(_write(delivery, writer, continued))
    try:
        if delivery.transmission is Transmission.ABANDONED:
            await writing
            return None
        return await _status(reader, delivery.method, continued)
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
                for piece in _pieces(delivery.body, 7):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
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
    if delivery.method not in {"GET", "HEAD"}:
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
