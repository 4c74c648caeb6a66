"""What a store promises to API calls and to the worker that makes callbacks.

`now` of a world and all decisions come from the caller; a store only keeps.
"""

from __future__ import annotations

import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.deliveries import Attempt, Delivery, Outcome
from apixo_emulator.domain.randomness import SEED_BITS
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.rows import Claim, Entry, Sql, WorldRow, askable
from apixo_emulator.storage.transaction import Transaction

_log = logging.getLogger("apixo_emulator")
# Accounts that are remembered to have a row.
_MOST_OPENED = 10_000
# The epoch of a world that is named by its id.
EPOCH = "(SELECT epoch FROM worlds WHERE id=?)"
_DUE = (
    # The first condition follows from the others; SQLite needs it to use the index.
    "SELECT number FROM deliveries WHERE state IN ('scheduled', 'delivering')"
    f" AND epoch={EPOCH} AND due_ms<=?"
    " AND (state='scheduled' OR (state='delivering' AND lease_until_ms<=?))"
)
_CLAIM = (
    "UPDATE deliveries SET state='delivering', attempts=attempts+1, lease_owner=?, lease_until_ms=?"
    " WHERE number IN "
)
_CLAIMED = (
    f"SELECT {rows.TASK}, {rows.DELIVERY} FROM {rows.DELIVERIES}"
    " JOIN tasks ON tasks.epoch=deliveries.epoch AND tasks.id=deliveries.task_id"
    " WHERE deliveries.number IN "
)
_NEXT_DUE = (
    "SELECT due_ms FROM deliveries WHERE state IN ('scheduled', 'delivering')"
    f" AND state='scheduled' AND epoch={EPOCH} AND due_ms>? ORDER BY due_ms LIMIT 1"
)
_NEXT_OF_WORLDS = (
    f"SELECT {rows.WORLD}, due FROM worlds JOIN (SELECT epoch AS due_in,"
    " min(CASE WHEN state='scheduled' THEN due_ms WHEN lease_until_ms<=? THEN 0 END) AS due"
    " FROM deliveries WHERE state IN ('scheduled', 'delivering') GROUP BY epoch) AS waiting"
    " ON due_in=epoch WHERE due IS NOT NULL"
)
_RECORD = (
    "UPDATE deliveries SET state=?, due_ms=?, accepted=?, tries=tries+1, lease_owner=NULL,"
    " lease_until_ms=NULL WHERE epoch=? AND task_id=? AND lease_owner=? AND attempts=?"
    " RETURNING number"
)
_REDELIVER = (
    "UPDATE deliveries SET state='scheduled', due_ms=?, tries=0, accepted=0"
    " WHERE task_id=? AND epoch=? AND state<>'delivering' AND EXISTS (SELECT 1 FROM tasks"
    " WHERE tasks.id=task_id AND tasks.epoch=deliveries.epoch AND settled AND ends_ms<=?)"
    " RETURNING number"
)


class StoreError(Exception):
    """The store cannot be used; the message says what was found and what to do."""


class StoreUnavailable(StoreError):
    """The store does not answer now. The call may be made again: the store recovers by itself.

    Whether the failed call took effect is unknown where the answer to its commit was lost.
    """


def log_failure(what: str, error: Exception) -> None:
    """Log that something failed: trouble of the store in one line, all else with its traceback."""
    if isinstance(error, StoreError):
        _log.error("%s: %s", what, error)
    else:
        _log.error(what, exc_info=error)


class TaskStore(ABC):
    """Tasks, accounts and deliveries, safe to use from several threads.

    Any method may raise `StoreUnavailable`.
    """

    # Whether calls may wait for a network, so that an event loop must not make them.
    blocking: ClassVar[bool]
    # How many API calls may read at once without one waiting for another.
    readers: ClassVar[int] = 1
    # The instant now in Unix ms, the same for all processes of the store, which never goes back.
    now: Callable[[], int]

    def __init__(self) -> None:
        self._opened: set[tuple[int, str]] = set()

    @abstractmethod
    def _write(self) -> AbstractContextManager[Sql]:
        """Open a transaction: all of it is kept, or nothing."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Sql]:
        """Read for an API call, without waiting for those that write."""

    def _exact_worlds(self) -> MutableMapping[str, WorldRow]:
        """Return worlds that need not be read in the transaction that has begun."""
        return {}

    def _forget(self) -> None:  # noqa: B027 - for stores that remember something
        """Forget what was read of tasks and worlds, since this process has changed it."""

    @abstractmethod
    def look(self, world_id: str, task_id: str = "") -> tuple[WorldRow | None, Task | None]:
        """Return a world as it is now, and a task of any world without its ``image_url``.

        None for a world that was never opened, and for a task that does not exist.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the store. What was accepted stays."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Decide about submits: what the block adds and changes is kept at its end, or nothing."""
        with self._write() as sql:
            transaction = Transaction(sql, self._exact_worlds(), self._opened)
            yield transaction
            transaction.write()
        # Only now: another thread must not look for a row that is not committed.
        if len(self._opened) > _MOST_OPENED:
            self._opened.clear()
        self._opened.update(transaction.loaded)

    def seed(self, proposed: int | None) -> int:
        """Keep and return the seed: the proposed one, else the kept one, else a new random one."""
        kept = "settings.value" if proposed is None else "excluded.value"
        query = (
            "INSERT INTO settings VALUES ('seed', ?)"
            f" ON CONFLICT (name) DO UPDATE SET value={kept} RETURNING value"
        )
        value = secrets.randbits(SEED_BITS) if proposed is None else proposed
        with self._write() as sql:
            return rows.number(sql, query, str(value))

    def task(self, task_id: str, *, source: bool = True) -> Task | None:
        """Return a task; without its ``source`` its image_url is empty: it may be megabytes."""
        columns = rows.TASK if source else rows.TASK_WITHOUT_SOURCE
        query = f"SELECT {columns} FROM {rows.TASKS} WHERE tasks.id=?"
        with self._read() as sql:
            row = sql.one(query, askable(task_id))
        return rows.task_of(row) if row else None

    def unsettled_tasks(self) -> list[Task]:
        """Return the tasks whose source picture still has to be looked at, the oldest first."""
        query = f"SELECT {rows.TASK} FROM {rows.TASKS} WHERE NOT settled ORDER BY number"
        with self._read() as sql:
            return [rows.task_of(row) for row in sql.all(query)]

    def settle(self, task: Task, due_ms: int | None) -> None:
        """Write a settled task's end and outcome, unless it was settled already.

        Its delivery, which had to wait for the end, is due at ``due_ms``.
        """
        with self._write() as sql:
            changed = sql.one(
                "UPDATE tasks SET settled=?, ends_ms=?, fail_code=?, fail_msg=?"
                " WHERE id=? AND epoch=? AND NOT settled RETURNING id",
                True,  # noqa: FBT003 - a value
                task.ends_ms,
                task.fail_code,
                task.fail_msg,
                task.id,
                task.epoch,
            )
            if changed:
                set_due(sql, task, due_ms)
        self._forget()

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Return what the account has left; one that was never charged has all it starts with."""
        query = f"SELECT granted_micros-spent_micros FROM accounts WHERE epoch={EPOCH} AND id=?"
        with self._read() as sql:
            return rows.number(sql, query, account.world, account.id, default=starting_micros)

    def claim_deliveries(self, world: str, now_ms: int, claim: Claim) -> list[Entry]:
        """Take deliveries that are due, or whose lease has ended, the longest due first.

        Each is *delivering* then and counts one attempt more; no other process gets it until the
        lease ends, which is counted on the store's clock, since it guards a process and not a plan.
        """
        real_ms = self.now()
        with self._write() as sql:
            origins = [sql.stored(origin) for origin in claim.skip_origins]
            skipped = f" AND origin NOT IN ({rows.places(len(origins))})" if origins else ""
            found = sql.all(
                f"{_DUE}{skipped} ORDER BY due_ms, number LIMIT ?{sql.lock_free}",
                world,
                now_ms,
                real_ms,
                *origins,
                claim.limit,
            )
            if not found:
                return []
            numbers = rows.padded([number for (number,) in found])
            among = f"({rows.places(len(numbers))})"
            sql.run(_CLAIM + among, claim.owner, real_ms + claim.lease_ms, *numbers)
            taken = sql.all(f"{_CLAIMED}{among} ORDER BY due_ms, deliveries.number", *numbers)
        width = rows.TASK.count(",") + 1
        # A delivery whose world was reset in between has no row any more.
        return [Entry(rows.task_of(row[:width]), rows.delivery_of(row[width:])) for row in taken]

    def record_attempts(
        self, made: Sequence[tuple[Delivery, Attempt, Outcome]], owner: str
    ) -> list[bool]:
        """Keep attempts and what follows each, all or none; False where the lease was lost."""
        with self._write() as sql:
            kept = [
                sql.later(
                    _RECORD,
                    *(outcome.state.value, outcome.due_ms, outcome.accepted),
                    *(delivery.epoch, delivery.task_id, owner, attempt.number),
                )
                for delivery, attempt, outcome in made
            ]
            held = [bool(read()) for read in kept]
            attempts = [
                rows.row_of_attempt(delivery.epoch, attempt, sql.stored)
                for (delivery, attempt, _), holds in zip(made, held, strict=True)
                if holds
            ]
            sql.insert("attempts", rows.ATTEMPT_COLUMNS, attempts)
        return held

    def next_deliveries(self, now_ms: int) -> list[tuple[WorldRow, int]]:
        """Return the worlds in which a delivery waits, each with the instant at which one is due.

        A delivery whose lease has ended at ``now_ms``, on the store's clock, is due at 0.
        """
        with self._read() as sql:
            found = sql.all(_NEXT_OF_WORLDS, now_ms)
        return [(rows.world_of(row[:-1]), int(row[-1])) for row in found]

    def next_due_ms(self, world: str, after_ms: int) -> int | None:
        """Return the first instant after this one at which a scheduled delivery is due."""
        with self._read() as sql:
            row = sql.one(_NEXT_DUE, world, after_ms)
        return row[0] if row else None

    def release_leases(self) -> None:  # noqa: B027 - leases of a database end by themselves
        """End all leases. Only where no other process uses the store."""

    def redeliver(self, delivery: Delivery, now_ms: int) -> Delivery | None:
        """Make a delivery that is not under way due now, with all its retries; None otherwise."""
        with self._write() as sql:
            row = sql.one(_REDELIVER, now_ms, delivery.task_id, delivery.epoch, now_ms)
        return self.delivery(delivery.task_id) if row else None

    def delivery(self, task_id: str) -> Delivery | None:
        """Return a task's delivery."""
        query = f"SELECT {rows.DELIVERY} FROM {rows.DELIVERIES} WHERE task_id=?"
        with self._read() as sql:
            row = sql.one(query, askable(task_id))
        return rows.delivery_of(row) if row else None

    def count_poll(self, task: Task) -> int:
        """Count a status call of a task; return how many there were, this one included."""
        query = "UPDATE tasks SET polls=polls+1 WHERE id=? AND epoch=? RETURNING polls"
        with self._write() as sql:
            return rows.number(sql, query, task.id, task.epoch)


def set_due(sql: Sql, task: Task, due_ms: int | None) -> None:
    """Plan when a task's delivery is due, unless an attempt was made already."""
    sql.run(
        "UPDATE deliveries SET due_ms=? WHERE task_id=? AND epoch=? AND state='scheduled'",
        due_ms,
        task.id,
        task.epoch,
    )
