"""Worlds: tenants, each with a clock, a seed, rules, accounts, tasks and a journal of its own.

By default there is one. With a world per key, parallel test runs share a server without disturbing each other.
All of a world but the calls that this process has answered is kept in the store, and looked up
there, so that several processes act as one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import perf_counter_ns
from typing import Any

import orjson

from apixo_emulator.domain.accounts import ONE_WORLD, Account, AccountTerms
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.domain.deliveries import CallbackOptions
from apixo_emulator.domain.tasks import Latency, Task
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.journal.journal import MAX_BYTES, Journal, JournalBudget, SharedJournal
from apixo_emulator.scenarios.rules import Rule, rule_of, rule_to_json
from apixo_emulator.storage import RuleRow, Store, WorldRow

Now = Callable[[], int]


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
    # Masked in the texts of every call, by any client.
    known_keys: frozenset[str] = frozenset()
    # Of the journals of all worlds in this process.
    journal_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class Options:
    """How the emulator behaves. ``api_keys`` None accepts any key; money is in millionths of USD.

    ``accounts`` are the terms of keys, by key.
    """

    latency: Latency
    balance_micros: int
    api_keys: frozenset[str] | None = None
    public_url: str | None = None
    callbacks: CallbackOptions = field(default_factory=CallbackOptions)
    worlds: WorldOptions = field(default_factory=WorldOptions)
    accounts: Mapping[str, AccountTerms] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """A world in this process: the calls that the process has answered."""

    id: str
    label: str
    epoch: int
    journal: Journal | SharedJournal
    # By endpoint and status, since the start of the process.
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, epoch: int) -> None:
        """Forget the calls of earlier epochs: the world was reset, by this process or another."""
        with self._lock:
            if epoch > self.epoch:
                self.epoch = epoch
                self.journal.begin(epoch)

    def note(self, call: Call, response: HttpResponse) -> None:
        """Count an answered call, and keep it in the journal unless a reset came in between."""
        duration_us = (perf_counter_ns() - call.began_ns) // 1000
        self.answered[call.endpoint, response.status] += 1
        with self._lock:
            if call.epoch > self.epoch:
                self.begin(call.epoch)
            if call.epoch == self.epoch:
                self.journal.append(call, response, duration_us)


@dataclass(slots=True, eq=False)
class Call:
    """A request with its caller and world; what decides about it writes down why.

    The one mutable object of the service: it lives as long as the call, then the journal reads it.
    """

    request: HttpRequest
    world: World
    # On the machine's performance counter.
    began_ns: int
    # The instant and the epoch of its world, once they are looked up.
    at_ms: int = 0
    epoch: int = 0
    account: Account | None = None
    key: str | None = None
    endpoint: str = ""
    task_id: str | None = None
    # The id of the contract's rule that the body breaks.
    broken_rule: str | None = None
    # The scenario that was asked for, the rule that asked, and why the other rules did not.
    scenario: str | None = None
    rule: str | None = None
    why_not: tuple[tuple[str, str], ...] = ()
    fault: str | None = None
    decision: str = ""

    @property
    def world_id(self) -> str:
        """The id of its world."""
        return self.world.id

    def at(self, row: WorldRow, real_ms: int) -> None:
        """Note the instant in its world, and the epoch."""
        self.at_ms = row.clock.now(real_ms)
        self.epoch = row.epoch


class Worlds:
    """All worlds of a store, by id. Safe to use from several threads."""

    def __init__(self, store: Store, real_now: Now, options: WorldOptions) -> None:
        self._store = store
        self.real_now = real_now
        self._options = options
        self._seed = store.seed(options.seed)
        self._journal_budget = JournalBudget(options.journal_bytes)
        self._file_rules = [_written(rule) for rule in options.rules]
        self._lock = threading.RLock()
        self._known: dict[str, World] = {}
        # How often the journal had been asked for when this process shared its part of it.
        self._asked = -1
        # Called when a clock was changed: what was far off may be due now.
        self.on_change: Callable[[str], object] = lambda _world_id: None
        self.one = self._open(ONE_WORLD, ONE_WORLD)
        row = self.row(self.one)
        if row.seed != self._seed or options.rate not in (None, row.clock.rate):
            store.change_world(ONE_WORLD, self._wanted)

    @property
    def per_key(self) -> bool:
        """Whether every key has a world of its own."""
        return self._options.per_key

    @property
    def shared(self) -> bool:
        """Whether other processes use the store, too."""
        return not self._options.alone

    def _wanted(self, row: WorldRow) -> WorldRow:
        """Return the default world, as the options set it."""
        clock = row.clock
        if self._options.rate is not None:
            clock = clock.at_rate(self._options.rate, self.real_now())
        return replace(row, seed=self._seed, clock=clock)

    def _first_clock(self) -> ClockState:
        rate, real_ms = self._options.rate, self.real_now()
        return ClockState() if rate in (None, 1.0) else ClockState(real_ms, real_ms, rate or 0.0)

    def _open(self, world_id: str, label: str) -> World:
        proposed = WorldRow(world_id, label, self._seed, self._first_clock())
        row = self._store.open_world(proposed, self._file_rules)
        keys, budget = self._options.known_keys, self._journal_budget
        journal = (
            Journal(budget=budget, known_keys=keys)
            if self._options.alone
            else SharedJournal(self._store, row.epoch, budget, keys)
        )
        world = self._known[world_id] = World(world_id, row.label, row.epoch, journal)
        return world

    def of(self, account: Account | None) -> World:
        """Return the world of a caller; calls without a key belong to the one that is always there."""
        if account is None or account.world == ONE_WORLD:
            return self.one
        return self.get(account.world, account.label)

    def is_open(self, account: Account) -> bool:
        """True if this process has loaded an account's world."""
        return account.world in self._known

    def get(self, world_id: str, label: str = "") -> World:
        """Return a world, made where it was never used before."""
        known = self._known.get(world_id)
        if known is not None:
            return known
        with self._lock:
            return self._known.get(world_id) or self._open(world_id, label)

    def find(self, world_id: str) -> World | None:
        """Return a world, None where it was never used."""
        is_kept = world_id in self._known or self._store.look(world_id)[0] is not None
        return self.get(world_id) if is_kept else None

    def look(self, world: World, task_id: str = "") -> tuple[WorldRow, Task | None]:
        """Return a world as it is kept now, and a task of any world without its ``image_url``."""
        row, task = self._store.look(world.id, task_id)
        if row is None:  # the store was made empty while this process runs
            with self._lock:
                row = self._store.open_world(
                    WorldRow(world.id, world.label, self._seed, self._first_clock()),
                    self._file_rules,
                )
        return row, task

    def row(self, world: World) -> WorldRow:
        """Return a world as it is kept now."""
        row = self.look(world)[0]
        world.begin(row.epoch)
        return row

    def now(self, world: World) -> int:
        """Return the instant in a world, in Unix ms."""
        return self.look(world)[0].clock.now(self.real_now())

    def change_clock(
        self, world: World, change: Callable[[ClockState, int], ClockState]
    ) -> ClockState:
        """Change a world's clock; ``change`` gets it and the machine's instant, in Unix ms.

        Raises:
            ValueError: As ``change`` does.
        """
        real_ms = self.real_now()
        row = self._store.change_world(
            world.id, lambda row: replace(row, clock=change(row.clock, real_ms))
        )
        self.on_change(world.id)
        return row.clock

    def rules(self, world: World) -> list[tuple[Rule, RuleRow]]:
        """Return the active rules in the order in which they are tried, with their counts."""
        return [(read_rule(row.id, row.document), row) for row in self._store.rules(world.id)]

    def add_rule(self, world: World, document: Mapping[str, Any]) -> RuleRow:
        """Add a rule behind those that were added before, and before the scenario file's.

        Raises:
            ValueError: It is no rule.
        """
        written = _written(rule_of(document, "new"))
        return RuleRow(self._store.add_rule(world.id, written), written)

    def drop_rules(self, world: World, rule_id: str | None = None) -> int:
        """Remove one rule, or all but the scenario file's; return how many there were."""
        return self._store.drop_rules(world.id, rule_id)

    def reset(self, world: World, seed: int | None = None) -> WorldRow:
        """Begin a world anew: no tasks, accounts, added rules or journal, the clock as at the start."""
        wanted, clock = self._seed if seed is None else seed, self._first_clock()
        row = self._store.reset_world(
            world.id, lambda row: replace(row, seed=wanted, clock=clock), self._file_rules
        )
        world.begin(row.epoch)
        self.on_change(world.id)
        return row

    def share(self, *, unasked: bool = False) -> None:
        """Let other processes see what this one has answered, if any asks; to be called often."""
        count = self._store.journal_asked()
        if count == self._asked and not unasked:
            return
        self._asked = count
        for world in list(self._known.values()):
            if isinstance(world.journal, SharedJournal) and world.journal.unshared:
                self.row(world)  # what was answered before a reset is not shared any more
                world.journal.share()


def _written(rule: Rule) -> str:
    return orjson.dumps(rule_to_json(rule)).decode()


@lru_cache(maxsize=1024)
def read_rule(rule_id: str, document: str) -> Rule:
    """Read a rule as it is kept."""
    return rule_of(orjson.loads(document), rule_id=rule_id)
