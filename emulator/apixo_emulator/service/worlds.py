"""Worlds: each has a clock, a seed, rules, accounts and a journal of its own.

By default there is one. With a world per key, parallel test runs share a server and disturb nobody.
What several processes must agree on lies in the store; a process keeps what it has read until the
store's revision says that somebody has changed something.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from apixo_emulator.domain.accounts import ONE_WORLD, Account
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.journal.journal import MAX_BYTES, Journal, JournalBudget
from apixo_emulator.journal.shared_journal import SharedJournal
from apixo_emulator.scenarios.rules import Rule, rule_of, rule_to_json
from apixo_emulator.service.clock import Now
from apixo_emulator.storage import RuleRow, Store, WorldRow

# Rules of the scenario file; they stand behind those that were added since.
FILE_PREFIX = "file-"
ADDED_PREFIX = "rule-"
_MOST_ASKED = 100_000


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """How worlds start.

    ``alone`` says that no other process changes the store; ``rate`` None leaves the clock as kept.
    """

    seed: int | None = None
    rate: float | None = None
    per_key: bool = False
    alone: bool = True
    rules: Sequence[Rule] = ()
    # Masked in every call's texts, whoever made it.
    known_keys: frozenset[str] = frozenset()
    # Of the journals of all worlds in this process.
    journal_bytes: int = MAX_BYTES


@dataclass(slots=True)
class World:
    """A world as this process knows it."""

    row: WorldRow
    journal: Journal | SharedJournal
    rules: tuple[Rule, ...] = ()
    # Calls that this process has answered, by endpoint and status.
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)

    # How often an account has asked for the very same, for the draws of rules.
    _asked: Counter[tuple[str, bytes]] = field(default_factory=Counter)

    def draw_token(self, account_id: str, content: bytes) -> str:
        """Give what draws of probabilities depend on: who asks for what, and how often by now.

        Not on an order among callers; of several that ask for the very same each draws for itself.
        """
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[account_id, content] += 1
        return f"{account_id} {content.hex()} {self._asked[account_id, content]}"

    def forget(self) -> None:
        """Begin the journal and the draws anew."""
        self.journal.clear()
        self._asked.clear()

    @property
    def id(self) -> str:
        """Its name in the store and in control calls."""
        return self.row.id


class Worlds:
    """All worlds of a store, by id."""

    def __init__(self, store: Store, real_now: Now, options: WorldOptions) -> None:
        self._store = store
        self._real_now = real_now
        self._options = options
        self._seed = store.seed(options.seed)
        self._journal_budget = JournalBudget(options.journal_bytes)
        self._lock = threading.RLock()
        self._known: dict[str, World] = {}
        self._revision = -1
        # How often the journal had been asked for when this process shared its part of it.
        self._asked = -1
        # Called when a clock was changed: what was far off may be due now.
        self.on_change: Callable[[], object] = lambda: None
        # Called when another process has changed something.
        self.on_refresh: Callable[[], object] = lambda: None
        self.one = self._first()

    @property
    def per_key(self) -> bool:
        """Whether every key has a world of its own."""
        return self._options.per_key

    def _first(self) -> World:
        """Open the world that is always there, as the options want it."""
        world = self._open(ONE_WORLD, ONE_WORLD)
        rate = self._options.rate
        if world.row.seed != self._seed or rate not in (None, world.row.clock.rate):
            self._change(world, self._wanted)
        return world

    def _wanted(self, row: WorldRow) -> WorldRow:
        clock = row.clock
        if self._options.rate is not None:
            clock = clock.at_rate(self._options.rate, self._real_now())
        return replace(row, seed=self._seed, clock=clock)

    def _open(self, world_id: str, label: str) -> World:
        real_ms = self._real_now()
        clock = (
            ClockState()
            if self._options.rate is None
            else ClockState(real_ms, real_ms, self._options.rate)
        )
        row = self._store.world(WorldRow(world_id, label, self._seed, clock))
        world = World(row, self._journal(world_id))
        self._put_file_rules(world_id)
        self._load(world)
        self._known[world_id] = world
        return world

    def _journal(self, world_id: str) -> Journal | SharedJournal:
        keys, budget = self._options.known_keys, self._journal_budget
        if self._options.alone:
            return Journal(budget=budget, known_keys=keys)
        return SharedJournal(self._store, world_id, budget, keys)

    def _put_file_rules(self, world_id: str) -> None:
        """Bring the scenario file's rules into the store, where their uses are counted."""
        kept = {row.id: row for row in self._store.rules(world_id) if _from_file(row.id)}
        wanted = {
            f"{FILE_PREFIX}{number}": orjson.dumps(rule_to_json(rule)).decode()
            for number, rule in enumerate(self._options.rules, start=1)
        }
        if {name: row.document for name, row in kept.items()} == wanted:
            return
        for name in kept:
            self._store.drop_rules(world_id, name)
        for name, document in wanted.items():
            self._store.add_rule(world_id, RuleRow(name, document))

    def _load(self, world: World) -> None:
        rows = sorted(self._store.rules(world.id), key=lambda row: _from_file(row.id))
        world.rules = tuple(rule_of(orjson.loads(row.document), rule_id=row.id) for row in rows)

    def of(self, account: Account | None) -> World:
        """Give the world of a caller; calls without a key belong to the one that is always there."""
        if account is None or account.world == ONE_WORLD:
            return self.one if self._options.alone else self.get(ONE_WORLD)
        return self.get(account.world, account.label)

    def get(self, world_id: str, label: str = "") -> World:
        """Give a world, made where it was never used before."""
        self._refresh()
        known = self._known.get(world_id)
        if known is not None:
            return known
        with self._lock:
            return self._known.get(world_id) or self._open(world_id, label)

    def share(self, *, unasked: bool = False) -> None:
        """Let other processes see what this one has answered, if any asks; to be called often."""
        count = self._store.journal_asked()
        if count == self._asked and not unasked:
            return
        self._asked = count
        for world in list(self._known.values()):
            if isinstance(world.journal, SharedJournal):
                world.journal.share()

    @property
    def shared(self) -> bool:
        """Whether other processes use the store, too."""
        return not self._options.alone

    def all(self) -> list[World]:
        """Give every world that was ever used, the one that is always there first."""
        rows = self._store.worlds()
        worlds = [self.get(row.id, row.label) for row in rows]
        return sorted(worlds, key=lambda world: world.id != ONE_WORLD)

    def _refresh(self) -> None:
        """Read anew what another process may have changed."""
        if self._options.alone:
            return
        revision = self._store.revision()
        if revision == self._revision:
            return
        with self._lock:
            for world in self._known.values():
                world.row = self._store.world(world.row)
                self._load(world)
            self.on_refresh()
            self._revision = revision

    def now(self, world: World) -> int:
        """Give the instant in a world, in Unix ms."""
        return world.row.clock.now(self._real_now())

    def real_wait_ms(self, world: World, due_ms: int) -> int | None:
        """Give the machine's ms until an instant of a world; None for ever."""
        return world.row.clock.real_wait_ms(due_ms, self._real_now())

    def change_clock(
        self, world: World, change: Callable[[ClockState, int], ClockState]
    ) -> ClockState:
        """Change a world's clock; ``change`` gets it and the machine's instant, in Unix ms.

        Raises:
            ValueError: As ``change`` does.
        """
        self._change(world, lambda row: replace(row, clock=change(row.clock, self._real_now())))
        self.on_change()
        return world.row.clock

    def _change(self, world: World, change: Callable[[WorldRow], WorldRow]) -> None:
        with self._lock:
            world.row = self._store.change_world(world.id, change)

    def add_rule(self, world: World, document: Mapping[str, Any]) -> Rule:
        """Add a rule behind those that were added before, and before the scenario file's.

        Raises:
            ValueError: It is no rule.
        """
        with self._lock:
            # Counted and not random: draws depend on it, and the same calls give the same run.
            numbers = [int(rule.id.rpartition("-")[2]) for rule in world.rules]
            rule = rule_of(document, f"{ADDED_PREFIX}{max(numbers, default=0) + 1}")
            self._store.add_rule(
                world.id, RuleRow(rule.id, orjson.dumps(rule_to_json(rule)).decode())
            )
            self._load(world)
        return rule

    def drop_rules(self, world: World, rule_id: str | None = None) -> int:
        """Remove one rule, or all but the scenario file's; give how many there were."""
        with self._lock:
            if rule_id is not None:
                dropped = self._store.drop_rules(world.id, rule_id)
            else:
                added = [rule.id for rule in world.rules if not _from_file(rule.id)]
                dropped = sum(self._store.drop_rules(world.id, name) for name in added)
            self._load(world)
        return dropped

    def reset(self, world: World, seed: int | None = None) -> None:
        """Begin a world anew: no tasks, accounts, added rules or journal, the clock as at the start."""
        with self._lock:
            self._store.reset_world(world.id)
            real_ms = self._real_now()
            rate = 1.0 if self._options.rate is None else self._options.rate
            clock = ClockState() if rate == 1.0 else ClockState(real_ms, real_ms, rate)
            self._change(
                world,
                lambda row: replace(row, seed=self._seed if seed is None else seed, clock=clock),
            )
            self._put_file_rules(world.id)
            self._load(world)
            world.forget()
        self.on_change()


def _from_file(rule_id: str) -> bool:
    return rule_id.startswith(FILE_PREFIX)
