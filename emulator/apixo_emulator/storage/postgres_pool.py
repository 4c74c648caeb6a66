"""Connections to PostgreSQL: pooled, bounded in time, and replaced when the database comes back.

Needs psycopg; only `PostgresStore` imports this module, and only when one is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Error, InterfaceError, OperationalError, ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ReadOnlySqlTransaction
from psycopg_pool import ConnectionPool

from apixo_emulator.storage.base import StoreError, StoreUnavailable
from apixo_emulator.storage.postgres_connection import BoundedConnection, is_silent

Row = tuple[Any, ...]

# Less than what `BoundedConnection` waits: that is for a server that says nothing at all.
_STATEMENT_MS = 3_000
# A transaction whose client has vanished must not keep an account locked.
_IDLE_IN_TRANSACTION_MS = 5_000
_CONNECT_S = 2
_CHECKOUT_S = 2.0
# After a failed checkout calls fail at once, and leave it to the pool to find the database again.
_CHECKOUT_WHILE_DOWN_S = 0.1
# How long the pool itself goes on trying; afterwards each call makes it try anew. The pool doubles
# its waits, so a long time here would let it sleep through the database's return.
_RECONNECT_S = 1.0

_SESSION = (
    f"SET statement_timeout = {_STATEMENT_MS};"
    f" SET idle_in_transaction_session_timeout = {_IDLE_IN_TRANSACTION_MS};"
    " SET default_transaction_isolation = 'read committed'"
).encode()


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
    """Give an error's text in one line, without the full stop."""
    return " ".join(str(error).split()).rstrip(".")


class Database:
    """A pool of connections in autocommit mode. Its methods raise `StoreUnavailable`.

    Where one connection has died the idle ones most likely have too. They are replaced all at once
    then, so that callers do not find that out one after the other.
    """

    def __init__(self, url: str, pool_size: int) -> None:
        self.where = place_of(url)
        self._answers = True
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
        """Give a connection beside the pool, not bounded in its statements; the caller closes it.

        Raises:
            OperationalError: The database refuses, or does not answer in time.
        """
        return Connection.connect(self._url, connect_timeout=_CONNECT_S)

    def open(self) -> None:
        """Start the pool, with its first connection made."""
        with self._failures_in_words():
            self._pool.open(wait=True, timeout=_CHECKOUT_S + _CONNECT_S)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @staticmethod
    def _configure(connection: Connection[Row]) -> None:
        connection.execute(_SESSION)

    def _check(self, connection: Connection[Row]) -> None:
        # An idle server has nothing to say except that it ends: silence needs no question, which
        # would double the time of a poll.
        if is_silent(connection):
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
        # Statements whose result nobody waits for travel together with the next, or the commit:
        # others wait for this transaction's locks, not for its round trips.
        with (
            self._connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            yield Session(connection)

    def all(self, query: str, *values: object) -> list[Row]:
        """Run one statement, a transaction of its own, and give its rows."""
        with self._connection() as connection:
            return Session(connection).all(query, *values)

    def one(self, query: str, *values: object) -> Row | None:
        """Run one statement, a transaction of its own, and give its first row."""
        with self._connection() as connection:
            return Session(connection).one(query, *values)


class Session:
    """Statements on one connection. Placeholders are ``%s``; ``bytes`` in rows are UTF-8 text."""

    def __init__(self, connection: Connection[Row]) -> None:
        self._connection = connection

    def run(self, query: str, *values: object) -> None:
        """Run a statement; in a transaction its failure may show only later, at the latest then."""
        self._connection.execute(query.encode(), values)

    def one(self, query: str, *values: object) -> Row | None:
        """Run a statement and give its first row."""
        row = self._connection.execute(query.encode(), values).fetchone()
        return None if row is None else _as_text(row)

    def all(self, query: str, *values: object) -> list[Row]:
        """Run a statement and give its rows."""
        return [_as_text(row) for row in self._connection.execute(query.encode(), values)]


def _as_text(row: Row) -> Row:
    # What was cut within a character ends with a replacement; all else is valid UTF-8.
    return tuple(
        value.decode(errors="replace") if isinstance(value, bytes) else value for value in row
    )
