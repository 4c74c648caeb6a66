"""Both protocols of the server, in process: bytes in, bytes out, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from support.harness import Harness, make_harness
from uvicorn.server import ServerState

from apixo_emulator.app import application
from apixo_emulator.http.fast import FastProtocol
from apixo_emulator.http.protocol import EnvelopeProtocol
from apixo_emulator.pictures import PictureStore
from apixo_emulator.runtime import Runtime

# Loop iterations in which every request that has arrived is answered.
SETTLING = 40


class MemorySocket:
    """As much of a socket as a protocol asks for."""

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 50_000)

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 8787)

    def setsockopt(self, *_option: object) -> None:
        """A connection in memory has none."""


class MemoryTransport(asyncio.Transport):
    """Keeps what a protocol writes; its client reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"socket": MemorySocket()})
        self.written = bytearray()
        self.closed = False
        self._protocol: Any = None

    def connect(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """Nothing arrives by itself."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


class ServerPath:
    """An emulator behind one of the two protocols; belongs to the running event loop."""

    def __init__(self, folder: Path, *, fast: bool, **options: Any) -> None:
        self.harness: Harness = make_harness(seed=7, **options)
        runtime = Runtime.around(self.harness.emulator, PictureStore(folder))
        config = uvicorn.Config(
            application(runtime),
            access_log=False,
            headers=[("keep-alive", "timeout=75")],
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            ws="none",
        )
        config.load()
        self.state = ServerState()
        self.state.default_headers = config.encoded_headers
        protocol: Any = EnvelopeProtocol
        if fast:
            protocol = partial(FastProtocol, batcher=runtime.batcher)
        self.protocol: Callable[[], Any] = partial(
            protocol, config=config, server_state=self.state, app_state={}
        )

    def connect(self) -> tuple[MemoryTransport, Callable[[bytes], None]]:
        """Open a connection; return its transport, and what takes the bytes of the client."""
        transport = MemoryTransport()
        protocol = self.protocol()
        transport.connect(protocol)

        def receive(data: bytes) -> None:
            if not transport.closed:
                protocol.data_received(data)

        return transport, receive


async def settle() -> None:
    """Let all requests that have arrived be answered."""
    for _ in range(SETTLING):
        await asyncio.sleep(0)


async def exchange(path: ServerPath, *pieces: bytes) -> tuple[bytes, bool]:
    """Send packets on a connection of its own; return the answer and whether the server closed it."""
    transport, receive = path.connect()
    for piece in pieces:
        receive(piece)
        await settle()
    answer, closed = bytes(transport.written), transport.closed
    transport.close()
    await settle()
    return answer, closed
