"""A socket without a network, for `http.client` and all that is made of it."""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Iterator
from functools import cache
from typing import Any

from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_emulator.testing.http1 import RequestReader, pieces
from apixo_emulator.testing.sites import Origin
from apixo_emulator.testing.traffic import find_at


class MemorySocket:
    """Takes requests, and gives the answers to whoever reads its file.

    Each request goes to the block that is open then. With none it is as if the server had closed.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._reader = RequestReader()
        self._coming: Iterator[bytes] = iter(())
        self._fault: WireFault | None = None
        self._closed = False

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0) -> None:
        """Take a piece of a request, and answer what is complete."""
        del flags
        door = find_at(self._origin)
        if door is None or self._closed or self._fault is WireFault.TRUNCATED:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        for raw in self._reader.feed(bytes(data)):
            request = door.site.request(raw.method, raw.target, raw.headers, raw.body)
            self._answer(door.answer(request), raw.method)

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0) -> int:
        """Take a piece of a request."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    def _answer(self, response: HttpResponse, method: str) -> None:
        self._fault = response.fault
        self._coming = pieces(response, method)

    def next_piece(self) -> bytes:
        """Give what comes next; nothing where the connection has ended.

        Raises:
            ConnectionResetError: It was reset.
        """
        if self._fault is WireFault.RESET:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return next(self._coming, b"")

    def makefile(self, *_args: Any, **_options: Any) -> io.BufferedReader:
        """Give the answers as a file."""
        return io.BufferedReader(_Incoming(self))

    def fileno(self) -> int:
        """Give a descriptor to be waited for: nothing ever comes, or the end has come."""
        if self._closed:
            return -1
        return _end() if find_at(self._origin) is None else _silence()

    def close(self) -> None:
        """Close it."""
        self._closed = True

    def shutdown(self, how: int) -> None:
        """Do nothing: nobody is at the other end."""

    def settimeout(self, value: float | None) -> None:
        """Do nothing: all is there at once."""

    def gettimeout(self) -> float | None:
        """Give no timeout."""
        return None

    def setsockopt(self, *_args: Any) -> None:
        """Do nothing."""


class _Incoming(io.RawIOBase):
    """What a socket receives, as a file."""

    def __init__(self, sock: MemorySocket) -> None:
        self._socket = sock
        self._left = b""

    def readable(self) -> bool:
        """Tell that it is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come."""
        self._left = self._left or self._socket.next_piece()
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


@cache
def _silence() -> int:
    """Make a pair of sockets of which nobody uses the other end, for the life of the process."""
    silent, other = socket.socketpair()
    other.detach()
    return silent.detach()


@cache
def _end() -> int:
    """Make a socket whose other end is closed, for the life of the process."""
    ended, other = socket.socketpair()
    other.close()
    return ended.detach()
