"""The shared store: one PostgreSQL database for any number of processes on any machines."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress, count
from typing import TYPE_CHECKING, ClassVar

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.deliveries import Attempt, Delivery, Outcome
from apixo_emulator.domain.seeds import SEED_BITS
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.base import Charge, Claim, Entry, Order, Store, StoreError
from apixo_emulator.storage.batches import paid
from apixo_emulator.storage.postgres_schema import migrate
from apixo_emulator.storage.steering import Sql

if TYPE_CHECKING:
    from apixo_emulator.storage.postgres_pool import Database, Session

# BYTEA columns: what callers and receivers wrote. PostgreSQL's TEXT cannot hold a NUL character.
_AS_BYTES = {"callback_url", "image_url", "url", "origin", "base_url", "excerpt", "error"}
# Leases run on the database's clock: it is the one clock that all machines share.
_CLOCK_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def _insert(table: str, columns: str) -> str:
    places = ",".join(["%s"] * rows.columns(columns))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants


def _stored(columns: str, row: rows.Row) -> rows.Row:
    """Give a row as its columns hold it; reading turns all bytes back into text."""
    return tuple(
        value.encode() if isinstance(value, str) and name in _AS_BYTES else value
        for name, value in zip(columns.split(", "), row, strict=True)
    )


def _asked(task_id: str) -> str:
    """Give a task id that a caller asks for; what cannot be an id is sent as one that is none."""
    return task_id if task_id.isascii() and "\0" not in task_id else ""


def _of(table: str, columns: str) -> str:
    return ", ".join(f"{table}.{name}" for name in columns.split(", "))


_INSERT_TASK = _insert("tasks", rows.TASK)
_INSERT_DELIVERY = _insert("deliveries", rows.DELIVERY)
_INSERT_ATTEMPT = _insert("attempts", rows.ATTEMPT)
_SELECT_LIGHT = f"SELECT {rows.TASK_WITHOUT_SOURCE} FROM tasks"  # noqa: S608 - constants
_SELECT_TASK = f"SELECT {rows.TASK} FROM tasks"  # noqa: S608 - constants
_SELECT_DELIVERY = f"SELECT {rows.DELIVERY} FROM deliveries"  # noqa: S608 - constants

# SKIP LOCKED: claims at the same time take different rows instead of waiting for each other.
# UPDATE … RETURNING promises no order, hence the SELECT around it.
_CLAIM = f"""
WITH due AS (
    SELECT number FROM deliveries
    WHERE state IN ('scheduled', 'delivering') AND world = %s AND due_ms <= %s AND origin <> ALL(%s::bytea[])
        AND (state = 'scheduled' OR (state = 'delivering' AND lease_until_ms <= {_CLOCK_MS}))
    ORDER BY due_ms, number LIMIT %s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries SET state = 'delivering', attempts = attempts + 1,
        lease_owner = %s, lease_until_ms = {_CLOCK_MS} + %s
    FROM due WHERE deliveries.number = due.number
    RETURNING deliveries.*
)
SELECT {_of("tasks", rows.TASK)}, {_of("claimed", rows.DELIVERY)}
FROM claimed JOIN tasks ON tasks.id = claimed.task_id ORDER BY claimed.due_ms, claimed.number
"""  # noqa: S608 - constants

_SETTLE = """
WITH ended AS (
    UPDATE tasks SET settled = TRUE, ends_ms = %s, fail_code = %s, fail_msg = %s
    WHERE id = %s AND NOT settled RETURNING id
)
UPDATE deliveries SET due_ms = %s FROM ended
WHERE task_id = ended.id AND state = 'scheduled' RETURNING number
"""

_REDELIVER = f"""
UPDATE deliveries SET state = 'scheduled', due_ms = %s, tries = 0, accepted = 0
WHERE task_id = %s AND state <> 'delivering' AND EXISTS (
    SELECT 1 FROM tasks WHERE id = task_id AND settled AND ends_ms <= %s
) RETURNING {rows.DELIVERY}
"""  # noqa: S608 - constants


class _Portable:
    """A session in the shape that `Steering` wants, with ``?`` for placeholders."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, query: str, *values: object) -> None:
        self._session.run(query.replace("?", "%s"), *values)

    def one(self, query: str, *values: object) -> rows.Row | None:
        return self._session.one(query.replace("?", "%s"), *values)

    def all(self, query: str, *values: object) -> list[rows.Row]:
        return self._session.all(query.replace("?", "%s"), *values)


def _charge(session: Session, account: Account, charge: Charge, count: int) -> bool:
    price = charge.price_micros * count
    found = session.one(
        "UPDATE accounts SET spent_micros = spent_micros + %s, accepted = accepted + %s"
        " WHERE id = %s AND granted_micros - spent_micros >= %s RETURNING accepted",
        price,
        count,
        account.id,
        price - charge.refunded_micros,
    )
    return found is not None


def _database(url: str, pool_size: int) -> Database:
    try:
        from apixo_emulator.storage.postgres_pool import Database
    except ImportError as error:
        raise StoreError(
            f"a postgresql:// store needs psycopg 3 with its pool, but: {error}."
            " Install it with: pip install 'apixo-emulator[postgres]'"
        ) from error
    return Database(url, pool_size)


class PostgresStore(Store):
    """A store in the PostgreSQL database at ``url``. See `Store` for the methods.

    Tables are made in the first schema of the connection's search path, and brought up to date;
    several processes may do so at once. ``pool_size`` bounds the connections of this process.

    While the database cannot be reached every method raises `StoreUnavailable` within seconds, and
    works again when it is back. What was acknowledged has been committed before.

    Raises:
        StoreError: psycopg is not installed, the URL cannot be read, the database cannot be reached
            or used, or its tables were made by a newer version. No message holds the password.
    """

    blocking: ClassVar = True

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._db = _database(url, pool_size)
        migrate(self._db)
        self._db.open()

    @contextmanager
    def sql(self) -> Iterator[Sql]:
        """Open a transaction; see `Steering.sql`."""
        with self._db.transaction() as session:
            yield _Portable(session)

    def as_stored(self, text: str) -> object:
        """Give text of a caller as the engine keeps it."""
        return text.encode()

    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed; see `Store.seed`. Of several first processes one wins."""
        if proposed is None:
            value, kept = secrets.randbits(SEED_BITS), "settings.value"
        else:
            value, kept = proposed, "excluded.value"
        row = self._db.one(
            "INSERT INTO settings VALUES ('seed', %s)"  # noqa: S608 - constants
            f" ON CONFLICT (name) DO UPDATE SET value = {kept} RETURNING value",
            str(value),
        )
        return int(row[0]) if row else value

    def accept(self, orders: Sequence[Order]) -> list[Entry | None]:
        """Charge accounts and keep their next tasks with their deliveries; see `Store.accept`.

        Submits of one account wait for each other at its row, on all machines.
        """
        with self._db.transaction() as session:
            covered = paid(orders, partial(self._charged, session))
            return self._kept(session, orders, covered)

    def _charged(self, session: Session, account: Account, charge: Charge, count: int) -> bool:
        if _charge(session, account, charge, count):
            return True
        self.open_account(_Portable(session), account, charge.starting_micros)
        return _charge(session, account, charge, count)

    def _kept(
        self, session: Session, orders: Sequence[Order], covered: Sequence[bool]
    ) -> list[Entry | None]:
        """Keep the orders that are paid, numbered among those of their account and content."""
        sql = _Portable(session)
        wanted = Counter((order.account.id, order.content) for order in compress(orders, covered))
        numbers = {
            key: count(self.count_contents(sql, *key, wanted[key]) - wanted[key] + 1)
            for key in sorted(wanted)
        }
        return [
            self._keep(session, order.draft(next(numbers[order.account.id, order.content])))
            if pays
            else None
            for order, pays in zip(orders, covered, strict=True)
        ]

    @staticmethod
    def _keep(session: Session, entry: Entry) -> Entry:
        session.run(_INSERT_TASK, *_stored(rows.TASK, rows.row_of_task(entry.task)))
        if entry.delivery is not None:
            row = rows.row_of_delivery(entry.delivery)
            session.run(_INSERT_DELIVERY, *_stored(rows.DELIVERY, row))
        return entry

    def task(self, task_id: str, *, source: bool = True) -> Task | None:
        """Give a task; see `Store.task`."""
        columns = _SELECT_TASK if source else _SELECT_LIGHT
        row = self._db.one(f"{columns} WHERE id = %s", _asked(task_id))
        return rows.task_of(row) if row else None

    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""
        found = self._db.all(f"{_SELECT_TASK} WHERE NOT settled ORDER BY number")
        return [rows.task_of(row) for row in found]

    def settle(self, task: Task, due_ms: int | None) -> None:
        """Write a settled task's end and outcome, and make its delivery due; see `Store.settle`."""
        self._db.one(_SETTLE, task.ends_ms, task.fail_code, task.fail_msg, task.id, due_ms)

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left, in millionths of a USD."""
        row = self._db.one(
            "SELECT granted_micros - spent_micros FROM accounts WHERE id = %s", account.id
        )
        return int(row[0]) if row else starting_micros

    def claim_deliveries(self, world: str, now_ms: int, claim: Claim) -> list[Entry]:
        """Take deliveries that are due, or whose lease has ended; see `Store.claim_deliveries`.

        Leases are counted on the database's clock.
        """
        skipped = [origin.encode() for origin in claim.skip_origins]
        found = self._db.all(
            _CLAIM, world, now_ms, skipped, claim.limit, claim.owner, claim.lease_ms
        )
        width = rows.columns(rows.TASK)
        return [Entry(rows.task_of(row[:width]), rows.delivery_of(row[width:])) for row in found]

    def record_attempts(self, made: Sequence[tuple[Attempt, Outcome]], owner: str) -> list[bool]:
        """Keep attempts and what follows each; see `Store.record_attempts`."""
        with self._db.transaction() as session:
            return [_record(session, attempt, outcome, owner) for attempt, outcome in made]

    def next_due_ms(self, world: str, after_ms: int) -> int | None:
        """Give the first instant after this one at which a scheduled delivery is due."""
        row = self._db.one(
            "SELECT due_ms FROM deliveries WHERE state IN ('scheduled', 'delivering')"
            " AND state = 'scheduled' AND world = %s AND due_ms > %s ORDER BY due_ms LIMIT 1",
            world,
            after_ms,
        )
        return row[0] if row else None

    def release_leases(self) -> None:
        """Do nothing: no process can know that it is alone here, so leases end by themselves."""

    def redeliver(self, task_id: str, now_ms: int) -> Delivery | None:
        """Make a delivery that is not under way due now; see `Store.redeliver`."""
        row = self._db.one(_REDELIVER, now_ms, _asked(task_id), now_ms)
        return rows.delivery_of(row) if row else None

    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""
        row = self._db.one(f"{_SELECT_DELIVERY} WHERE task_id = %s", _asked(task_id))
        return rows.delivery_of(row) if row else None

    def deliveries(self, world: str, limit: int, offset: int = 0) -> list[Delivery]:
        """Give deliveries of a world, the newest first."""
        query = f"{_SELECT_DELIVERY} WHERE world = %s ORDER BY number DESC LIMIT %s OFFSET %s"
        return [rows.delivery_of(row) for row in self._db.all(query, world, limit, offset)]

    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the recorded attempts of a task's delivery, in their order."""
        query = f"SELECT {rows.ATTEMPT} FROM attempts WHERE task_id = %s ORDER BY number"  # noqa: S608 - constants
        return [rows.attempt_of(row) for row in self._db.all(query, _asked(task_id))]

    def close(self) -> None:
        """Close the connections. What was accepted stays."""
        self._db.close()


def _record(session: Session, attempt: Attempt, outcome: Outcome, owner: str) -> bool:
    kept = session.one(
        "UPDATE deliveries SET state = %s, due_ms = %s, accepted = %s, tries = tries + 1,"
        " lease_owner = NULL, lease_until_ms = NULL"
        " WHERE task_id = %s AND lease_owner = %s AND attempts = %s"
        " RETURNING number",
        outcome.state.value,
        outcome.due_ms,
        outcome.accepted,
        attempt.task_id,
        owner,
        attempt.number,
    )
    if kept is not None:
        session.run(_INSERT_ATTEMPT, *_stored(rows.ATTEMPT, rows.row_of_attempt(attempt)))
    return kept is not None
