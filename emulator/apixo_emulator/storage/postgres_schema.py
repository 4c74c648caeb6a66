"""The tables of a PostgreSQL store, brought up to date by whichever process comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apixo_emulator.storage.base import StoreError
from apixo_emulator.storage.migrations import scripts

if TYPE_CHECKING:
    from psycopg import Connection

    from apixo_emulator.storage.postgres_pool import Database

# Any number that no other program is likely to lock: "apixo" in ASCII.
_LOCK = 0x61_70_69_78_6F


def migrate(database: Database) -> None:
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
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
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
