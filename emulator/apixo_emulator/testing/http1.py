"""HTTP/1.1 as bytes, for libraries that write requests and read answers themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_emulator.testing.libraries.base import wire_headers


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it was written."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class RequestReader:
    """Reads the requests of one connection, one after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[RawRequest] = []
        self.on_message_begin()

    def feed(self, data: bytes) -> list[RawRequest]:
        """Take a piece and give the requests that it completes, nearly always none or one.

        Raises:
            httptools.HttpParserError: It is no HTTP.
        """
        self._parser.feed_data(data)
        complete, self._complete = self._complete, []
        return complete

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    def on_url(self, piece: bytes) -> None:
        """Keep a piece of the target."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name, value))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._body.append(piece)

    def on_message_complete(self) -> None:
        """Keep the request."""
        self._complete.append(
            RawRequest(
                method=self._parser.get_method().decode(),
                target=self._target.decode("latin-1"),
                headers=tuple(self._headers),
                body=b"".join(self._body),
            )
        )


def written(response: HttpResponse, method: str) -> bytes:
    """Write an answer."""
    status = response.status
    lines = [b"HTTP/1.1 %d %b" % (status, _phrase(status))]
    lines += [b"%b: %b" % header for header in wire_headers(response)]
    body = b"" if method == "HEAD" else response.body
    return b"\r\n".join((*lines, b"", body))


def pieces(response: HttpResponse, method: str) -> Iterator[bytes]:
    """Write an answer as it comes in: whole, or a byte at a time."""
    data = written(response, method)
    if response.fault is WireFault.DRIP:
        return (data[at : at + 1] for at in range(len(data)))
    return iter((data,))


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:  # the probe's
        return b""
