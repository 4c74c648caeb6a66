"""Starting and stopping: bind, announce, serve, and end with 0 on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from apixo_emulator.pictures import Gallery
from apixo_emulator.server.app import App
from apixo_emulator.server.folder import DataFolder
from apixo_emulator.server.protocol import EnvelopeProtocol
from apixo_emulator.service import Emulator, Options
from apixo_emulator.service.clock import steady_clock
from apixo_emulator.settings import DATA_FOLDER, Settings
from apixo_schemas import contract

# Time for answers under way; nothing in the API takes longer than drawing one picture.
_GRACE_S = 10
_BACKLOG = 2048


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, and unlike the parent do not die of it afterwards: exit with 0."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening socket.

    Raises:
        StartError: The address is in use or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. "
            "Stop what uses it, or choose another port with --port (0 takes a free one)."
        ) from error
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return sock


def origin(sock: socket.socket) -> str:
    """Give the URL at which a caller on this machine reaches the socket."""
    host, port = sock.getsockname()[:2]
    dialled = str({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - only compared
    return f"http://[{dialled}]:{port}" if ":" in dialled else f"http://{dialled}:{port}"


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StartError: The port cannot be bound.
        StoreError: The data folder cannot be used.
    """
    sock = bind(settings.host, settings.port)
    try:
        folder = DataFolder(
            None if settings.ephemeral else settings.data or DATA_FOLDER, settings.durability
        )
        try:
            gallery = Gallery(folder.pictures, images=settings.images, fetch=settings.fetch)
            emulator = Emulator(folder.store, gallery, _options(settings), steady_clock())
            emulator.callbacks.take_over()  # the folder's lock says that nobody else holds a lease
            _run(App(emulator, gallery, settings.callback_ca), sock, settings.ready_file)
        finally:
            folder.close()
    finally:
        sock.close()


def _options(settings: Settings) -> Options:
    return Options(
        latency=settings.task_latency(),
        balance_micros=settings.balance_micros(),
        api_keys=frozenset(settings.api_key) or None,
        seed=settings.seed,
        public_url=settings.public_url.rstrip("/") if settings.public_url else None,
        callbacks=settings.callback_options(),
    )


def _run(app: App, sock: socket.socket, ready_file: Path | None) -> None:
    config = uvicorn.Config(
        app,
        http=EnvelopeProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="on",
        ws="none",
    )
    base_url = origin(sock) + contract().prefix
    server = _Server(config, lambda: announce(base_url, ready_file))
    try:
        server.run(sockets=[sock])
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def announce(base_url: str, ready_file: Path | None) -> None:
    """Say where the API is: the URL in the ready file, then one line on stdout."""
    if ready_file is not None:
        part = ready_file.with_name(ready_file.name + ".part")
        part.write_text(base_url + "\n", "utf-8")
        part.replace(ready_file)
    with suppress(BrokenPipeError):  # nobody reads; that is no reason to stop
        sys.stdout.write(f"apixo-emulator ready: {base_url}\n")
        sys.stdout.flush()
