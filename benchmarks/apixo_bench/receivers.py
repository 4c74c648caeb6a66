"""Receivers of callbacks: one that answers at once, and many that never do.

Run: python -m apixo_bench.receivers

Receives, and prints lines of JSON: the URL first, then what has arrived.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from contextlib import suppress
from typing import Self, cast

# Between two lines about what has arrived.
_NEWS_S = 0.02


class _Answering(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are not registered as asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        lower = head.lower()
        if not found:
            return
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._read = body[length:]
        closing = b"connection: close" in lower
        last = b"Connection: close\r\n" if closing else b""
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + last + b"\r\n")
        if closing:
            self._transport.close()
        self._receiver.note()


class Receiver:
    """A receiver that answers 200 at once, and counts."""

    def __init__(self) -> None:
        self.arrived = 0
        self._first = self._last = 0.0

    @property
    def spent_s(self) -> float:
        """Seconds from the first callback to the last."""
        return self._last - self._first

    def note(self) -> None:
        """Count one more."""
        self._last = time.perf_counter()
        self._first = self._first or self._last
        self.arrived += 1

    async def serve(self) -> None:
        """Receive, and print, until cancelled."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Answering(self), "127.0.0.1", 0, backlog=2048)
        _say({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"})
        told = 0
        while True:
            await asyncio.sleep(_NEWS_S)
            if self.arrived != told:
                told = self.arrived
                _say({"arrived": self.arrived, "spent_s": self.spent_s})


def _say(news: dict[str, object]) -> None:
    print(json.dumps(news), flush=True)


class Apart:
    """A `Receiver` in a process of its own: in the caller's, polls would wait for it."""

    def __init__(self) -> None:
        self.arrived = 0
        self.spent_s = 0.0

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "apixo_bench.receivers")
        self._process = await create_subprocess_exec(*command, stdout=PIPE)
        self.url = str((await self._news())["url"])
        self._listening = asyncio.create_task(self._listen())
        return self

    async def _news(self) -> dict[str, object]:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        return cast("dict[str, object]", json.loads(await self._process.stdout.readline()))

    async def _listen(self) -> None:
        while True:
            news = await self._news()
            self.arrived, self.spent_s = (
                cast("int", news["arrived"]),
                cast("float", news["spent_s"]),
            )

    async def __aexit__(self, *exc_info: object) -> None:
        self._listening.cancel()
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()


class _Silent(asyncio.Protocol):
    def __init__(self, hanging: Hanging) -> None:
        self._hanging = hanging

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._hanging.note(transport)


class Hanging:
    """Receivers on ports of their own that take a connection and never say a word."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._held: list[asyncio.BaseTransport] = []
        self.all_reached = asyncio.Event()

    def note(self, transport: asyncio.BaseTransport) -> None:
        """Hold a connection."""
        self._held.append(transport)
        if len(self._held) == self._count:
            self.all_reached.set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._servers = [
            await loop.create_server(lambda: _Silent(self), "127.0.0.1", 0)
            for _ in range(self._count)
        ]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        self.urls = [f"http://127.0.0.1:{port}/" for port in ports]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for server in self._servers:
            server.close()
        for transport in self._held:
            transport.close()


if __name__ == "__main__":
    asyncio.run(Receiver().serve())
