"""What control calls need of a store: worlds, rules, accounts, lists and counts of tasks, the journal.

They read on a connection of their own, so that no API call waits for them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ClassVar

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.deliveries import Attempt, Delivery
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.base import EPOCH, TaskStore, set_due
from apixo_emulator.storage.rows import (
    AccountRow,
    RuleRow,
    Sql,
    TaskQuery,
    WorldRow,
    askable,
    number,
)

# Rules of the scenario file: their ids, and numbers that put them behind those added since.
FILE_RULE = "file-"
ADDED_RULE = "rule-"
_FILE_RULES = 1_000_000_000
# Rows that are deleted in one transaction: some ms.
_DELETED_AT_ONCE = 500
_NEW_EPOCH = "INSERT INTO epochs (world) VALUES (?) RETURNING epoch"
_EPOCH_OF = "SELECT epoch FROM worlds WHERE id=?"
_ADD_RULE = "INSERT INTO rules (epoch, number, id, document, seen, used) VALUES (?,?,?,?,0,0)"

_TASK_STATES = {
    "pending": "starts_ms > ?",
    "processing": "starts_ms <= ? AND (ends_ms IS NULL OR ends_ms > ? OR NOT settled)",
    "success": "settled AND ends_ms <= ? AND fail_code IS NULL",
    "failed": "settled AND ends_ms <= ? AND fail_code IS NOT NULL",
}
# The + keeps the engines from sorting all rows of a world: the newest are found by their numbers.
_OF_WORLD = "worlds JOIN {0} ON +{0}.epoch=worlds.epoch"
_SEARCHED = (
    "lower(tasks.id || ' ' || account_id || ' ' || resolution || ' ' || output_format"
    " || ' ' || coalesce(scenario, '') || ' ' || coalesce(fail_code, ''))"
)
# Each is a range of an index: how many tasks there were does not matter. A + keeps the engines from
# an index in which all finished tasks are.
_COUNT_PENDING = (
    "SELECT (SELECT count(*) FROM tasks WHERE epoch=? AND ends_ms>? AND starts_ms>?)"
    " + (SELECT count(*) FROM tasks WHERE epoch=? AND ends_ms IS NULL AND starts_ms>?)"
)
_COUNT_UNFINISHED = (
    "SELECT (SELECT count(*) FROM tasks WHERE epoch=? AND ends_ms>?)"
    " + (SELECT count(*) FROM tasks WHERE epoch=? AND ends_ms IS NULL)"
    " + (SELECT count(*) FROM tasks WHERE NOT settled AND +epoch=? AND +ends_ms<=?)"
)
_COUNT_FAILED = (
    "SELECT count(*) FROM tasks WHERE epoch=? AND fail_code IS NOT NULL AND settled AND +ends_ms<=?"
)
# Numbers the new entries of a channel in the order of their instants.
_NUMBER = (
    "UPDATE journal SET number=?+place FROM (SELECT id AS new, row_number() OVER (ORDER BY at_us, id)"
    " AS place FROM journal WHERE channel=? AND number IS NULL) AS entries WHERE id=new RETURNING 1"
)
# The tables whose rows belong to an epoch.
_BELONGING = ("attempts", "deliveries", "tasks", "contents", "rules", "accounts")
# Most tables have none: asking all at once is quicker than to delete from each.
_HAS_ROWS = "SELECT " + ", ".join(
    f"EXISTS(SELECT 1 FROM {table} WHERE epoch=?)" for table in _BELONGING
)


class Store(TaskStore):
    """A store with all that API calls, the worker and control calls need."""

    # A submit that began before a reset may commit into the ended epoch so much later, in ms.
    longest_submit_ms: ClassVar[int] = 0

    @abstractmethod
    def _browse(self) -> AbstractContextManager[Sql]:
        """Read for a control call; may take long, and keeps no API call waiting."""

    def _cleaning(self) -> AbstractContextManager[Sql]:
        """Open a transaction that deletes rows of ended epochs."""
        return self._write()

    def _shrink(self) -> bool:
        """Give some space of deleted rows back; False if there is none left to give."""
        return False

    # Worlds

    def open_world(self, proposed: WorldRow, file_rules: Sequence[str]) -> WorldRow:
        """Return a world; the proposed one where there is none of this id yet.

        ``file_rules`` are the documents of the scenario file's rules. They replace what an earlier
        file has left.
        """
        with self._write() as sql:
            if sql.one("SELECT 1 FROM worlds WHERE id=?", proposed.id) is None:
                epoch = number(sql, _NEW_EPOCH, proposed.id)
                sql.run(
                    "INSERT INTO worlds (id, label, epoch, seed, real_base_ms, virtual_base_ms, rate)"
                    " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                    *(proposed.id, proposed.label, epoch, *_seed_and_clock(proposed)),
                )
            world = _locked_world(sql, proposed.id)
            query = "SELECT document FROM rules WHERE epoch=? AND number>? ORDER BY number"
            kept = sql.all(query, world.epoch, _FILE_RULES)
            if [document for (document,) in kept] != list(file_rules):
                _put_file_rules(sql, world.epoch, file_rules)
                world = _count_rules(sql, world.id)
        self._forget()
        return world

    def worlds(self) -> list[WorldRow]:
        """Return all worlds that were ever used."""
        with self._browse() as sql:
            found = sql.all(f"SELECT {rows.WORLD} FROM worlds ORDER BY id")
        return [rows.world_of(row) for row in found]

    def change_world(self, world_id: str, change: Callable[[WorldRow], WorldRow]) -> WorldRow:
        """Change a world's seed or clock; others that change it wait."""
        with self._write() as sql:
            changed = change(_locked_world(sql, world_id))
            _save_world(sql, changed)
        self._forget()
        return changed

    def reset_world(
        self, world_id: str, change: Callable[[WorldRow], WorldRow], file_rules: Sequence[str]
    ) -> WorldRow:
        """Begin a new epoch of a world: without tasks, deliveries, accounts, added rules and journal.

        ``change`` gives its seed and clock. A task that was accepted before is gone, and one that
        is accepted afterwards is kept, whatever other processes do meanwhile.
        """
        with self._write() as sql:
            world = change(_locked_world(sql, world_id))
            epoch = number(sql, _NEW_EPOCH, world_id)
            _save_world(sql, world)
            sql.run("UPDATE worlds SET epoch=?, rules_added=0 WHERE id=?", epoch, world_id)
            sql.run("UPDATE epochs SET ended_ms=? WHERE epoch=?", self.now(), world.epoch)
            _put_file_rules(sql, epoch, file_rules)
            world = _count_rules(sql, world_id)
        self._forget()
        self.clean()
        return world

    def clean(self) -> bool:
        """Delete some rows of epochs that have ended, then shrink the store; False if all is done.

        Takes some ms, to be called again until it returns False.
        """
        with self._browse() as sql:
            ended = sql.one("SELECT epoch, ended_ms FROM epochs WHERE ended_ms IS NOT NULL LIMIT 1")
        if ended is None:
            return self._shrink()
        epoch, ended_ms = ended
        with self._cleaning() as sql:
            left = sql.one(_HAS_ROWS, *[epoch] * len(_BELONGING)) or ()
            more = [
                _delete_some(sql, table, epoch)
                for table, has_rows in zip(_BELONGING, left, strict=True)
                if has_rows
            ]
            if any(more):
                return True
            if self.now() < ended_ms + self.longest_submit_ms:
                return False
            sql.run("DELETE FROM journal WHERE channel=?", str(epoch))
            sql.run("DELETE FROM journals WHERE channel=?", str(epoch))
            sql.run("DELETE FROM epochs WHERE epoch=?", epoch)
        return True

    # Rules

    def rules(self, world_id: str) -> list[RuleRow]:
        """Return a world's rules in the order in which they are tried."""
        query = f"SELECT id, document, seen, used FROM rules WHERE epoch={EPOCH} ORDER BY number"
        with self._browse() as sql:
            return [RuleRow(*row) for row in sql.all(query, world_id)]

    def add_rule(self, world_id: str, document: str) -> str:
        """Add a rule behind those added before, and before the scenario file's; return its id.

        Ids are numbered and not random: draws depend on them, and the same calls give the same run.
        """
        count = "UPDATE worlds SET rules_added=rules_added+1 WHERE id=? RETURNING rules_added"
        with self._write() as sql:
            world = _locked_world(sql, world_id)
            added = number(sql, count, world_id)
            rule_id = f"{ADDED_RULE}{added}"
            sql.run(_ADD_RULE, world.epoch, added, rule_id, document)
            _count_rules(sql, world_id)
        self._forget()
        return rule_id

    def drop_rules(self, world_id: str, rule_id: str | None = None) -> int:
        """Remove one rule, or all but the scenario file's; return how many there were."""
        with self._write() as sql:
            world = _locked_world(sql, world_id)
            which, value = (
                ("number<?", _FILE_RULES) if rule_id is None else ("id=?", askable(rule_id))
            )
            query = f"DELETE FROM rules WHERE epoch=? AND {which} RETURNING id"
            found = sql.all(query, world.epoch, value)
            _count_rules(sql, world_id)
        self._forget()
        return len(found)

    # Accounts

    def accounts(self, world_id: str) -> list[AccountRow]:
        """Return a world's accounts."""
        query = (
            "SELECT id, label, granted_micros, spent_micros, accepted FROM accounts"
            f" WHERE epoch={EPOCH} ORDER BY label, id"
        )
        with self._browse() as sql:
            return [AccountRow(*row) for row in sql.all(query, world_id)]

    def grant(self, account: Account, starting_micros: int, more_micros: int) -> int:
        """Add to an account's balance, in millionths of a USD; return what it has left then."""
        with self.transaction() as tx:
            tx.load({account: starting_micros})
            state = tx.account(account)
            state.grant(more_micros)
        return state.balance_micros

    # Tasks and deliveries

    def tasks(self, query: TaskQuery) -> list[tuple[int, Task]]:
        """List tasks with their numbers, the newest first, with the beginning of their sources."""
        conditions, values = _conditions(query)
        select = (
            f"SELECT number, {rows.TASK_WITH_A_GLANCE} FROM {_OF_WORLD.format('tasks')}"
            f" WHERE {conditions} ORDER BY number DESC LIMIT ?"
        )
        with self._browse() as sql:
            found = sql.all(select, *values, query.limit)
        return [(row[0], rows.task_of(row[1:])) for row in found]

    def tasks_by_state(self, world_id: str, now_ms: int) -> Mapping[str, int]:
        """Count a world's tasks by their state at an instant."""
        with self._browse() as sql:
            epoch = number(sql, _EPOCH_OF, world_id)
            accepted = number(sql, "SELECT sum(accepted) FROM accounts WHERE epoch=?", epoch)
            pending = number(sql, _COUNT_PENDING, epoch, now_ms, now_ms, epoch, now_ms)
            unfinished = number(sql, _COUNT_UNFINISHED, epoch, now_ms, epoch, epoch, now_ms)
            failed = number(sql, _COUNT_FAILED, epoch, now_ms)
        return {
            "pending": pending,
            "processing": unfinished - pending,
            "success": max(0, accepted - unfinished - failed),
            "failed": failed,
        }

    def deliveries_by_state(self, world_id: str) -> Mapping[str, int]:
        """Count a world's deliveries by their state."""
        with self._browse() as sql:
            epoch = number(sql, _EPOCH_OF, world_id)
            total = number(sql, "SELECT sum(callbacks) FROM accounts WHERE epoch=?", epoch)
            found = sql.all(
                "SELECT state, count(*) FROM deliveries WHERE epoch=?"
                " AND state IN ('scheduled', 'delivering', 'exhausted') GROUP BY state",
                epoch,
            )
        counts = {state: int(count) for state, count in found}
        counts["delivered"] = max(0, total - sum(counts.values()))
        return {state: counts[state] for state in sorted(counts) if counts[state]}

    def polls(self, task: Task) -> int:
        """Return how many status calls of a task were counted."""
        query = "SELECT polls FROM tasks WHERE id=? AND epoch=?"
        with self._browse() as sql:
            return number(sql, query, task.id, task.epoch)

    def replan(self, task: Task, due_ms: int | None, now_ms: int) -> bool:
        """Write an intervention into a task that has not ended; False if it has by now."""
        plan = (task.settled, task.starts_ms, task.ends_ms, task.fail_code, task.fail_msg)
        with self._write() as sql:
            changed = sql.one(
                "UPDATE tasks SET settled=?, starts_ms=?, ends_ms=?, fail_code=?, fail_msg=?,"
                " scenario=? WHERE id=? AND epoch=?"
                " AND (ends_ms IS NULL OR ends_ms>? OR NOT settled) RETURNING id",
                *(*plan, task.scenario, task.id, task.epoch, now_ms),
            )
            if changed:
                set_due(sql, task, due_ms)
        self._forget()
        return changed is not None

    def deliveries(self, world: str, limit: int, offset: int = 0) -> list[Delivery]:
        """Return deliveries of a world, the newest first."""
        query = (
            f"SELECT {rows.DELIVERY} FROM {_OF_WORLD.format('deliveries')} WHERE worlds.id=?"
            " ORDER BY number DESC LIMIT ? OFFSET ?"
        )
        with self._browse() as sql:
            return [rows.delivery_of(row) for row in sql.all(query, world, limit, offset)]

    def attempts(self, task_id: str) -> list[Attempt]:
        """Return the recorded attempts of a task's delivery, in their order."""
        query = (
            f"SELECT {rows.ATTEMPT} FROM attempts JOIN worlds USING (epoch)"
            " WHERE task_id=? ORDER BY attempts.number"
        )
        with self._browse() as sql:
            return [Attempt(*row) for row in sql.all(query, askable(task_id))]

    # The journal of processes that share the store

    def add_to_journal(
        self, channel: str, entries: Sequence[tuple[int, str]], capacity: int
    ) -> None:
        """Append entries, each the instant in µs and its JSON; the oldest beyond ``capacity`` go."""
        with self._write() as sql:
            written = [(channel, at_us, entry) for at_us, entry in entries]
            sql.insert("journal", "channel, at_us, entry", written)
            sql.run(
                "DELETE FROM journal WHERE channel=? AND id<=(SELECT id FROM journal"
                " WHERE channel=? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                channel,
                channel,
                capacity,
            )

    def ask_for_journal(self) -> None:
        """Ask all processes to write down what they have answered."""
        with self._write() as sql:
            sql.run(
                "INSERT INTO settings VALUES ('journal_asked', '1') ON CONFLICT (name)"
                " DO UPDATE SET value=CAST(CAST(settings.value AS BIGINT) + 1 AS TEXT)"
            )

    def journal_asked(self) -> int:
        """Return a number that is another one after each `ask_for_journal`."""
        with self._browse() as sql:
            return number(sql, "SELECT value FROM settings WHERE name='journal_asked'")

    def journal(self, channel: str, after: int, limit: int) -> list[tuple[int, str]]:
        """Return entries with their numbers, above ``after``, the oldest first.

        Entries that were added since the last call are numbered first, in the order of their instants.
        """
        with self._write() as sql:
            sql.run("INSERT INTO journals VALUES (?,0) ON CONFLICT DO NOTHING", channel)
            last = number(sql, f"SELECT last FROM journals WHERE channel=?{sql.lock}", channel)
            new = sql.all(_NUMBER, last, channel)
            if new:
                sql.run("UPDATE journals SET last=? WHERE channel=?", last + len(new), channel)
            found = sql.all(
                "SELECT number, entry FROM journal WHERE channel=? AND number>? ORDER BY number LIMIT ?",
                channel,
                after,
                limit,
            )
        return [(int(at), entry) for at, entry in found]

    def journal_length(self, channel: str) -> int:
        """Return how many entries there ever were in a channel."""
        query = (
            "SELECT coalesce((SELECT last FROM journals WHERE channel=?), 0)"
            " + (SELECT count(*) FROM journal WHERE channel=? AND number IS NULL)"
        )
        with self._browse() as sql:
            return number(sql, query, channel, channel)

    def clear_journal(self, channel: str) -> None:
        """Forget a channel's entries; the next one is number 1 again."""
        with self._write() as sql:
            sql.run("DELETE FROM journal WHERE channel=?", channel)
            sql.run("DELETE FROM journals WHERE channel=?", channel)


def _locked_world(sql: Sql, world_id: str) -> WorldRow:
    row = sql.one(f"SELECT {rows.WORLD} FROM worlds WHERE id=?{sql.lock}", world_id)
    if row is None:
        raise KeyError(world_id)
    return rows.world_of(row)


def _seed_and_clock(world: WorldRow) -> tuple[str | float, ...]:
    clock = world.clock
    return str(world.seed), clock.real_base_ms, clock.virtual_base_ms, clock.rate


def _save_world(sql: Sql, world: WorldRow) -> None:
    query = "UPDATE worlds SET seed=?, real_base_ms=?, virtual_base_ms=?, rate=? WHERE id=?"
    sql.run(query, *_seed_and_clock(world), world.id)


def _count_rules(sql: Sql, world_id: str) -> WorldRow:
    """Keep how many rules a world has, and return the world."""
    row = sql.one(
        "UPDATE worlds SET rules=(SELECT count(*) FROM rules WHERE rules.epoch=worlds.epoch)"
        f" WHERE id=? RETURNING {rows.WORLD}",
        world_id,
    )
    if row is None:
        raise KeyError(world_id)
    return rows.world_of(row)


def _put_file_rules(sql: Sql, epoch: int, documents: Sequence[str]) -> None:
    sql.run("DELETE FROM rules WHERE epoch=? AND number>?", epoch, _FILE_RULES)
    for at, document in enumerate(documents, start=1):
        sql.run(_ADD_RULE, epoch, _FILE_RULES + at, f"{FILE_RULE}{at}", document)


def _delete_some(sql: Sql, table: str, epoch: int) -> bool:
    """Delete some rows of an epoch; True if there may be more."""
    # Rows that a late submit has locked are left for the next time: waiting could be a deadlock.
    found = sql.all(
        f"DELETE FROM {table} WHERE {sql.row_id} IN"
        f" (SELECT {sql.row_id} FROM {table} WHERE epoch=? LIMIT ?{sql.lock_free}) RETURNING 1",
        epoch,
        _DELETED_AT_ONCE,
    )
    return len(found) >= _DELETED_AT_ONCE


def _conditions(query: TaskQuery) -> tuple[str, list[object]]:
    """Return a WHERE clause's text, made of constants, and its values."""
    parts: list[str] = ["worlds.id=?"]
    values: list[object] = [query.world]
    if query.before is not None:
        parts.append("number<?")
        values.append(query.before)
    if query.account_id is not None:
        parts.append("account_id=?")
        values.append(askable(query.account_id))
    if query.state is not None:
        condition = _TASK_STATES[query.state]
        parts.append(f"({condition})")
        values.extend([query.now_ms] * condition.count("?"))
    if query.text:
        parts.append(f"{_SEARCHED} LIKE ? ESCAPE '!'")
        # The text as it is; NUL cannot be in any searched column.
        wild = str.maketrans({"%": "!%", "_": "!_", "!": "!!", "\0": ""})
        values.append(f"%{query.text.lower().translate(wild)}%")
    return " AND ".join(parts), values
