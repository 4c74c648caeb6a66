"""The server in a thread of somebody else's process, for tests."""

from __future__ import annotations

import socket
import threading

import uvicorn

from apixo_emulator.http.app import App
from apixo_emulator.http.counter import Counter
from apixo_emulator.http.direct import DirectProtocol
from apixo_emulator.http.run import bind, origin
from apixo_emulator.pictures import Gallery
from apixo_emulator.service import Emulator


class Embedded:
    """Serves one emulator on a free port of this machine; leaves signals to the process."""

    def __init__(self, emulator: Emulator, gallery: Gallery) -> None:
        self._socket: socket.socket = bind("127.0.0.1", 0)
        self._ready = threading.Event()
        config = uvicorn.Config(
            App(emulator, gallery),
            http=DirectProtocol.at(Counter(emulator)),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
        )
        self._server = _Server(config, self._ready)
        self._origin = origin(self._socket)

    def run(self) -> None:
        """Serve until `stop`; to be run in a thread of its own."""
        self._server.run(sockets=[self._socket])

    def ready(self, timeout_s: float) -> str:
        """Wait until calls are answered; give the origin.

        Raises:
            TimeoutError: It takes too long.
        """
        if not self._ready.wait(timeout_s):
            raise TimeoutError(f"the emulator did not start within {timeout_s:g} s")
        return self._origin

    def stop(self) -> None:
        """End it soon."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._ready.set()
