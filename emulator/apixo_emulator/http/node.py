"""One process of the server: a store, an emulator and uvicorn on a socket that is bound already."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from apixo_emulator.http.app import App
from apixo_emulator.http.counter import Counter
from apixo_emulator.http.direct import DirectProtocol
from apixo_emulator.http.door import Doorkeeper, last_callers, turn_newcomers_away
from apixo_emulator.http.logs import configure_logs
from apixo_emulator.http.precedence import go_first
from apixo_emulator.http.protocol import EnvelopeProtocol
from apixo_emulator.pictures import Gallery
from apixo_emulator.service import Emulator, Options, WorldOptions
from apixo_emulator.service.callbacks import Bounds
from apixo_emulator.service.clock import Now, steady_clock
from apixo_emulator.settings import Settings, use_profile_file
from apixo_emulator.storage import SqliteStore, Store, StoreError

# Time for answers under way; nothing in the API takes longer than drawing one picture.
_GRACE_S = 10
# Within this time whoever has begun to connect is connected.
_HANDSHAKE_S = 0.01
# Within this time a request that was on its way when the end began has come.
_LINGER_S = 0.5
_LOOK_S = 0.02
# When Python looks for garbage in cycles: after so many new containers among the newest, and after so
# many such looks among older ones. Neither calls nor callbacks leave any, and what such a look goes
# through is the journal: its own 700, 10, 10 cost a submit's p99 3 ms of 7.5 at 27,000 a second.
_COLLECTING = (20_000, 50, 10)
# Wanted open files and sockets; the usual soft limit, 1024, is for programs that use select().
_DESCRIPTORS = 8192


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node keeps things; with ``memory`` its store is there and the folder is for pictures."""

    folder: Path
    memory: bool

    def open_store(self, settings: Settings) -> Store:
        """Open the store that the settings name.

        Raises:
            StoreError: It cannot be used.
        """
        if settings.store is not None:
            from apixo_emulator.storage.postgres import PostgresStore

            return PostgresStore(settings.store)
        path = None if self.memory else self.folder / "state.sqlite3"
        return SqliteStore(path, settings.durability, shared=settings.workers > 1)

    def clock(self) -> Now:
        """Start the clock, not before the latest instant that was seen in the folder.

        Raises:
            StoreError: The folder cannot be written to.
        """
        try:
            return steady_clock(self.folder / "clock")
        except OSError as error:
            raise StoreError(
                f"cannot write to the data folder {self.folder}: {error.strerror}. "
                "Choose another with --data, or --ephemeral to keep nothing."
            ) from error


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], object],
        stopping: threading.Event,
        *,
        alone: bool,
    ) -> None:
        super().__init__(config)
        self._alone = alone
        self._announce = started
        self._stopping = stopping
        self._doorkeepers: list[Doorkeeper] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        shared = [] if self._alone or sys.platform == "win32" else sockets or []
        await super().startup([] if shared else sockets)
        if self.started:
            self._doorkeepers = [Doorkeeper(sock, self._protocol) for sock in shared]
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in, answer whoever is in, then end as the parent does.

        The parent alone would reset connections that wait to be accepted, or whose request is on
        its way.
        """
        self._stopping.set()
        headers = self.server_state.default_headers
        self.server_state.default_headers = [*headers, (b"connection", b"close")]
        loop = asyncio.get_running_loop()
        doors = [sock.dup() for sock in sockets or ()]
        if self._alone:  # workers share their sockets with those that stay
            for door in doors:
                turn_newcomers_away(door)
        for server in self.servers:
            server.close()
        for doorkeeper in self._doorkeepers:
            doorkeeper.stop()
        for sock in sockets or ():
            sock.close()
        await asyncio.sleep(_HANDSHAKE_S)  # meanwhile the loop lets go of them
        # Nothing comes between the last that is accepted and the door's closing.
        for late in [caller for door in doors for caller in last_callers(door)]:
            await loop.connect_accepted_socket(self._protocol, late)
        until = loop.time() + _LINGER_S
        while self.server_state.connections and loop.time() < until:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return made

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


def run_node(
    settings: Settings,
    place: Place,
    sock: socket.socket,
    started: Callable[[], object],
    *,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM, or ``until`` returns; ``started`` is called once calls are answered.

    Raises:
        StoreError: The store cannot be used.
    """
    configure_logs(settings.log_format, settings.log_level, quiet=settings.quiet)
    use_profile_file(settings.profile)  # a spawned process has not read it yet
    gallery = Gallery(place.folder / "pictures", images=settings.images, fetch=settings.fetch)
    store = place.open_store(settings)
    emulator = Emulator(store, gallery, _options(settings), place.clock())
    stopping = threading.Event()
    config = uvicorn.Config(
        App(
            emulator,
            gallery,
            callback_ca=settings.callback_ca,
            bounds=_bounds(),
            control_token=settings.control_token,
            stopping=stopping,
        ),
        # A store across a network must not be waited for in the event loop.
        http=EnvelopeProtocol if emulator.blocking else DirectProtocol.at(Counter(emulator)),
        log_level="error",  # what callers do wrong is answered; it is no news for the log
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="on",
        ws="none",
    )
    server = _Server(config, started, stopping, alone=until is None)
    if until is not None:
        threading.Thread(target=_stop_after, args=(until, server), daemon=True).start()
    go_first()
    gc.freeze()  # what is there now stays
    gc.set_threshold(*_COLLECTING)
    server.run(sockets=[sock])


def _bounds() -> Bounds:
    """Allow as many callbacks at once as leave half of the descriptors to callers and files."""
    try:
        import resource
    except ImportError:  # no POSIX
        return Bounds()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _DESCRIPTORS:
        soft = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Bounds(in_all=min(Bounds().in_all, soft // 2))


def _stop_after(until: Callable[[], object], server: uvicorn.Server) -> None:
    until()
    server.should_exit = True


def _options(settings: Settings) -> Options:
    return Options(
        latency=settings.latency,
        balance_micros=settings.balance,
        api_keys=frozenset(settings.api_key) or None,
        public_url=settings.public_url.rstrip("/") if settings.public_url else None,
        callbacks=settings.callback_options(),
        worlds=WorldOptions(
            seed=settings.seed,
            rate=settings.rate,
            per_key=settings.world_per_key,
            alone=settings.workers == 1 and settings.store is None,
            rules=settings.rules(),
            known_keys=frozenset((*settings.api_key, *settings.accounts)),
        ),
        accounts=settings.accounts,
    )
