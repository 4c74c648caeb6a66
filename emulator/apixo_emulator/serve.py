"""Start and stop a server: bind, open the data, announce, serve with uvicorn."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from apixo_emulator.app import application
from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.fast import FastProtocol
from apixo_emulator.logs import configure_logs
from apixo_emulator.pictures import PictureStore
from apixo_emulator.process import prepare_process
from apixo_emulator.runtime import DataFolder, Runtime, StartError, open_store
from apixo_emulator.service import Emulator
from apixo_emulator.settings import Settings
from apixo_emulator.storage import StoreError
from apixo_schemas import contract

_BACKLOG = 2048
# Time for responses under way when the server stops; the longest renders one picture.
_GRACE_S = 10
_CLOSE = (b"connection", b"close")
_FAILED = 2


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StartError: The port cannot be bound, or a worker process does not start.
        StoreError: The data folder or the store cannot be used.
    """
    configure_logs(settings.log_format, settings.log_level, quiet=settings.quiet)
    with closing(_bound(settings)) as sock, _announcing(origin(sock, settings), settings) as ready:
        if settings.workers == 1:
            run_server(Runtime(settings), sock, ready)
            return
        from apixo_emulator.supervisor import supervise

        folder = DataFolder(settings, exclusive=settings.store is None)
        try:
            _prepare(settings, folder.path)
            supervise(settings.workers, partial(_work, settings, folder.path, sock), ready)
        finally:
            folder.release()


def _prepare(settings: Settings, folder: Path) -> None:
    """Bring the store up to date before workers use it, and take over from processes that died."""
    with closing(open_store(settings, folder)) as store:
        if settings.store is None:
            store.release_leases()  # the folder's lock says that no other process holds one


def _work(settings: Settings, folder: Path, sock: socket.socket, tell: Any) -> None:
    """Serve in a worker process; see `supervisor.Work`."""
    configure_logs(settings.log_format, settings.log_level, quiet=settings.quiet)
    import multiprocessing

    # A worker must not outlive its parent, which alone holds the data folder's lock.
    parent = multiprocessing.parent_process()
    try:
        if sock.family != socket.AF_UNIX and hasattr(socket, "SO_REUSEPORT"):
            sock = reopened(sock.getsockname())
        runtime = Runtime(settings, folder)
        run_server(
            runtime, sock, lambda: tell.send(None), until=None if parent is None else parent.join
        )
    except (OSError, StartError, StoreError, ValueError) as error:
        tell.send(str(error))
        sys.exit(_FAILED)
    finally:
        logging.shutdown()  # a spawned process ends without it


# Sockets


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a bound socket, which listens unless it is ``shared``: then worker processes listen.

    Raises:
        StartError: The address is in use or not this machine's.
    """
    sock = _bound_to((host, port))
    if shared and hasattr(socket, "SO_REUSEPORT"):
        # Bound twice: with this option alone a second emulator would share the port unnoticed.
        address = sock.getsockname()
        sock.close()
        return reopened(address)
    sock.listen(_BACKLOG)
    return sock


def reopened(address: Any) -> socket.socket:
    """Return another socket that is bound to an address, which processes share by SO_REUSEPORT."""
    return _bound_to(address, share=True)


def _bound_to(address: Any, *, share: bool = False) -> socket.socket:
    host, port = address[:2]
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. {_advice(error)}"
        ) from error
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return sock


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "Stop what uses it, or choose another port with --port (0 takes a free one)."
        case errno.EACCES:
            return "Choose a port from 1024 with --port (0 takes a free one)."
    return (
        "Give --host an address or a name of this machine: 127.0.0.1 for this machine alone, 0.0.0.0"
        " for others too."
    )


def bind_path(path: Path) -> socket.socket:
    """Return a socket that listens on a path; a left-over one that nothing listens on is replaced.

    Raises:
        StartError: Another process listens there, or the path cannot be used.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise StartError("--uds: this system has no Unix sockets; use --port")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_listened_on(path):
            path.unlink()
        sock.bind(str(path))
        path.chmod(0o600)  # who can open it can control the emulator
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(
            f"cannot listen on {path}: {error.strerror or error}. Choose another path with --uds,"
            " or stop what uses it."
        ) from error
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return sock


def _is_listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _bound(settings: Settings) -> socket.socket:
    if settings.uds is not None:
        return bind_path(settings.uds)
    return bind(settings.host, settings.port, shared=settings.workers > 1)


def origin(sock: socket.socket, settings: Settings | None = None) -> str:
    """Return the URL at which a client on this machine reaches the socket."""
    scheme = "http" if settings is None or settings.tls_cert is None else "https"
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"{scheme}://localhost"
    host, port = sock.getsockname()[:2]
    dialled = str({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - only compared
    return f"{scheme}://[{dialled}]:{port}" if ":" in dialled else f"{scheme}://{dialled}:{port}"


@contextmanager
def _announcing(origin: str, settings: Settings) -> Iterator[Callable[[], None]]:
    """Return a function that says where the API is; the files that say so are removed at the end."""
    base_url = origin + contract().prefix
    on = f" on the Unix socket {settings.uds}" if settings.uds else ""
    lines = f"apixo-emulator ready: {base_url}{on}\ndashboard: {origin}{CONTROL_PREFIX}\n"
    file = settings.ready_file

    def announce() -> None:
        if file is not None:
            part = file.with_name(file.name + ".part")
            part.write_text(base_url + "\n", "utf-8")
            part.replace(file)
        with suppress(BrokenPipeError):  # nothing reads stdout; that is no reason to stop
            print(lines, end="", flush=True)  # noqa: T201 - unlike `write` it works with stdout closed

    try:
        yield announce
    finally:
        for path in (file, settings.uds):
            if path is not None:
                path.unlink(missing_ok=True)


# One server process


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is ready, ends event streams, and exits with 0."""

    def __init__(
        self, config: uvicorn.Config, runtime: Runtime, ready: Callable[[], object], *, worker: bool
    ) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._ready = ready
        # The terminal sends Ctrl-C to workers too; they stop when their parent does.
        self._signals = (signal.SIGTERM,) if worker else (signal.SIGINT, signal.SIGTERM)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        self.config.http_protocol_class = partial(  # type: ignore[assignment] # as far as uvicorn asks
            FastProtocol,
            batcher=self._runtime.batcher,
            header_timeout=self._runtime.settings.header_timeout,
        )
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests under way, then end; a second Ctrl-C does not wait for them."""
        self._runtime.stopping.set()
        state = self.server_state
        state.default_headers = [*state.default_headers, _CLOSE]
        await super().shutdown(sockets)
        if self.force_exit:  # the parent skips this
            await self.lifespan.shutdown()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal, and unlike the parent do not die of it afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in self._signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_server(
    runtime: Runtime,
    sock: socket.socket,
    ready: Callable[[], object],
    *,
    until: Callable[[], object] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT, or ``until`` returns; ``ready`` is called once requests are answered.

    Raises:
        StoreError: The store cannot be used.
    """
    _ = runtime.emulator  # opened first, so that what is wrong with the store is said in one line
    server = _server(runtime, ready, worker=until is not None)
    if until is not None:
        threading.Thread(target=_stop_after, args=(until, server), daemon=True).start()
    prepare_process()
    gc.freeze()  # what is there now stays
    server.run(sockets=[sock])


def _server(runtime: Runtime, ready: Callable[[], object], *, worker: bool) -> _Server:
    settings = runtime.settings
    idle_s = settings.idle_timeout_s()
    config = uvicorn.Config(
        application(runtime),
        log_config=None,
        log_level="error",  # a client's mistakes are answered; they are no news for the log
        access_log=False,
        server_header=False,
        proxy_headers=False,  # no header makes a client local
        headers=[("keep-alive", f"timeout={idle_s:.0f}")],
        timeout_keep_alive=idle_s,  # type: ignore[arg-type] # it may have a fraction
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        lifespan="on",
        ws="none",
    )
    return _Server(config, runtime, ready, worker=worker)


def _stop_after(until: Callable[[], object], server: uvicorn.Server) -> None:
    until()
    server.should_exit = True


class Embedded:
    """Serves one emulator on a free port of this machine, in a thread of another program."""

    def __init__(self, emulator: Emulator, pictures: PictureStore) -> None:
        self._socket = bind("127.0.0.1", 0)
        self._ready = threading.Event()
        runtime = Runtime.around(emulator, pictures)
        self._server = _server(runtime, self._ready.set, worker=False)

    def run(self, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        """Serve until `stop`; to be run in a thread of its own."""
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))

    def ready(self, timeout_s: float) -> str:
        """Wait until requests are answered; return the origin.

        Raises:
            TimeoutError: It takes too long.
        """
        if not self._ready.wait(timeout_s):
            raise TimeoutError(f"the emulator did not start within {timeout_s:g} s")
        return origin(self._socket)

    def stop(self) -> None:
        """Stop it soon."""
        self._server.should_exit = True
