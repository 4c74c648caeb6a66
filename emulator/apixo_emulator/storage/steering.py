"""What is steered: worlds, rules, accounts and tasks looked at from outside.

Seldom used beside submits and polls, so it is written once, in the SQL that both engines speak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.domain.limits import Bucket
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import rows


class Sql(Protocol):
    """Statements of one transaction. Placeholders are ``?``; text of callers comes back as text."""

    def run(self, query: str, *values: object) -> None:
        """Run a statement."""
        ...

    def one(self, query: str, *values: object) -> rows.Row | None:
        """Run a statement and give its first row."""
        ...

    def all(self, query: str, *values: object) -> list[rows.Row]:
        """Run a statement and give its rows."""
        ...


@dataclass(frozen=True, slots=True)
class WorldRow:
    """A world as it is kept; ``label`` is how a person may see its id."""

    id: str
    label: str
    seed: int
    clock: ClockState = field(default_factory=ClockState)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule as it is kept: its document, and how often it was seen to fit and was used."""

    id: str
    document: str
    seen: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account that was charged or topped up at least once; money in millionths of a USD."""

    id: str
    label: str
    granted_micros: int
    spent_micros: int
    accepted: int


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list, the newest first; ``text`` is looked for in ids, names and codes.

    ``before`` is the number of the task after which the page begins; ``state`` is one of the four
    at ``now_ms``.
    """

    world: str
    now_ms: int
    limit: int = 100
    before: int | None = None
    state: str | None = None
    account_id: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task in a list, its image_url cut; ``number`` orders tasks by their submits."""

    number: int
    task: Task


_COUNT_UP = (
    "INSERT INTO settings VALUES (?, '1') ON CONFLICT (name)"
    " DO UPDATE SET value = CAST(CAST(settings.value AS BIGINT) + 1 AS TEXT)"
)
_TASK_STATES = {
    "pending": "starts_ms > ?",
    "processing": "starts_ms <= ? AND (ends_ms IS NULL OR ends_ms > ? OR NOT settled)",
    "success": "settled AND ends_ms <= ? AND fail_code IS NULL",
    "failed": "settled AND ends_ms <= ? AND fail_code IS NOT NULL",
}
_WORLD = "id, label, seed, real_base_ms, virtual_base_ms, rate"
_SEARCHED = ("id", "scenario", "fail_code", "resolution", "output_format", "account_id")


class Steering:
    """The part of a store that steering uses; an engine gives `sql`."""

    def sql(self) -> AbstractContextManager[Sql]:
        """Open a transaction: all of it is kept, or nothing."""
        raise NotImplementedError

    def revision(self) -> int:
        """Give a number that is another one after each change of worlds, rules, or tasks' plans.

        What a process has read it may keep until then. Settling a task is no such change: what is
        not settled must not be kept.
        """
        return self._counted("revision")

    def _counted(self, name: str) -> int:
        with self.sql() as sql:
            row = sql.one("SELECT value FROM settings WHERE name=?", name)
        return int(row[0]) if row else 0

    def _revised(self, sql: Sql) -> None:
        sql.run(_COUNT_UP, "revision")

    def world(self, proposed: WorldRow) -> WorldRow:
        """Give a world; the proposed one where there is none of this id yet."""
        with self.sql() as sql:
            self._propose(sql, proposed)
            return self._world(sql, proposed.id)

    @staticmethod
    def _propose(sql: Sql, world: WorldRow) -> None:
        clock = world.clock
        sql.run(
            f"INSERT INTO worlds ({_WORLD}) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING",  # noqa: S608 - constants
            world.id,
            world.label,
            str(world.seed),
            clock.real_base_ms,
            clock.virtual_base_ms,
            clock.rate,
        )

    @staticmethod
    def _world(sql: Sql, world_id: str) -> WorldRow:
        row = sql.one(f"SELECT {_WORLD} FROM worlds WHERE id=?", world_id)  # noqa: S608 - constants
        if row is None:
            raise KeyError(world_id)
        return _world_of(row)

    def worlds(self) -> list[WorldRow]:
        """Give all worlds that were ever used."""
        with self.sql() as sql:
            return [_world_of(row) for row in sql.all(f"SELECT {_WORLD} FROM worlds ORDER BY id")]  # noqa: S608 - constants

    def change_world(self, world_id: str, change: Callable[[WorldRow], WorldRow]) -> WorldRow:
        """Change a world's seed or clock; others that change it wait."""
        with self.sql() as sql:
            # The write comes first: it takes the lock.
            sql.run("UPDATE worlds SET label=label WHERE id=?", world_id)
            changed = change(self._world(sql, world_id))
            clock = changed.clock
            sql.run(
                "UPDATE worlds SET seed=?, real_base_ms=?, virtual_base_ms=?, rate=? WHERE id=?",
                str(changed.seed),
                clock.real_base_ms,
                clock.virtual_base_ms,
                clock.rate,
                world_id,
            )
            self._revised(sql)
        return changed

    def reset_world(self, world_id: str) -> None:
        """Forget a world's tasks, deliveries, accounts and rules; its seed and clock stay."""
        with self.sql() as sql:
            mine = "(SELECT id FROM tasks WHERE world=?)"
            accounts = "(SELECT id FROM accounts WHERE world=?)"
            sql.run(f"DELETE FROM attempts WHERE task_id IN {mine}", world_id)  # noqa: S608 - constants
            sql.run("DELETE FROM deliveries WHERE world=?", world_id)
            sql.run("DELETE FROM tasks WHERE world=?", world_id)
            sql.run(f"DELETE FROM contents WHERE account_id IN {accounts}", world_id)  # noqa: S608 - constants
            sql.run(f"DELETE FROM buckets WHERE account_id IN {accounts}", world_id)  # noqa: S608 - constants
            sql.run("DELETE FROM accounts WHERE world=?", world_id)
            sql.run("DELETE FROM rules WHERE world=?", world_id)
            self._revised(sql)

    def rules(self, world_id: str) -> list[RuleRow]:
        """Give a world's rules in the order in which they were added."""
        with self.sql() as sql:
            found = sql.all(
                "SELECT id, document, seen, used FROM rules WHERE world=? ORDER BY number", world_id
            )
        return [RuleRow(*row) for row in found]

    def add_rule(self, world_id: str, rule: RuleRow) -> None:
        """Add a rule behind the others; one of the same id is replaced."""
        with self.sql() as sql:
            sql.run("DELETE FROM rules WHERE world=? AND id=?", world_id, rule.id)
            sql.run(
                "INSERT INTO rules (world, id, document, seen, used) VALUES (?,?,?,?,?)",
                world_id,
                rule.id,
                rule.document,
                rule.seen,
                rule.used,
            )
            self._revised(sql)

    def drop_rules(self, world_id: str, rule_id: str | None = None) -> int:
        """Remove one rule, or all; give how many there were."""
        with self.sql() as sql:
            which, values = (
                ("", (world_id,)) if rule_id is None else (" AND id=?", (world_id, rule_id))
            )
            found = sql.all(f"DELETE FROM rules WHERE world=?{which} RETURNING id", *values)  # noqa: S608 - constants
            self._revised(sql)
        return len(found)

    def count_rule(self, world_id: str, rule_id: str, decide: Callable[[int, int], bool]) -> bool:
        """Count a call that fits a rule, and let ``decide(seen, used)`` say whether it is used.

        ``seen`` includes this call, ``used`` does not. False where the rule is gone.
        """
        with self.sql() as sql:
            row = sql.one(
                "UPDATE rules SET seen=seen+1 WHERE world=? AND id=? RETURNING seen, used",
                world_id,
                rule_id,
            )
            taken = row is not None and decide(row[0], row[1])
            if taken:
                sql.run("UPDATE rules SET used=used+1 WHERE world=? AND id=?", world_id, rule_id)
        return taken

    def take_token(self, account_id: str, take: Callable[[Bucket | None], Bucket]) -> None:
        """Change an account's token bucket; ``take`` gets None for one that was never used."""
        with self.sql() as sql:
            row = sql.one(
                "UPDATE buckets SET tokens=tokens WHERE account_id=? RETURNING tokens, at_ms",
                account_id,
            )
            bucket = take(Bucket(*row) if row else None)
            sql.run(
                "INSERT INTO buckets VALUES (?,?,?) ON CONFLICT (account_id)"
                " DO UPDATE SET tokens=excluded.tokens, at_ms=excluded.at_ms",
                account_id,
                bucket.tokens,
                bucket.at_ms,
            )

    def unfinished_tasks(self, account_id: str, now_ms: int) -> int:
        """Count the unfinished tasks of an account that has a concurrency limit."""
        with self.sql() as sql:
            row = sql.one(
                "SELECT count(*) FROM tasks WHERE account_id=? AND limited=1"
                " AND (ends_ms IS NULL OR ends_ms>? OR NOT settled)",
                account_id,
                now_ms,
            )
        return int(row[0]) if row else 0

    def failed_tasks(self, account_id: str, now_ms: int) -> int:
        """Count the tasks of an account that have failed by now; reads all of them."""
        with self.sql() as sql:
            row = sql.one(
                "SELECT count(*) FROM tasks WHERE account_id=? AND fail_code IS NOT NULL"
                " AND settled AND ends_ms<=?",
                account_id,
                now_ms,
            )
        return int(row[0]) if row else 0

    def count_poll(self, task_id: str) -> int:
        """Count a status call of a task; give how many there were, this one included."""
        with self.sql() as sql:
            row = sql.one("UPDATE tasks SET polls=polls+1 WHERE id=? RETURNING polls", task_id)
        return int(row[0]) if row else 0

    def polls(self, task_id: str) -> int:
        """Give how many status calls of a task were counted."""
        with self.sql() as sql:
            row = sql.one("SELECT polls FROM tasks WHERE id=?", task_id)
        return int(row[0]) if row else 0

    def accounts(self, world_id: str) -> list[AccountRow]:
        """Give a world's accounts."""
        with self.sql() as sql:
            found = sql.all(
                "SELECT id, label, granted_micros, spent_micros, accepted FROM accounts"
                " WHERE world=? ORDER BY label, id",
                world_id,
            )
        return [AccountRow(*row) for row in found]

    def grant(self, account: Account, starting_micros: int, more_micros: int) -> None:
        """Add to an account's balance, in millionths of a USD; a new one starts with the given."""
        with self.sql() as sql:
            self.open_account(sql, account, starting_micros)
            sql.run(
                "UPDATE accounts SET granted_micros=granted_micros+? WHERE id=?",
                more_micros,
                account.id,
            )

    def open_account(self, sql: Sql, account: Account, starting_micros: int) -> None:
        """Make an account's row where there is none."""
        sql.run(
            "INSERT INTO accounts (id, label, granted_micros, spent_micros, accepted, world)"
            " VALUES (?,?,?,0,0,?) ON CONFLICT DO NOTHING",
            account.id,
            self.as_stored(account.label),
            starting_micros,
            account.world,
        )

    def as_stored(self, text: str) -> object:
        """Give text of a caller as the engine keeps it."""
        return text

    @staticmethod
    def count_contents(
        sql: Sql, account_id: str, content: bytes, count: int, uncounted: int = 0
    ) -> int:
        """Count accepted bodies of an account; give how often it was accepted, now included.

        ``uncounted`` were accepted before, unless the store has a count of them.
        """
        row = sql.one(
            "INSERT INTO contents VALUES (?,?,?) ON CONFLICT (account_id, content)"
            " DO UPDATE SET accepted=contents.accepted+? RETURNING accepted",
            account_id,
            content,
            uncounted + count,
            count,
        )
        return int(row[0]) if row else count

    def tasks(self, query: TaskQuery) -> list[ListedTask]:
        """List tasks, the newest first, with the beginning of their sources."""
        conditions, values = _conditions(query)
        with self.sql() as sql:
            found = sql.all(
                f"SELECT number, {rows.TASK_WITH_A_GLANCE} FROM tasks"  # noqa: S608 - constants and places
                f" WHERE {conditions} ORDER BY number DESC LIMIT ?",
                *values,
                query.limit,
            )
        return [ListedTask(row[0], rows.task_of(row[1:])) for row in found]

    def tasks_by_state(self, world_id: str, now_ms: int) -> dict[str, int]:
        """Count a world's tasks by their state at an instant."""
        sums = ", ".join(
            f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)" for condition in _TASK_STATES.values()
        )
        instants = [now_ms] * sums.count("?")
        with self.sql() as sql:
            row = sql.one(f"SELECT {sums} FROM tasks WHERE world=?", *instants, world_id)  # noqa: S608 - constants
        return {name: int(count or 0) for name, count in zip(_TASK_STATES, row or (), strict=True)}

    def deliveries_by_state(self, world_id: str) -> dict[str, int]:
        """Count a world's deliveries by their state."""
        with self.sql() as sql:
            found = sql.all(
                "SELECT state, count(*) FROM deliveries WHERE world=? GROUP BY state ORDER BY state",
                world_id,
            )
        return {state: int(count) for state, count in found}

    def replan(self, task: Task, due_ms: int | None, now_ms: int) -> bool:
        """Write an intervention into a task that has not ended; False if it has by now."""
        with self.sql() as sql:
            changed = sql.one(
                "UPDATE tasks SET settled=?, starts_ms=?, ends_ms=?, fail_code=?, fail_msg=?,"
                " scenario=? WHERE id=? AND (ends_ms IS NULL OR ends_ms>? OR NOT settled)"
                " RETURNING id",
                task.settled,
                task.starts_ms,
                task.ends_ms,
                task.fail_code,
                task.fail_msg,
                task.scenario,
                task.id,
                now_ms,
            )
            if changed:
                sql.run(
                    "UPDATE deliveries SET due_ms=? WHERE task_id=? AND state='scheduled'",
                    due_ms,
                    task.id,
                )
                self._revised(sql)
        return changed is not None

    def add_to_journal(self, world_id: str, entries: Sequence[str], capacity: int) -> None:
        """Append entries, as JSON; the oldest beyond ``capacity`` make room."""
        with self.sql() as sql:
            for entry in entries:
                sql.run("INSERT INTO journal (world, entry) VALUES (?,?)", world_id, entry)
            sql.run(
                "DELETE FROM journal WHERE world=? AND number<=(SELECT number FROM journal"
                " WHERE world=? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                world_id,
                world_id,
                capacity,
            )

    def ask_for_journal(self) -> None:
        """Ask all processes to write down what they have answered."""
        with self.sql() as sql:
            sql.run(_COUNT_UP, "journal_asked")

    def journal_asked(self) -> int:
        """Give a number that is another one after each `ask_for_journal`."""
        return self._counted("journal_asked")

    def journal(self, world_id: str, after: int, limit: int) -> list[tuple[int, str]]:
        """Give entries with their numbers, above ``after``, the oldest first."""
        with self.sql() as sql:
            found = sql.all(
                "SELECT number, entry FROM journal WHERE world=? AND number>?"
                " ORDER BY number LIMIT ?",
                world_id,
                after,
                limit,
            )
        return [(int(number), entry) for number, entry in found]

    def last_in_journal(self, world_id: str) -> int:
        """Give the number of the newest entry, 0 where there is none."""
        with self.sql() as sql:
            row = sql.one("SELECT max(number) FROM journal WHERE world=?", world_id)
        return int(row[0] or 0) if row else 0

    def clear_journal(self, world_id: str) -> None:
        """Forget a world's entries."""
        with self.sql() as sql:
            sql.run("DELETE FROM journal WHERE world=?", world_id)

    def worlds_with_deliveries(self) -> list[str]:
        """Give the worlds in which a delivery waits or is under way."""
        with self.sql() as sql:
            found = sql.all(
                "SELECT DISTINCT world FROM deliveries WHERE state IN ('scheduled', 'delivering')"
            )
        return [row[0] for row in found]


def _world_of(row: rows.Row) -> WorldRow:
    world_id, label, seed, real_base_ms, virtual_base_ms, rate = row
    return WorldRow(world_id, label, int(seed), ClockState(real_base_ms, virtual_base_ms, rate))


def _conditions(query: TaskQuery) -> tuple[str, list[object]]:
    """Give a WHERE clause's text, made of constants, and its values."""
    parts: list[str] = ["world=?"]
    values: list[object] = [query.world]
    if query.before is not None:
        parts.append("number<?")
        values.append(query.before)
    if query.account_id is not None:
        parts.append("account_id=?")
        values.append(query.account_id)
    if query.state is not None:
        condition = _TASK_STATES[query.state]
        parts.append(f"({condition})")
        values.extend([query.now_ms] * condition.count("?"))
    if query.text:
        parts.append(
            "(" + " OR ".join(f"lower({name}) LIKE ? ESCAPE '!'" for name in _SEARCHED) + ")"
        )
        values.extend([_pattern(query.text)] * len(_SEARCHED))
    return " AND ".join(parts), values


def _pattern(text: str) -> str:
    """Make a LIKE pattern that finds a text as it is; NUL cannot be in any searched column."""
    wild = str.maketrans({"%": "!%", "_": "!_", "!": "!!", "\0": ""})
    return f"%{text.lower().translate(wild)}%"
