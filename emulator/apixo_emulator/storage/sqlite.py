"""The embedded store: one SQLite file in WAL mode, or memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.admin_queries import Store
from apixo_emulator.storage.base import StoreError, StoreUnavailable
from apixo_emulator.storage.clock import SystemClock
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.rows import Row, Sql, WorldRow, askable

# Another process may hold the write lock for the length of one small transaction.
_BUSY_TIMEOUT_S = 5.0
# Pages that are given back at once: some ms.
_SHRUNK_PAGES = 500
# Tasks that are kept in memory, about 1 KiB each.
_MOST_TASKS = 4096
_INCREMENTAL = 2
_LOOK_TASK = f"SELECT {rows.TASK_WITHOUT_SOURCE} FROM {rows.TASKS} WHERE tasks.id=?"
_LOOK_WORLD = f"SELECT {rows.WORLD} FROM worlds WHERE id=?"


class Durability(StrEnum):
    """What an acknowledged submit survives."""

    # The death of the process: the system still has what was written.
    PROCESS = "process"
    # A loss of power: every commit waits for the disk.
    POWER = "power"


_SYNCHRONOUS = {Durability.PROCESS: "NORMAL", Durability.POWER: "FULL"}
# The tables of a store in memory, once one was made.
_empty: list[bytes] = []


class _Session:
    """The statements of one connection; see `Sql`."""

    lock: ClassVar[str] = ""
    lock_free: ClassVar[str] = ""
    row_id: ClassVar[str] = "rowid"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @staticmethod
    def stored(text: str) -> object:
        return text

    def run(self, query: str, *values: object) -> None:
        self._db.execute(query, values)

    def insert(self, table: str, columns: str, values: Iterable[Row], conflict: str = "") -> None:
        places = rows.places(columns.count(",") + 1)
        query = f"INSERT INTO {table} ({columns}) VALUES ({places}) {conflict}"
        self._db.executemany(query, values)

    def one(self, query: str, *values: object) -> Row | None:
        found: Row | None = self._db.execute(query, values).fetchone()
        return found

    def all(self, query: str, *values: object) -> list[Row]:
        return self._db.execute(query, values).fetchall()

    def later(self, query: str, *values: object) -> Callable[[], list[Row]]:
        return self._db.execute(query, values).fetchall


class _Connection:
    """A connection that several threads use in turn."""

    def __init__(self, where: str) -> None:
        self.lock = threading.RLock()
        self.db = sqlite3.connect(
            where,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        self.session = _Session(self.db)
        self._version = 0

    def changed_elsewhere(self) -> bool:
        """Return whether another connection has written since the last call."""
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)


class SqliteStore(Store):
    """A store in one SQLite file; ``path`` None keeps everything in memory. See `Store`.

    One connection writes, another reads for API calls, a third for control calls. Readers never wait
    for a writer. A process that waits for the others' writes longer than 5 s raises
    `StoreUnavailable`. ``shared`` says that other processes write to the file, too.

    Raises:
        StoreError: The file cannot be opened, is no store, or was made by a newer version.
    """

    # A local file answers in microseconds; a thread for each call would cost more than it saves.
    blocking: ClassVar = False

    def __init__(
        self,
        path: Path | None,
        durability: Durability = Durability.PROCESS,
        *,
        shared: bool = False,
    ) -> None:
        super().__init__()
        self._where = str(path) if path else ":memory:"
        self._shared = shared
        # Worlds as a transaction finds them when it begins.
        self._worlds: dict[str, WorldRow] = {}
        # What was read for API calls: tasks, and worlds with it.
        self._tasks: dict[str, Task] = {}
        self._seen: dict[str, WorldRow] = {}
        self._open: list[_Connection] = []
        try:
            self._writer = self._connect()
            self._prepare(path, durability)
            self._reader = self._connect() if path else self._writer
            self._browser = self._connect() if path else self._writer
            self._clock = SystemClock(path.with_name("clock") if path else None)
        except BaseException as error:
            self._close_connections()
            advice = "Choose another folder with --data, or --ephemeral to keep nothing."
            if isinstance(error, OSError):
                folder = Path(self._where).parent
                raise StoreError(
                    f"cannot write to the data folder {folder}: {error.strerror}. {advice}"
                ) from error
            if isinstance(error, sqlite3.Error):
                words = f"cannot use {self._where} as the emulator's store: {error}. {advice}"
                raise StoreError(words) from error
            raise
        self.now = self._clock

    def _connect(self) -> _Connection:
        connection = _Connection(self._where)
        self._open.append(connection)
        return connection

    def _prepare(self, path: Path | None, durability: Durability) -> None:
        db = self._writer.db
        if path is None and _empty:
            # Tests open one each: copying the tables takes 50 us, making them more than a ms.
            db.deserialize(_empty[0])
            return
        db.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")  # of a file that has no tables yet
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
        self._migrate()
        if path is None:
            _empty[:] = [db.serialize()]

    def _migrate(self) -> None:
        known = scripts("sqlite")
        db = self._writer.db
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == len(known):
            return
        with self._write():
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version > len(known):
                raise StoreError(
                    f"{self._where} was written by a newer apixo-emulator (schema {version}, this "
                    f"one knows {len(known)}). Upgrade apixo-emulator, or choose another --data."
                )
            for script in known[version:]:
                for statement in _statements(script):
                    db.execute(statement)
            # PRAGMA takes no parameters; the number is this program's own.
            db.execute(f"PRAGMA user_version={len(known)}")
        (vacuum,) = db.execute("PRAGMA auto_vacuum").fetchone()
        if version and vacuum != _INCREMENTAL:
            db.execute("VACUUM")  # an older file becomes one that can shrink

    @contextmanager
    def _write(self) -> Iterator[Sql]:
        connection = self._writer
        with connection.lock, self._in_words():
            connection.db.execute("BEGIN IMMEDIATE")
            try:
                if self._shared and connection.changed_elsewhere():
                    self._worlds.clear()
                yield connection.session
                connection.db.execute("COMMIT")
            except BaseException:
                # A COMMIT can fail too (a full disk), and some failures have rolled back already.
                if connection.db.in_transaction:
                    connection.db.execute("ROLLBACK")
                raise

    @contextmanager
    def _read(self) -> Iterator[Sql]:
        with self._reader.lock, self._in_words():
            yield self._reader.session

    @contextmanager
    def _browse(self) -> Iterator[Sql]:
        with self._browser.lock, self._in_words():
            yield self._browser.session

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise StoreUnavailable(
                    f"{self._where} was locked by another process for {_BUSY_TIMEOUT_S:g} s; calls"
                    " work again as soon as that process goes on or ends."
                ) from error
            raise StoreError(f"cannot use {self._where}: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"cannot use {self._where}: {error}") from error

    def _exact_worlds(self) -> MutableMapping[str, WorldRow]:
        return self._worlds

    def _forget(self) -> None:
        with self._writer.lock:
            self._worlds.clear()
        with self._reader.lock:
            self._tasks.clear()
            self._seen.clear()

    def look(self, world_id: str, task_id: str = "") -> tuple[WorldRow | None, Task | None]:
        """Return a world and a task as they are now; see `TaskStore.look`."""
        world, task = self._seen.get(world_id), self._tasks.get(task_id)
        if world is not None and (task is not None or not task_id) and not self._shared:
            return world, task
        with self._reader.lock, self._in_words():
            if self._shared and self._reader.changed_elsewhere():
                self._tasks.clear()
                self._seen.clear()
            world = self._seen.get(world_id)
            if world is None:
                row = self._reader.session.one(_LOOK_WORLD, askable(world_id))
                if row is not None:
                    world = self._seen[world_id] = rows.world_of(row)
            return world, self._task(task_id) if task_id else None

    def _task(self, task_id: str) -> Task | None:
        task = self._tasks.get(task_id)
        if task is None:
            row = self._reader.session.one(_LOOK_TASK, askable(task_id))
            if row is not None:
                if len(self._tasks) >= _MOST_TASKS:
                    self._tasks.clear()  # rare, and cheaper than an order of use at every call
                task = self._tasks[task_id] = rows.task_of(row)
        return task

    def release_leases(self) -> None:
        """End all leases: those of an earlier run of the only process."""
        with self._write() as sql:
            sql.run("UPDATE deliveries SET lease_until_ms=0 WHERE state='delivering'")

    def _shrink(self) -> bool:
        with self._writer.lock, self._in_words():
            db = self._writer.db
            (free,) = db.execute("PRAGMA freelist_count").fetchone()
            if not free:
                return False
            # Each step gives one page back, and only a script is run to its last step.
            db.executescript(f"PRAGMA incremental_vacuum({_SHRUNK_PAGES})")
        if free <= _SHRUNK_PAGES:
            # The file itself shrinks when the log is written to it: most of it beside other calls.
            with self._browse() as sql:
                sql.run("PRAGMA wal_checkpoint(PASSIVE)")
                sql.run("PRAGMA wal_checkpoint(TRUNCATE)")
        return True

    def close(self) -> None:
        """Release the file."""
        self._close_connections()
        self._clock.close()

    def _close_connections(self) -> None:
        for connection in self._open:
            with connection.lock:
                connection.db.close()
        self._open.clear()


def _statements(script: str) -> Iterator[str]:
    """Cut a script, since sqlite3 runs a whole one only outside a transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
