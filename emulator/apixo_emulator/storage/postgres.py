"""The shared store: one PostgreSQL database for any number of processes on any machines."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, ClassVar

from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.admin_queries import Store
from apixo_emulator.storage.base import StoreError
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.rows import Sql, WorldRow, askable

if TYPE_CHECKING:
    from psycopg import Connection

    from apixo_emulator.storage.postgres_pool import Database

# Connections of one process. Of these 4 are for polls, one is for submits, one for callbacks, and
# control calls and the background take at most 2 to read and 2 to write.
_CONNECTIONS = 10
_CONTROL_CONNECTIONS = 2
# Any number that no other program is likely to lock: "apixo" in ASCII.
_MIGRATION_LOCK = 0x61_70_69_78_6F
_WORLD = ", ".join(f"mine.{column}" for column in rows.WORLD.split(", "))
# A world, and beside it a task of whichever world, in one round trip.
_LOOK = (
    f"SELECT {_WORLD}, {rows.TASK_WITHOUT_SOURCE} FROM worlds AS mine"  # noqa: S608 - constants
    f" LEFT JOIN ({rows.TASKS}) ON tasks.id=? WHERE mine.id=?"
)


class PostgresStore(Store):
    """A store in the PostgreSQL database at ``url``. See `Store` for the methods.

    Tables are made in the first schema of the connection's search path, and brought up to date;
    several processes may do so at once. ``pool_size`` bounds the connections of this process.

    While the database cannot be reached every method raises `StoreUnavailable` within seconds, and
    works again when it is back. What was acknowledged has been committed before. Time is that of the
    database, on all machines.

    Raises:
        StoreError: psycopg is not installed, the URL cannot be read, the database cannot be reached
            or used, or its tables were made by a newer version. No message holds the password.
    """

    blocking: ClassVar = True
    readers: ClassVar = 4
    longest_submit_ms: ClassVar = 60_000

    def __init__(self, url: str, *, pool_size: int = _CONNECTIONS) -> None:
        super().__init__()
        self._db = _database(url, pool_size)
        _migrate(self._db)
        self._db.open()
        self.now = self._db.clock
        self._control = BoundedSemaphore(min(_CONTROL_CONNECTIONS, pool_size))

    @contextmanager
    def _write(self) -> Iterator[Sql]:
        with self._db.transaction() as session:
            yield session

    @contextmanager
    def _read(self) -> Iterator[Sql]:
        with self._db.session() as session:
            yield session

    @contextmanager
    def _browse(self) -> Iterator[Sql]:
        with self._control, self._db.session() as session:
            yield session

    def _exact_worlds(self) -> MutableMapping[str, WorldRow]:
        return {}

    def _forget(self) -> None:
        """Do nothing: each call asks anew."""

    def _shrink(self) -> bool:
        """Do nothing: PostgreSQL uses the space of deleted rows again by itself."""
        return False

    def look(self, world_id: str, task_id: str = "") -> tuple[WorldRow | None, Task | None]:
        """Return a world and a task as they are now; see `TaskStore.look`."""
        with self._db.session() as sql:
            row = sql.one(_LOOK, askable(task_id), world_id)
        if row is None:
            return None, None
        width = rows.WORLD.count(",") + 1
        task = rows.task_of(row[width:]) if row[width] is not None else None
        return rows.world_of(row[:width]), task

    def release_leases(self) -> None:
        """Do nothing: no process can know that it is alone here, so leases end by themselves."""

    def close(self) -> None:
        """Close the connections. What was accepted stays."""
        self._db.close()


def _database(url: str, pool_size: int) -> Database:
    try:
        from apixo_emulator.storage.postgres_pool import Database
    except ImportError as error:
        raise StoreError(
            f"a postgresql:// store needs psycopg 3 with its pool, but: {error}."
            " Install it with: pip install '.[postgres]' in a checkout of the project"
        ) from error
    return Database(url, pool_size)


def _migrate(database: Database) -> None:
    """Make or renew the tables, under a lock and all or nothing.

    Raises:
        StoreError: The database cannot be reached or used, or its tables are of a newer version.
    """
    from psycopg import Error

    from apixo_emulator.storage.postgres_pool import in_words

    try:
        with database.connect() as connection:
            _upgrade(connection, database.where)
    except Error as error:
        raise StoreError(
            f"cannot use {database.where} as the emulator's store: {in_words(error)}. Expected a"
            " database that runs, accepts this user and password, and lets the user make tables"
            " of the emulator's own. Correct --store, or the database."
        ) from error


def _upgrade(connection: Connection[Any], where: str) -> None:
    known = scripts("postgres")
    # Another process may be making the tables; its turn is short, a lost one's must not block us.
    connection.execute("SET LOCAL lock_timeout = '30s'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
    version = _version(connection)
    if version > len(known):
        raise StoreError(
            f"{where} was written by a newer apixo-emulator (schema {version}, this one knows"
            f" {len(known)}). Upgrade apixo-emulator, or choose another --store."
        )
    for script in known[version:]:
        connection.execute(script.encode())
    connection.execute("UPDATE emulator_schema SET version = %s", (len(known),))


def _version(connection: Connection[Any]) -> int:
    # Asked for first: a user without the right to make tables may use those that are there.
    row = connection.execute("SELECT to_regclass('emulator_schema') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        connection.execute("CREATE TABLE emulator_schema (version BIGINT NOT NULL)")
        connection.execute("INSERT INTO emulator_schema VALUES (0)")
    row = connection.execute("SELECT version FROM emulator_schema").fetchone()
    return int(row[0]) if row else 0
