"""aiohttp: connections are opened to memory; the library writes, parses and pools as always."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector, TCPConnector

from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_emulator.testing.http1 import RawRequest, RequestReader, pieces
from apixo_emulator.testing.libraries.base import PROBE_URL, Library, Patches
from apixo_emulator.testing.sites import Origin, origin_of
from apixo_emulator.testing.traffic import find_at, let_out


class Aiohttp(Library):
    """With whatever connector is made of aiohttp's own for TCP."""

    name = "aiohttp"
    module = "aiohttp"

    def __init__(self) -> None:
        super().__init__()
        self._patches = Patches()

    def attach(self) -> None:
        """Patch how connections are opened, and how they are asked for."""
        made, asked = TCPConnector._create_connection, BaseConnector.connect  # noqa: SLF001 - its seam for kinds of connections
        self._patches.put(TCPConnector, "_create_connection", _creating(made))
        self._patches.put(BaseConnector, "connect", _noting(asked))

    def detach(self) -> None:
        """Undo it."""
        self._patches.undo()

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield aiohttp.ClientSession, "_request"

    def probe(self) -> Iterator[int]:
        """Call in an event loop of its own."""
        with ThreadPoolExecutor(1) as pool:  # this thread may have a loop that runs
            yield pool.submit(asyncio.run, _probe()).result()


async def _probe() -> int:
    async with aiohttp.ClientSession() as session, session.get(PROBE_URL) as answer:
        return answer.status


def _noting(connect: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    async def connect_noted(self: Any, req: Any, *args: Any, **kwargs: Any) -> Any:
        # Here runs the caller's task; answers are made in tasks of their own.
        door = find_at(_origin(req))
        if door is not None:
            door.line.emulator.note_caller()
        _forget_others(self, req, in_memory=door is not None)
        return await connect(self, req, *args, **kwargs)

    return connect_noted


def _forget_others(connector: Any, req: Any, *, in_memory: bool) -> None:
    """Close the kept connections that lead elsewhere, such as to the network from before the block."""
    kept = connector._conns.get(req.connection_key, ())  # noqa: SLF001 - nothing public tells
    for protocol, _ in kept:
        if isinstance(protocol.transport, _Connection) is not in_memory:
            protocol.close()


def _creating(create: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    async def create_connection(self: Any, req: Any, *args: Any, **kwargs: Any) -> ResponseHandler:
        origin = _origin(req)
        if find_at(origin) is None:
            let_out(origin)
            made: ResponseHandler = await create(self, req, *args, **kwargs)
            return made
        loop = asyncio.get_running_loop()
        protocol = ResponseHandler(loop=loop)
        protocol.connection_made(_Connection(origin, protocol, loop))
        return protocol

    return create_connection


def _origin(req: Any) -> Origin:
    return origin_of(req.url.scheme, req.url.host or "", req.url.port)


class _Connection(asyncio.Transport):
    """A connection whose other end is the emulator: for each request that of the block open then."""

    def __init__(
        self, origin: Origin, protocol: ResponseHandler, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._origin = origin
        self._protocol = protocol
        self._loop = loop
        self._reader = RequestReader()
        self._answering: set[asyncio.Task[None]] = set()
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take a piece of a request, and answer what is complete."""
        for raw in self._reader.feed(bytes(data)):
            task = self._loop.create_task(self._answer(raw))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Take pieces of a request."""
        for data in list_of_data:
            self.write(data)

    async def _answer(self, raw: RawRequest) -> None:
        door = find_at(self._origin)
        if door is None:  # as if the server had closed
            self._end(None)
            return
        request = door.site.request(raw.method, raw.target, raw.headers, raw.body)
        try:
            response = await door.aanswer(request)
        except Exception as error:  # noqa: BLE001 - the caller waits, so it is the caller's
            self._protocol.set_exception(error)
            self._end(None)
            return
        await self._send(response, raw.method)

    async def _send(self, response: HttpResponse, method: str) -> None:
        if response.fault is WireFault.RESET:
            self._end(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
            return
        for piece in pieces(response, method):
            if self._ended:
                return
            self._protocol.data_received(piece)
            if response.fault is WireFault.DRIP:
                await asyncio.sleep(0)
        if response.fault is WireFault.TRUNCATED:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def close(self) -> None:
        """End it."""
        self._end(None)

    def abort(self) -> None:
        """End it."""
        self._end(None)

    def is_closing(self) -> bool:
        """Tell whether it has ended, as it has where no block is open."""
        return self._ended or find_at(self._origin) is None

    def pause_reading(self) -> None:
        """Do nothing: what comes is in memory already."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def is_reading(self) -> bool:
        """Tell that it reads."""
        return True

    def get_write_buffer_size(self) -> int:
        """Give 0: nothing waits to be sent."""
        return 0
