"""The shared store: one PostgreSQL database for any number of processes on any machines.

Needs psycopg with its pool; nothing imports this module where the store is a file.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import BoundedSemaphore
from time import monotonic
from typing import Any, ClassVar, TypeVar

import orjson
from psycopg import (
    Connection,
    Error,
    InterfaceError,
    IsolationLevel,
    OperationalError,
    ProgrammingError,
)
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.admin_queries import Store
from apixo_emulator.storage.base import StoreError, StoreUnavailable
from apixo_emulator.storage.clock import DatabaseClock
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.rows import Row, Sql, WorldRow, askable

T = TypeVar("T")
# Connections of one process. Of these 4 are for polls, one is for submits, one for callbacks, and
# control calls and the background take at most 2 to read and 2 to write.
_CONNECTIONS = 10
_CONTROL_CONNECTIONS = 2
_STATEMENT_MS = 3_000
# Bytes of one statement that inserts rows.
_LONGEST_STATEMENT = 1_048_576
# A control call may go through all tasks.
_CONTROL_STATEMENT_MS = 30_000
# A transaction whose client has vanished must not keep an account locked.
_IDLE_IN_TRANSACTION_MS = 5_000
# For a server that says nothing at all; one that answers gives up a statement before.
_ANSWER_S = 4.0
_CONTROL_ANSWER_S = 31.0
_WAIT_INTERVAL_S = 0.1
_CONNECT_S = 2
_CHECKOUT_S = 2.0
# After a failed checkout calls fail at once, and leave it to the pool to find the database again.
_CHECKOUT_WHILE_DOWN_S = 0.1
# How long the pool itself goes on trying; afterwards each call makes it try anew. The pool doubles
# its waits, so a long time here would let it sleep through the database's return.
_RECONNECT_S = 1.0
_TIMEOUTS = (
    b"statement_timeout = %d" % _STATEMENT_MS,
    b"idle_in_transaction_session_timeout = %d" % _IDLE_IN_TRANSACTION_MS,
)
# Any number that no other program is likely to lock: "apixo" in ASCII.
_MIGRATION_LOCK = 0x61_70_69_78_6F
_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# The latest instant is kept, for the case that the database's clock is set back.
_KEEP = (
    "INSERT INTO settings VALUES ('clock_ms', ?::text) ON CONFLICT (name) DO UPDATE SET value"
    " = greatest(settings.value::bigint, excluded.value::bigint)::text RETURNING value::bigint"
)
_WORLD = ", ".join(f"mine.{column}" for column in rows.WORLD.split(", "))
# A world, and beside it a task of whichever world, in one round trip.
_LOOK = (
    f"SELECT {_WORLD}, {rows.TASK_WITHOUT_SOURCE} FROM worlds AS mine"
    f" LEFT JOIN ({rows.TASKS}) ON tasks.id=? WHERE mine.id=?"
)


class PostgresStore(Store):
    """A store in the PostgreSQL database at ``url``. See `Store` for the methods.

    Tables are made in the first schema of the connection's search path, and brought up to date;
    several processes may do so at once.

    While the database cannot be reached every method raises `StoreUnavailable` within seconds, and
    works again when it is back. What was acknowledged has been committed before. Time is that of the
    database, on all machines.

    Raises:
        StoreError: The URL cannot be read, the database cannot be reached or used, or its tables
            were made by a newer version. No message holds the password.
    """

    blocking: ClassVar = True
    readers: ClassVar = 4
    longest_submit_ms: ClassVar = 60_000

    def __init__(self, url: str) -> None:
        super().__init__()
        self._db = _Database(url)
        self._db.migrate()
        self._db.open()
        self.now = self._db.clock
        self._control = BoundedSemaphore(_CONTROL_CONNECTIONS)

    @contextmanager
    def _write(self) -> Iterator[Sql]:
        with self._db.transaction() as session:
            yield session

    @contextmanager
    def _read(self) -> Iterator[Sql]:
        with self._db.connection() as connection:
            yield _Session(connection)

    @contextmanager
    def _browse(self) -> Iterator[Sql]:
        with self._control, self._db.transaction(_CONTROL_ANSWER_S) as session:
            session.run(f"SET LOCAL statement_timeout = {_CONTROL_STATEMENT_MS}")
            # Parallel workers of a search would take the processors from API calls.
            session.run("SET LOCAL max_parallel_workers_per_gather = 0")
            yield session

    @contextmanager
    def _cleaning(self) -> Iterator[Sql]:
        with self._control, self._write() as session:
            # What a crash brings back is deleted again, so the disk need not be waited for.
            session.run("SET LOCAL synchronous_commit = off")
            # All other plans read every row of the epoch, also those that were deleted before.
            session.run("SET LOCAL enable_seqscan = off")
            session.run("SET LOCAL enable_bitmapscan = off")
            yield session

    def look(self, world_id: str, task_id: str = "") -> tuple[WorldRow | None, Task | None]:
        """Return a world and a task as they are now; see `TaskStore.look`."""
        with self._read() as sql:
            row = sql.one(_LOOK, askable(task_id), askable(world_id))
        if row is None:
            return None, None
        width = rows.WORLD.count(",") + 1
        task = rows.task_of(row[width:]) if row[width] is not None else None
        return rows.world_of(row[:width]), task

    def close(self) -> None:
        """Close the connections. What was accepted stays."""
        self._db.close()


class _BoundedConnection(Connection[Row]):
    """A connection that a silent server, or a network that swallows packets, cannot hold up."""

    answer_s = _ANSWER_S

    def wait(
        self, gen: PQGen[T], interval: float = _WAIT_INTERVAL_S, *args: Any, **options: Any
    ) -> T:
        """Run one exchange with the server; a late answer closes the connection."""
        steps = _bounded(gen, self.answer_s)
        try:
            return super().wait(steps, interval, *args, **options)
        except OperationalError:
            steps.close()
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def _bounded(steps: PQGen[T], answer_s: float) -> Generator[Any, Any, T]:
    """Run psycopg's steps, but not beyond the time within which the server has to answer."""
    deadline = monotonic() + answer_s
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() >= deadline:
                raise OperationalError(f"the server has not answered within {answer_s:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


class _Database:
    """A pool of connections in autocommit mode. Its methods raise `StoreUnavailable`.

    The pool is psycopg's. Added are: a bound on the time that an answer takes, no waiting while the
    database is known to be down, and a check of a connection that costs no round trip.

    A connection that leads through a pooler such as PgBouncer is recognised by its process: the one that
    answers is not the one that was announced. Then the next statement may go to another server, so
    nothing is prepared or set for longer than a transaction.
    """

    def __init__(self, url: str) -> None:
        self._where = _place_of(url)
        self._url = url
        self.clock = DatabaseClock()
        self._answers = True
        self._pooled = False
        self._pool = ConnectionPool(
            url,
            connection_class=_BoundedConnection,
            kwargs={"autocommit": True, "connect_timeout": _CONNECT_S},
            min_size=1,
            max_size=_CONNECTIONS,
            open=False,
            configure=self._configure,
            check=self._check,
            timeout=_CHECKOUT_S,
            reconnect_timeout=_RECONNECT_S,
        )

    def migrate(self) -> None:
        """Make or renew the tables, under a lock and all or nothing.

        Raises:
            StoreError: The database cannot be reached or used, or its tables are of a newer version.
        """
        try:
            # Not one of the pool's: renewing large tables takes longer than a call may.
            with Connection.connect(
                self._url, connect_timeout=_CONNECT_S, prepare_threshold=None
            ) as connection:
                _upgrade(connection, self._where)
        except Error as error:
            raise StoreError(
                f"cannot use {self._where} as the emulator's store: {_in_words(error)}. Expected a"
                " database that runs, accepts this user and password, and lets the user make tables"
                " of the emulator's own. Correct --store, or the database."
            ) from error

    def open(self) -> None:
        """Start the pool, with its first connection made and the clock measured."""
        with self._failures_in_words():
            self._pool.open(wait=True, timeout=_CHECKOUT_S + _CONNECT_S)
        with self.connection():
            pass

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _configure(self, connection: Connection[Row]) -> None:
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        prepared, connection.prepare_threshold = connection.prepare_threshold, None
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        self._pooled = row != (connection.info.backend_pid,)
        if not self._pooled:
            connection.prepare_threshold = prepared
            for setting in _TIMEOUTS:
                connection.execute(b"SET SESSION " + setting)

    def _check(self, connection: Connection[Row]) -> None:
        """Look whether the server has closed an idle connection, and then replace all idle ones."""
        # An idle server has nothing to say except that it ends: silence needs no question, which
        # would double the time of a poll.
        if hasattr(select, "poll"):  # not on Windows
            waiting = select.poll()
            waiting.register(connection, select.POLLIN)
            if not waiting.poll(0):
                return
        try:
            ConnectionPool.check_connection(connection)
        except OperationalError:
            self._pool.drain()
            raise

    @contextmanager
    def _failures_in_words(self) -> Iterator[None]:
        try:
            yield
        # A database that has failed over is read-only until the new primary is reached.
        except (OperationalError, InterfaceError, ReadOnlySqlTransaction) as error:
            raise StoreUnavailable(
                f"{self._where} does not answer: {_in_words(error)}. Check that it runs and can be"
                " reached from here; calls work again as soon as it does."
            ) from error
        except Error as error:
            raise StoreError(
                f"{self._where} refuses what the emulator asks for: {_in_words(error)}. Give the"
                " emulator tables of its own: another --store, or this one made empty."
            ) from error

    @contextmanager
    def connection(self) -> Iterator[_BoundedConnection]:
        """Take a connection from the pool; each statement is a transaction of its own."""
        with self._failures_in_words():
            connection = self._checked_out()
            try:
                if self.clock.stale():
                    ask = partial(rows.number, _Session(connection))
                    self.clock.measure(partial(ask, _CLOCK), partial(ask, _KEEP))
                yield connection
            finally:
                if connection.closed:
                    self._pool.drain()
                self._pool.putconn(connection)

    def _checked_out(self) -> _BoundedConnection:
        try:
            timeout_s = _CHECKOUT_S if self._answers else _CHECKOUT_WHILE_DOWN_S
            connection = self._pool.getconn(timeout_s)
        except OperationalError:
            self._answers = False
            raise
        self._answers = True
        return connection

    @contextmanager
    def transaction(self, answer_s: float = _ANSWER_S) -> Iterator[_Session]:
        """Commit what the block does, or roll it back if it raises.

        A commit whose answer is lost raises: whether it took effect is unknown then.
        """
        with self.connection() as connection:
            connection.answer_s = answer_s
            try:
                # Statements whose result is not asked for travel together with the next, or the
                # commit: others wait for this transaction's locks, not for its round trips.
                with connection.pipeline(), connection.transaction():
                    if self._pooled:
                        for setting in _TIMEOUTS:
                            connection.execute(b"SET LOCAL " + setting)
                    yield _Session(connection)
            finally:
                connection.answer_s = _ANSWER_S


class _Session:
    """Statements on one connection; see `Sql`. ``bytes`` in rows are UTF-8 text."""

    lock: ClassVar[str] = " FOR UPDATE"
    lock_free: ClassVar[str] = " FOR UPDATE SKIP LOCKED"
    row_id: ClassVar[str] = "ctid"

    def __init__(self, connection: Connection[Row]) -> None:
        self._connection = connection

    @staticmethod
    def stored(text: str) -> object:
        """Return bytes: PostgreSQL's TEXT cannot hold a NUL character."""
        return text.encode()

    def run(self, query: str, *values: object) -> None:
        self._connection.execute(_with_places(query), values)

    def insert(self, table: str, columns: str, values: Iterable[Row], conflict: str = "") -> None:
        # One statement for all rows: each statement costs the server and this process about as much
        # as ten rows.
        query = (
            f"INSERT INTO {table} ({columns}) SELECT {columns}"
            f" FROM json_populate_recordset(NULL::{table}, %s) {conflict}"
        ).encode()
        names = columns.split(", ")
        for lot in _lots(orjson.dumps(dict(zip(names, row, strict=True)), _hex) for row in values):
            self._connection.execute(query, (f"[{b','.join(lot).decode()}]",))

    def one(self, query: str, *values: object) -> Row | None:
        row = self._connection.execute(_with_places(query), values).fetchone()
        return None if row is None else _as_text(row)

    def all(self, query: str, *values: object) -> list[Row]:
        return self.later(query, *values)()

    def later(self, query: str, *values: object) -> Callable[[], list[Row]]:
        cursor = self._connection.execute(_with_places(query), values)
        return lambda: [_as_text(row) for row in cursor]


def _hex(value: bytes) -> str:
    """Return bytes as PostgreSQL reads them from text."""
    return f"\\x{value.hex()}"


def _lots(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Divide rows, so that no statement is much longer than its longest row."""
    lot: list[bytes] = []
    length = 0
    for document in documents:
        if lot and length + len(document) > _LONGEST_STATEMENT:
            yield lot
            lot, length = [], 0
        lot.append(document)
        length += len(document)
    if lot:
        yield lot


@lru_cache(maxsize=512)
def _with_places(query: str) -> bytes:
    return query.replace("%", "%%").replace("?", "%s").encode()


def _as_text(row: Row) -> Row:
    # What was cut within a character ends with a replacement; all else is valid UTF-8.
    return tuple(
        value.decode(errors="replace") if isinstance(value, bytes) else value for value in row
    )


def _place_of(url: str) -> str:
    """Name the database of a URL as it may be shown, without the password.

    Raises:
        StoreError: The URL cannot be read. The message does not quote it: it may hold a password.
    """
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        parts = {"host": "@"}
    host, port, name = (str(parts.get(part) or "") for part in ("host", "port", "dbname"))
    # A password with a bare @ or / ends up in the host, the port or the name.
    if "@" in host + name or re.search("[^0-9,]", port):
        raise StoreError(
            "cannot read the store's URL: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE,"
            " found something else (not shown: it may hold a password). Percent-encode special"
            " characters of the password: @ is %40, / is %2F, % is %25."
        )
    where = f"{host or 'its default host'}{':' + port if port else ''}"
    return f"PostgreSQL on {where}" + (f", database {name}" if name else "")


def _in_words(error: Error) -> str:
    """Return an error's text in one line, without the full stop."""
    return " ".join(str(error).split()).rstrip(".")


def _upgrade(connection: Connection[Any], where: str) -> None:
    known = scripts("postgres")
    # Another process may be making the tables; its turn is short, a lost one's must not block us.
    connection.execute("SET LOCAL lock_timeout = '30s'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
    # Asked for first: a user without the right to make tables may use those that are there.
    row = connection.execute("SELECT to_regclass('emulator_schema') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        connection.execute("CREATE TABLE emulator_schema (version BIGINT NOT NULL)")
        connection.execute("INSERT INTO emulator_schema VALUES (0)")
    version = rows.number(_Session(connection), "SELECT version FROM emulator_schema")
    if version > len(known):
        raise StoreError(
            f"{where} was written by a newer apixo-emulator (schema {version}, this one knows"
            f" {len(known)}). Upgrade apixo-emulator, or choose another --store."
        )
    for script in known[version:]:
        connection.execute(script.encode())
    connection.execute("UPDATE emulator_schema SET version = %s", (len(known),))
