"""The embedded store: tasks, accounts and deliveries in SQLite."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import ClassVar

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.deliveries import Attempt, Delivery, Outcome
from apixo_emulator.domain.seeds import SEED_BITS
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.base import Charge, Claim, Entry, Order, Store, StoreError
from apixo_emulator.storage.batches import paid
from apixo_emulator.storage.sqlite_file import SqliteFile


def _insert(table: str, columns: str) -> str:
    places = ",".join("?" * rows.columns(columns))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants


_INSERT_TASK = _insert("tasks", rows.TASK)
_INSERT_DELIVERY = _insert("deliveries", rows.DELIVERY)
_INSERT_ATTEMPT = _insert("attempts", rows.ATTEMPT)
_SELECT_TASK = f"SELECT {rows.TASK} FROM tasks"  # noqa: S608 - constants
_SELECT_LIGHT = f"SELECT {rows.TASK_WITHOUT_SOURCE} FROM tasks"  # noqa: S608 - constants
# Whole texts: one put together for each call costs 4 us, twice what SQLite needs to find the row.
_FIND_TASK = f"{_SELECT_TASK} WHERE id=?"
_FIND_LIGHT = f"{_SELECT_LIGHT} WHERE id=?"
_SELECT_DELIVERY = f"SELECT {rows.DELIVERY} FROM deliveries"  # noqa: S608 - constants


class SqliteStore(SqliteFile, Store):
    """A store in one SQLite file, or in memory; see `SqliteFile`, and `Store` for the methods."""

    # A local file answers in microseconds; a thread for each call would cost more than it saves.
    blocking: ClassVar = False

    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed; see `Store.seed`."""
        with self._transaction():
            row = self._one("SELECT value FROM settings WHERE name='seed'")
            if proposed is None:
                proposed = int(row[0]) if row else secrets.randbits(SEED_BITS)
            self._db.execute("INSERT OR REPLACE INTO settings VALUES ('seed', ?)", (str(proposed),))
        return proposed

    def accept(self, orders: Sequence[Order]) -> list[Entry | None]:
        """Accept several at once: one transaction costs as much for thirty as for one."""
        with self._transaction():
            covered = paid(orders, self._charged)
            drafts = self._drafts(list(compress(orders, covered)))
            entries = [next(drafts) if pays else None for pays in covered]
            kept = [entry for entry in entries if entry is not None]
            self._db.executemany(_INSERT_TASK, [rows.row_of_task(entry.task) for entry in kept])
            deliveries = [entry.delivery for entry in kept if entry.delivery is not None]
            if deliveries:
                self._db.executemany(_INSERT_DELIVERY, map(rows.row_of_delivery, deliveries))
        return entries

    def _charged(self, account: Account, charge: Charge, count: int) -> bool:
        if self._charge(account, charge, count):
            return True
        self.open_account(self._session, account, charge.starting_micros)
        return self._charge(account, charge, count)

    def _charge(self, account: Account, charge: Charge, count: int) -> bool:
        price = charge.price_micros * count
        changed = self._db.execute(
            "UPDATE accounts SET spent_micros=spent_micros+?, accepted=accepted+?"
            " WHERE id=? AND granted_micros-spent_micros+?>=?",
            (price, count, account.id, charge.refunded_micros, price),
        )
        return changed.rowcount > 0

    def _drafts(self, orders: Sequence[Order]) -> Iterator[Entry]:
        """Make what is kept of each order, from its number among those of its account and content."""
        wanted = Counter((order.account.id, order.content) for order in orders)
        numbers: dict[tuple[str, bytes], int] = {}
        for order in orders:
            key = (order.account.id, order.content)
            if key in numbers:
                numbers[key] += 1
                yield order.draft(numbers[key])
                continue
            first = order.draft(1)
            is_new = self._one("SELECT 1 FROM tasks WHERE id=?", first.task.id) is None
            numbers[key] = self._before(key, wanted[key], is_new=is_new) + 1
            yield first if is_new else order.draft(numbers[key])

    def _before(self, key: tuple[str, bytes], count: int, *, is_new: bool) -> int:
        """Count accepted bodies; give how often this one was accepted before.

        One that comes once is not counted, as its task tells: a row of its own lies anywhere in
        the index, and costs 15 us.
        """
        if is_new and count == 1:
            return 0
        accepted = self.count_contents(self._session, *key, count, uncounted=0 if is_new else 1)
        return 0 if is_new else accepted - count

    def task(self, task_id: str, *, source: bool = True) -> Task | None:
        """Give a task; see `Store.task`."""
        row = self._one(_FIND_TASK if source else _FIND_LIGHT, task_id)
        return rows.task_of(row) if row else None

    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""
        return [
            rows.task_of(row)
            for row in self._all(f"{_SELECT_TASK} WHERE settled=0 ORDER BY number")
        ]

    def settle(self, task: Task, due_ms: int | None) -> None:
        """Write a settled task's end and outcome, and make its delivery due; see `Store.settle`."""
        with self._transaction():
            changed = self._db.execute(
                "UPDATE tasks SET settled=1, ends_ms=?, fail_code=?, fail_msg=?"
                " WHERE id=? AND settled=0",
                (task.ends_ms, task.fail_code, task.fail_msg, task.id),
            )
            if changed.rowcount:
                self._db.execute(
                    "UPDATE deliveries SET due_ms=? WHERE task_id=? AND state='scheduled'",
                    (due_ms, task.id),
                )

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left, in millionths of a USD."""
        row = self._one("SELECT granted_micros-spent_micros FROM accounts WHERE id=?", account.id)
        return int(row[0]) if row else starting_micros

    def claim_deliveries(self, world: str, now_ms: int, claim: Claim) -> list[Entry]:
        """Take deliveries that are due, or whose lease has ended; see `Store.claim_deliveries`."""
        wall_ms = time.time_ns() // 1_000_000
        skipped = ",".join("?" * len(claim.skip_origins))
        due = (
            # The first condition follows from the others; SQLite needs it to use the index.
            "SELECT task_id FROM deliveries WHERE state IN ('scheduled', 'delivering')"  # noqa: S608 - places only
            " AND world=? AND due_ms<=?"
            " AND (state='scheduled' OR (state='delivering' AND lease_until_ms<=?))"
            f" AND origin NOT IN ({skipped}) ORDER BY due_ms, number LIMIT ?"
        )
        with self._transaction():
            found = self._all(due, world, now_ms, wall_ms, *claim.skip_origins, claim.limit)
            return [self._claimed(task_id, claim, wall_ms) for (task_id,) in found]

    def _claimed(self, task_id: str, claim: Claim, wall_ms: int) -> Entry:
        row = self._one(
            "UPDATE deliveries SET state='delivering', attempts=attempts+1,"  # noqa: S608 - constants
            f" lease_owner=?, lease_until_ms=? WHERE task_id=? RETURNING {rows.DELIVERY}",
            claim.owner,
            wall_ms + claim.lease_ms,
            task_id,
        )
        task = self.task(task_id)
        if row is None or task is None:
            raise StoreError(f"the delivery of task {task_id} has lost its rows in {self._where}")
        return Entry(task, rows.delivery_of(row))

    def record_attempts(self, made: Sequence[tuple[Attempt, Outcome]], owner: str) -> list[bool]:
        """Keep attempts and what follows each; see `Store.record_attempts`."""
        with self._transaction():
            held = [self._record(attempt, outcome, owner) for attempt, outcome in made]
            kept = [rows.row_of_attempt(made[i][0]) for i, holds in enumerate(held) if holds]
            self._db.executemany(_INSERT_ATTEMPT, kept)
        return held

    def _record(self, attempt: Attempt, outcome: Outcome, owner: str) -> bool:
        changed = self._db.execute(
            "UPDATE deliveries SET state=?, due_ms=?, accepted=?, tries=tries+1,"
            " lease_owner=NULL, lease_until_ms=NULL"
            " WHERE task_id=? AND lease_owner=? AND attempts=?",
            (
                outcome.state.value,
                outcome.due_ms,
                outcome.accepted,
                attempt.task_id,
                owner,
                attempt.number,
            ),
        )
        return changed.rowcount > 0

    def next_due_ms(self, world: str, after_ms: int) -> int | None:
        """Give the first instant after this one at which a scheduled delivery is due."""
        row = self._one(
            "SELECT due_ms FROM deliveries WHERE state IN ('scheduled', 'delivering')"
            " AND state='scheduled' AND world=? AND due_ms>? ORDER BY due_ms LIMIT 1",
            world,
            after_ms,
        )
        return row[0] if row else None

    def release_leases(self) -> None:
        """End all leases; see `Store.release_leases`."""
        with self._transaction():
            self._db.execute("UPDATE deliveries SET lease_until_ms=0 WHERE state='delivering'")

    def redeliver(self, task_id: str, now_ms: int) -> Delivery | None:
        """Make a delivery that is not under way due now; see `Store.redeliver`."""
        with self._transaction():
            row = self._one(
                "UPDATE deliveries SET state='scheduled', due_ms=?, tries=0, accepted=0"  # noqa: S608 - constants
                " WHERE task_id=? AND state<>'delivering' AND EXISTS (SELECT 1 FROM tasks"
                f" WHERE id=task_id AND settled=1 AND ends_ms<=?) RETURNING {rows.DELIVERY}",
                now_ms,
                task_id,
                now_ms,
            )
        return rows.delivery_of(row) if row else None

    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""
        row = self._one(f"{_SELECT_DELIVERY} WHERE task_id=?", task_id)
        return rows.delivery_of(row) if row else None

    def deliveries(self, world: str, limit: int, offset: int = 0) -> list[Delivery]:
        """Give deliveries of a world, the newest first."""
        found = self._all(
            f"{_SELECT_DELIVERY} WHERE world=? ORDER BY number DESC LIMIT ? OFFSET ?",
            world,
            limit,
            offset,
        )
        return [rows.delivery_of(row) for row in found]

    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the recorded attempts of a task's delivery, in their order."""
        found = self._all(
            f"SELECT {rows.ATTEMPT} FROM attempts WHERE task_id=? ORDER BY number",  # noqa: S608 - constants
            task_id,
        )
        return [rows.attempt_of(row) for row in found]
