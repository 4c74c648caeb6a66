"""Starting and stopping: bind, prepare, announce, serve."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from apixo_emulator.domain.control_names import CONTROL_PREFIX
from apixo_emulator.http.folder import DataFolder
from apixo_emulator.http.node import Place, run_node
from apixo_emulator.http.supervisor import StartError, supervise
from apixo_emulator.settings import DATA_FOLDER, Settings
from apixo_schemas import contract

_BACKLOG = 2048


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


def bind_path(path: Path) -> socket.socket:
    """Bind a listening Unix socket; a left-over one that nobody listens on is replaced.

    Raises:
        StartError: Somebody listens there, or the path cannot be used.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise StartError("--uds: this system has no Unix sockets; use --port")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_listened_on(path):
            path.unlink()
        sock.bind(str(path))
        path.chmod(0o600)  # whoever can open it can steer
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


def origin(sock: socket.socket) -> str:
    """Give the URL at which a caller on this machine reaches the socket."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return "http://localhost"
    host, port = sock.getsockname()[:2]
    dialled = str({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104 - only compared
    return f"http://[{dialled}]:{port}" if ":" in dialled else f"http://{dialled}:{port}"


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StartError: The port cannot be bound, or a worker process does not start.
        StoreError: The data folder or the store cannot be used.
    """
    where = None if settings.ephemeral else settings.data or DATA_FOLDER
    alone = settings.workers == 1
    with (
        closing(_bound(settings)) as sock,
        DataFolder(where, exclusive=settings.store is None) as folder,
        _Announcement(origin(sock), settings) as announcement,
    ):
        place = Place(folder.path, memory=folder.temporary and alone)
        if not place.memory:
            _prepare(settings, place)
        if alone:
            run_node(settings, place, sock, announcement.make)
        else:
            supervise(settings, place, sock, announcement.make)


def _bound(settings: Settings) -> socket.socket:
    if settings.uds is not None:
        return bind_path(settings.uds)
    return bind(settings.host, settings.port)


def _prepare(settings: Settings, place: Place) -> None:
    """Bring the store up to date before anybody uses it, and take over from processes that died."""
    store = place.open_store(settings)
    if settings.store is None:
        store.release_leases()  # the folder's lock says that nobody else holds one
    store.close()


class _Announcement:
    """Says where the API is while it is there."""

    def __init__(self, origin: str, settings: Settings) -> None:
        self._base_url = origin + contract().prefix
        self._ready_file = settings.ready_file
        self._uds = settings.uds
        on = f" on the Unix socket {settings.uds}" if settings.uds else ""
        self._lines = (
            f"apixo-emulator ready: {self._base_url}{on}",
            f"dashboard: {origin}{CONTROL_PREFIX}",
        )

    def make(self) -> None:
        """Put the URL into the ready file, then two lines on stdout: the API, the dashboard."""
        if self._ready_file is not None:
            part = self._ready_file.with_name(self._ready_file.name + ".part")
            part.write_text(self._base_url + "\n", "utf-8")
            part.replace(self._ready_file)
        with suppress(BrokenPipeError):  # nobody reads; that is no reason to stop
            sys.stdout.write("\n".join(self._lines) + "\n")
            sys.stdout.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for path in (self._ready_file, self._uds):
            if path is not None:
                path.unlink(missing_ok=True)
