"""One transaction of submits: rows are read and locked at its begin, and written back at its end.

Between the two everything is decided on values in memory, so that thirty submits of one account cost
one read and one write of its row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from itertools import chain

from apixo_emulator.domain.accounts import Account, AccountState
from apixo_emulator.domain.deliveries import Delivery
from apixo_emulator.domain.randomness import task_id
from apixo_emulator.domain.tasks import FINAL, Task
from apixo_emulator.storage import rows
from apixo_emulator.storage.rows import Row, RuleRow, Sql, WorldRow

_WORLDS = f"SELECT {rows.WORLD} FROM worlds WHERE id"
# Both lock accounts in the order of their ids. The second makes those that are new; of those that are
# there it writes each.
_LOCK = f"SELECT {rows.ACCOUNT} FROM accounts WHERE epoch IN ({{}}) AND id IN ({{}}) ORDER BY id"
_OPEN = (
    "INSERT INTO accounts (epoch, id, label, granted_micros, spent_micros, accepted, callbacks)"
    " VALUES {} ON CONFLICT (epoch, id) DO UPDATE SET label=excluded.label"
    f" RETURNING {rows.ACCOUNT}"
)
_ACCOUNT_COLUMNS = f"epoch, label, {rows.ACCOUNT}"
_SAVE_ACCOUNT = "ON CONFLICT (epoch, id) DO UPDATE SET " + ", ".join(
    f"{column}=excluded.{column}" for column in rows.ACCOUNT.split(", ")[1:]
)
# A body that was accepted once has no row of its own: its task holds it. Each body is looked up by
# itself: a join could read all tasks.
_ACCEPTED = (
    "SELECT column5, coalesce((SELECT accepted FROM contents WHERE epoch=column1"
    " AND account_id=column2 AND content=column3 AND accepted>0),"
    " (SELECT 1 FROM tasks WHERE id=column4 AND epoch=column1), 0) FROM (VALUES {}) AS asked"
)
_CONTENT_COLUMNS = "epoch, account_id, content, accepted, asked"
_SAVE_ACCEPTED = "ON CONFLICT (epoch, account_id, content) DO UPDATE SET accepted=excluded.accepted"
_ASK = (
    "INSERT INTO contents (epoch, account_id, content, accepted, asked) VALUES (?,?,?,0,1)"
    " ON CONFLICT (epoch, account_id, content) DO UPDATE SET asked=contents.asked+1 RETURNING asked"
)
_RULES = "SELECT id, document, seen, used FROM rules WHERE epoch=? ORDER BY number"
# Three sums and not one with OR, so that each is a range of an index. A + keeps the engines from an
# index in which all finished tasks are: of the unsettled ones there are few.
_UNFINISHED = (
    "SELECT (SELECT count(*) FROM tasks WHERE epoch=? AND account_id=? AND limited=1 AND ends_ms>?)"
    " + (SELECT count(*) FROM tasks WHERE epoch=? AND account_id=? AND limited=1 AND ends_ms IS NULL)"
    " + (SELECT count(*) FROM tasks WHERE NOT settled AND +epoch=? AND account_id=? AND +limited=1"
    " AND +ends_ms<=?)"
)
_REFUND = (
    "UPDATE tasks SET refunded=1 WHERE epoch=? AND refunded=0 AND account_id=? AND ends_ms<=?"
    " AND fail_code IS NOT NULL AND settled RETURNING id"
)


class Transaction:
    """What one transaction has read and is going to write; `Store.transaction` opens it.

    Nothing is written before the block ends, and nothing at all if it raises. Rows that are
    `load`-ed stay locked until then: other transactions on any process that want them wait.
    """

    def __init__(
        self, sql: Sql, known: MutableMapping[str, WorldRow], opened: set[tuple[int, str]]
    ) -> None:
        self._sql = sql
        # Accounts by their epochs that are known to be there.
        self._opened = opened
        self.loaded: set[tuple[int, str]] = set()
        # Worlds that need not be read; what is read is added.
        self._known = known
        self._worlds: dict[str, WorldRow] = {}
        self._accounts: dict[str, tuple[Account, AccountState]] = {}
        self._rules: dict[str, list[RuleRow]] = {}
        self._counted_rules: dict[tuple[int, str], RuleRow] = {}
        # How often each body was accepted: before, and with what is added here.
        self._before: dict[tuple[str, bytes], int] = {}
        self._accepted: dict[tuple[str, bytes], int] = {}
        self._unfinished: dict[str, tuple[int, int]] = {}
        self._tasks: list[Row] = []
        self._deliveries: list[Row] = []

    def load(
        self, accounts: Mapping[Account, int], contents: Collection[tuple[Account, bytes]] = ()
    ) -> None:
        """Read and lock accounts with their worlds' rules, and read how often bodies were accepted.

        ``accounts`` gives with each the micros that it starts with where it is new. Everything that
        the transaction needs has to be loaded at once: it is locked in one order, so that no two
        transactions wait for each other.
        """
        sql = self._sql
        self._read_worlds({account.world for account in accounts})
        read_accounts = self._lock(accounts)
        rules = {
            name: sql.later(_RULES + sql.lock, world.epoch)
            for name, world in sorted(self._worlds.items())
            if world.rules
        }
        bodies = list(dict.fromkeys(contents))
        read_accepted = self._ask_accepted(bodies)
        found = {row[0]: rows.account_of(row) for row in read_accounts()}
        if len(found) < len(accounts):
            # One was deleted with its epoch, and what was read then was not locked.
            self._opened.clear()
            self.load(accounts, contents)
            return
        self._accounts = {account.id: (account, found[account.id]) for account in accounts}
        self._rules = {name: [RuleRow(*row) for row in read()] for name, read in rules.items()}
        for at, count in read_accepted():
            account, content = bodies[at]
            self._before[account.id, content] = count
        self._accepted = dict(self._before)
        self.loaded = {(self._epoch(account), account.id) for account in accounts}

    def _lock(self, accounts: Mapping[Account, int]) -> Callable[[], list[Row]]:
        """Lock accounts in the order of their ids, whatever the database's collation: ids are hex."""
        sql = self._sql
        if self._opened.issuperset((self._epoch(one), one.id) for one in accounts):
            epochs = rows.padded(list({self._epoch(one) for one in accounts}))
            ids = rows.padded([one.id for one in accounts])
            query = _LOCK.format(rows.places(len(epochs)), rows.places(len(ids)))
            return sql.later(query + sql.lock, *epochs, *ids)
        new = [
            (self._epoch(one), one.id, sql.stored(one.label), accounts[one], 0, 0, 0)
            for one in sorted(accounts, key=lambda one: one.id)
        ]
        return sql.later(_OPEN.format(rows.places(len(new), 7)), *chain.from_iterable(new))

    def _read_worlds(self, names: Collection[str]) -> None:
        unknown = [name for name in names if name not in self._known]
        if unknown:
            found = self._sql.all(f"{_WORLDS} IN ({rows.places(len(unknown))})", *unknown)
            self._known.update({row[0]: rows.world_of(row) for row in found})
        self._worlds = {name: self._known[name] for name in names}

    def _ask_accepted(self, contents: Sequence[tuple[Account, bytes]]) -> Callable[[], list[Row]]:
        if not contents:
            return list
        asked: list[Row] = []
        for at, (account, content) in enumerate(contents):
            world = self._worlds[account.world]
            first = task_id(world.seed, account.id, content, 1)
            asked.append((world.epoch, account.id, content, first, at))
        asked = rows.padded(asked)
        query = _ACCEPTED.format(rows.places(len(asked), 5))
        return self._sql.later(query, *chain.from_iterable(asked))

    def _epoch(self, account: Account) -> int:
        return self._worlds[account.world].epoch

    def world(self, world_id: str) -> WorldRow:
        """Return a loaded world."""
        return self._worlds[world_id]

    def account(self, account: Account) -> AccountState:
        """Return a loaded account; what is changed in it is written."""
        return self._accounts[account.id][1]

    def rules(self, world_id: str) -> list[RuleRow]:
        """Return the rules of a loaded world in their order."""
        return self._rules.get(world_id, [])

    def count_rule(self, world_id: str, rule: RuleRow, *, used: bool) -> None:
        """Count a submit that fits a rule, and whether the rule decides over it."""
        rule.seen += 1
        rule.used += used
        self._counted_rules[self._worlds[world_id].epoch, rule.id] = rule

    def count_submit(self, account: Account, content: bytes) -> int:
        """Count a submit of a body; return how many of this account there were, this one included."""
        return rows.number(self._sql, _ASK, self._epoch(account), account.id, content)

    def unfinished(self, account: Account, now_ms: int) -> int:
        """Return how many tasks of an account that has a concurrency limit are unfinished."""
        known = self._unfinished.get(account.id)
        if known is None:
            mine = (self._epoch(account), account.id)
            values = (*mine, now_ms, *mine, *mine, now_ms)
            known = now_ms, rows.number(self._sql, _UNFINISHED, *values)
            self._unfinished[account.id] = known
        return known[1]

    def failed_since(self, account: Account, now_ms: int) -> int:
        """Return how many tasks have failed by now that were not returned here before."""
        return len(self._sql.all(_REFUND, self._epoch(account), account.id, now_ms))

    def next_task_id(self, account: Account, content: bytes) -> str:
        """Return the id of the account's next task with this body."""
        occurrence = self._accepted[account.id, content] + 1
        self._accepted[account.id, content] = occurrence
        return task_id(self._worlds[account.world].seed, account.id, content, occurrence)

    def add(self, task: Task, delivery: Delivery | None) -> None:
        """Keep an accepted task, and its delivery."""
        account, state = self._accounts[task.account_id]
        self._tasks.append(rows.row_of_task(task, self._sql.stored))
        if delivery is not None:
            state.callbacks += 1
            self._deliveries.append(rows.row_of_delivery(delivery, self._sql.stored))
        known = self._unfinished.get(account.id)
        if known is not None and task.state_at(known[0]) not in FINAL:
            self._unfinished[account.id] = known[0], known[1] + 1

    def write(self) -> None:
        """Write what has changed. The store calls it before it commits."""
        sql = self._sql
        changed = [
            (
                *(self._epoch(account), sql.stored(account.label), account.id),
                *rows.values_of_account(state),
            )
            for account, state in self._accounts.values()
            if state.changed
        ]
        if changed:
            sql.insert("accounts", _ACCOUNT_COLUMNS, changed, _SAVE_ACCOUNT)
        for (epoch, rule_id), rule in self._counted_rules.items():
            query = "UPDATE rules SET seen=?, used=? WHERE epoch=? AND id=?"
            sql.run(query, rule.seen, rule.used, epoch, rule_id)
        accepted = [
            (self._epoch(self._accounts[account_id][0]), account_id, content, count, 0)
            for (account_id, content), count in self._accepted.items()
            if count > max(1, self._before[account_id, content])
        ]
        if accepted:
            sql.insert("contents", _CONTENT_COLUMNS, accepted, _SAVE_ACCEPTED)
        if self._tasks:
            sql.insert("tasks", rows.TASK_COLUMNS, self._tasks)
        if self._deliveries:
            sql.insert("deliveries", rows.DELIVERY_COLUMNS, self._deliveries)
