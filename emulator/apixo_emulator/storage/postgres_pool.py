"""Connections to PostgreSQL: pooled, bounded in time, and replaced when the database comes back.

Needs psycopg; only `PostgresStore` imports this module, and only when one is made.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic
from typing import Any, ClassVar, TypeVar

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

from apixo_emulator.storage.base import StoreError, StoreUnavailable
from apixo_emulator.storage.clock import DatabaseClock
from apixo_emulator.storage.rows import Row

T = TypeVar("T")
_STATEMENT_MS = 3_000
# A transaction whose client has vanished must not keep an account locked.
_IDLE_IN_TRANSACTION_MS = 5_000
# For a server that says nothing at all; one that answers gives up a statement before.
_ANSWER_S = 4.0
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
_CLOCK = b"SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
# The latest instant is kept, for the case that the database's clock is set back.
_KEEP = (
    b"INSERT INTO settings VALUES ('clock_ms', %s::text) ON CONFLICT (name) DO UPDATE SET value"
    b" = greatest(settings.value::bigint, excluded.value::bigint)::text RETURNING value::bigint"
)


def place_of(url: str) -> str:
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


def in_words(error: Error) -> str:
    """Return an error's text in one line, without the full stop."""
    return " ".join(str(error).split()).rstrip(".")


class BoundedConnection(Connection[Row]):
    """A connection that a silent server, or a network that swallows packets, cannot hold up."""

    def wait(
        self, gen: PQGen[T], interval: float = _WAIT_INTERVAL_S, *args: Any, **options: Any
    ) -> T:
        """Run one exchange with the server; a late answer closes the connection."""
        steps = _bounded(gen)
        try:
            return super().wait(steps, interval, *args, **options)
        except OperationalError:
            steps.close()
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def _bounded(steps: PQGen[T]) -> Generator[Any, Any, T]:
    """Run psycopg's steps, but not beyond the time within which the server has to answer."""
    deadline = monotonic() + _ANSWER_S
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() >= deadline:
                raise OperationalError(f"the server has not answered within {_ANSWER_S:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


class Database:
    """A pool of connections in autocommit mode. Its methods raise `StoreUnavailable`.

    Where one connection has died the idle ones most likely have too. They are replaced all at once
    then, so that callers do not find that out one after the other.

    A connection that leads through a pooler such as PgBouncer is told by its process: the one that
    answers is not the one that was announced. Then the next statement may go to another server, so
    nothing is prepared or set for longer than a transaction.
    """

    def __init__(self, url: str, pool_size: int) -> None:
        self.where = place_of(url)
        self.clock = DatabaseClock()
        self._answers = True
        self._pooled = False
        self._pool = ConnectionPool(
            url,
            connection_class=BoundedConnection,
            kwargs={"autocommit": True, "connect_timeout": _CONNECT_S},
            min_size=1,
            max_size=pool_size,
            open=False,
            configure=self._configure,
            check=self._check,
            timeout=_CHECKOUT_S,
            reconnect_timeout=_RECONNECT_S,
        )
        self._url = url

    def connect(self) -> Connection[Row]:
        """Return a connection beside the pool, not bounded in its statements; the caller closes it.

        Raises:
            OperationalError: The database refuses, or does not answer in time.
        """
        return Connection.connect(self._url, connect_timeout=_CONNECT_S, prepare_threshold=None)

    def open(self) -> None:
        """Start the pool, with its first connection made and the clock measured."""
        with self._failures_in_words():
            self._pool.open(wait=True, timeout=_CHECKOUT_S + _CONNECT_S)
        with self._connection():
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
        # An idle server has nothing to say except that it ends: silence needs no question, which
        # would double the time of a poll.
        if _is_silent(connection):
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
                f"{self.where} does not answer: {in_words(error)}. Check that it runs and can be"
                " reached from here; calls work again as soon as it does."
            ) from error
        except Error as error:
            raise StoreError(
                f"{self.where} refuses what the emulator asks for: {in_words(error)}. Give the"
                " emulator tables of its own: another --store, or this one made empty."
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[BoundedConnection]:
        with self._failures_in_words():
            connection = self._checked_out()
            try:
                if self.clock.stale():
                    self.clock.measure(
                        lambda: _number(connection, _CLOCK),
                        lambda now_ms: _number(connection, _KEEP, now_ms),
                    )
                yield connection
            finally:
                if connection.closed:
                    self._pool.drain()
                self._pool.putconn(connection)

    def _checked_out(self) -> BoundedConnection:
        try:
            connection = self._pool.getconn(
                _CHECKOUT_S if self._answers else _CHECKOUT_WHILE_DOWN_S
            )
        except OperationalError:
            self._answers = False
            raise
        self._answers = True
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit what the block does, or roll it back if it raises.

        A commit whose answer is lost raises: whether it took effect is unknown then.
        """
        # Statements whose result is not asked for travel together with the next, or the commit:
        # others wait for this transaction's locks, not for its round trips.
        with (
            self._connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            if self._pooled:
                for setting in _TIMEOUTS:
                    connection.execute(b"SET LOCAL " + setting)
            yield Session(connection)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Let each statement of the block be a transaction of its own."""
        with self._connection() as connection:
            yield Session(connection)


def _number(connection: Connection[Row], query: bytes, *values: int) -> int:
    row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0


class Session:
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
        """Run a statement; in a transaction its failure may show only later, at the latest then."""
        self._connection.execute(_with_places(query), values)

    def many(self, query: str, rows: Iterable[Row]) -> None:
        """Run a statement for each row of values."""
        # executemany would wait for the rows that it has sent.
        with self._connection.cursor() as cursor:
            for row in rows:
                cursor.execute(_with_places(query), row)

    def one(self, query: str, *values: object) -> Row | None:
        """Run a statement and return its first row."""
        row = self._connection.execute(_with_places(query), values).fetchone()
        return None if row is None else _as_text(row)

    def all(self, query: str, *values: object) -> list[Row]:
        """Run a statement and return its rows."""
        return self.later(query, *values)()

    def later(self, query: str, *values: object) -> Callable[[], list[Row]]:
        """Run a statement and return what waits for its rows."""
        cursor = self._connection.execute(_with_places(query), values)
        return lambda: [_as_text(row) for row in cursor]


@lru_cache(maxsize=512)
def _with_places(query: str) -> bytes:
    return query.replace("%", "%%").replace("?", "%s").encode()


def _as_text(row: Row) -> Row:
    # What was cut within a character ends with a replacement; all else is valid UTF-8.
    return tuple(
        value.decode(errors="replace") if isinstance(value, bytes) else value for value in row
    )


def _is_silent(connection: Connection[Row]) -> bool:
    """Return whether nothing waits to be read; a connection whose server has gone has its end waiting."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)
