"""One SQLite file in WAL mode, or memory: opening, transactions, and what processes share of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path

from apixo_emulator.storage import rows
from apixo_emulator.storage.base import StoreError
from apixo_emulator.storage.checkpoints import LONGEST_LOG_PAGES, Checkpoints
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.shared_number import SharedNumber
from apixo_emulator.storage.steering import Sql, Steering
from apixo_emulator.storage.turns import Turns

# Another process may hold the write lock for the length of one small transaction.
_BUSY_TIMEOUT_S = 10.0


class Durability(StrEnum):
    """What an acknowledged submit survives."""

    # The death of the process: the system still has what was written.
    PROCESS = "process"
    # A loss of power: every commit waits for the disk.
    POWER = "power"


_SYNCHRONOUS = {Durability.PROCESS: "NORMAL", Durability.POWER: "FULL"}


# The tables of a store in memory, once one was made.
_empty: list[bytes] = []


def _statements(script: str) -> Iterator[str]:
    """Cut a script, since sqlite3 runs a whole one only outside a transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class _Session:
    """The statements of one transaction, in the shape that `Steering` wants."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def run(self, query: str, *values: object) -> None:
        self._db.execute(query, values)

    def one(self, query: str, *values: object) -> rows.Row | None:
        found: rows.Row | None = self._db.execute(query, values).fetchone()
        return found

    def all(self, query: str, *values: object) -> list[rows.Row]:
        return self._db.execute(query, values).fetchall()


class SqliteFile(Steering):
    """The connection of a store; ``path`` None keeps everything in memory.

    ``shared`` says that other processes write to the file, too.

    Raises:
        StoreError: The file cannot be opened, is no store, or was made by a newer version.
    """

    def __init__(
        self,
        path: Path | None,
        durability: Durability = Durability.PROCESS,
        *,
        shared: bool = False,
    ) -> None:
        self._where = str(path) if path else ":memory:"
        self._in_memory = path is None
        # One connection for all threads: writes are short, and memory is bound to its connection.
        self._lock = threading.RLock()
        self._checkpoints = Checkpoints(path, self._paused) if path else None
        # The revision where other processes see it without a statement; each call of several looks.
        self._revision: SharedNumber | None = None
        self._revised_to: list[int] = []
        # With processes that share the file; SQLite's own lock stands behind it.
        self._turns: Turns | nullcontext[None] = nullcontext()
        try:
            self._db = sqlite3.connect(
                self._where,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            self._session = _Session(self._db)
            try:
                if path is not None and shared:
                    self._turns = Turns(path.with_name(f"{path.name}-turns"))
                self._prepare(durability)
                if path is not None:
                    self._revision = self._shared_revision(path)
            except BaseException:
                self._db.close()
                self._leave_turns()
                raise
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot use {self._where} as the emulator's store: {error}. "
                "Choose another folder with --data, or --ephemeral to keep nothing."
            ) from error

    def _prepare(self, durability: Durability) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
        self._db.execute(f"PRAGMA wal_autocheckpoint={LONGEST_LOG_PAGES}")
        if self._in_memory and _empty:
            # Tests open one each: copying the tables takes 50 us, making them more than a ms.
            self._db.deserialize(_empty[0])
            return
        self._migrate()
        if self._in_memory:
            _empty[:] = [self._db.serialize()]

    def _migrate(self) -> None:
        known = scripts("sqlite")
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(known):
                raise StoreError(
                    f"{self._where} was written by a newer apixo-emulator (schema {version}, this "
                    f"one knows {len(known)}). Upgrade apixo-emulator, or choose another --data."
                )
            for script in known[version:]:
                for statement in _statements(script):
                    self._db.execute(statement)
            # PRAGMA takes no parameters; the number is this program's own.
            self._db.execute(f"PRAGMA user_version={len(known)}")

    def _shared_revision(self, path: Path) -> SharedNumber:
        shared = SharedNumber(path.with_name(f"{path.name}-revision"))
        with self._transaction():  # nobody else revises meanwhile
            shared.write(self._counted("revision"))
        return shared

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._turns:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A COMMIT can fail too (a full disk), and some failures have rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            if self._checkpoints is not None:
                self._checkpoints.noted()

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Keep all that write waiting."""
        with self._lock, self._turns:
            yield

    @contextmanager
    def sql(self) -> Iterator[Sql]:
        """Open a transaction; see `Steering.sql`."""
        with self._lock:
            self._revised_to.clear()
            with self._transaction():
                yield self._session
            # Not before the commit: who sees it reads anew.
            if self._revised_to and self._revision is not None:
                self._revision.write(self._revised_to[-1])

    def _revised(self, sql: Sql) -> None:
        super()._revised(sql)
        self._revised_to.append(self._counted("revision"))

    def revision(self) -> int:
        """Read the revision; see `Steering.revision`."""
        return super().revision() if self._revision is None else self._revision.read()

    def _one(self, query: str, *values: object) -> rows.Row | None:
        with self._lock:
            found: rows.Row | None = self._db.execute(query, values).fetchone()
        return found

    def _all(self, query: str, *values: object) -> list[rows.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _counted(self, name: str) -> int:
        """Read a counter."""
        row = self._one("SELECT value FROM settings WHERE name=?", name)
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Release the file."""
        if self._checkpoints is not None:
            self._checkpoints.stop()
        with self._lock:
            self._db.close()
        if self._checkpoints is not None:
            self._checkpoints.let_go()
        self._leave_turns()

    def _leave_turns(self) -> None:
        if isinstance(self._turns, Turns):
            self._turns.close()
