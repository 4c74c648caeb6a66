"""Callbacks: which are due, and what follows from each attempt."""

from __future__ import annotations

import heapq
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from apixo_emulator.domain.addresses import AddressPolicy
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.domain.deliveries import (
    DEEPEST,
    Attempt,
    CallbackOptions,
    Delivery,
    Outcome,
    copies,
    failure_of,
    outcome_of,
    payload,
)
from apixo_emulator.domain.tasks import Task
from apixo_emulator.journal.secrets import masked_for_account
from apixo_emulator.outbound import callback_headers
from apixo_emulator.service.worlds import Worlds
from apixo_emulator.storage import Claim, Entry, Store
from apixo_schemas import contract

_log = logging.getLogger("apixo_emulator")
# After so many ms processes that share a store look for what others have left; one that is alone
# looks for what it may have missed.
_SURVEY_MS = 1000
_LONE_SURVEY_MS = 15_000
# Beyond the longest attempt: a lease must not end while its holder still waits for a response.
_LEASE_MARGIN_MS = 15_000


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to be made: a POST of ``body`` to ``url``."""

    task: Task
    delivery: Delivery
    url: str
    policy: AddressPolicy
    depth: int
    body: bytes
    at_ms: int

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that are sent, without those that frame the request."""
        return callback_headers(self.depth)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: a status and the begin of the body, or why there is none."""

    duration_ms: int
    status: int | None = None
    excerpt: str = ""
    error: str | None = None
    # No retry can help.
    hopeless: bool = False
    # Where a redirect points.
    location: str | None = None


class _Schedule:
    """When each world may have a callback to make next, in ms of the store's clock.

    So looking for callbacks costs the same with one world and with thousands.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, int] = {}
        # What has been planned, and stands no longer where `_at` says otherwise.
        self._heap: list[tuple[int, str]] = []

    def plan(self, world_id: str, at_ms: int) -> bool:
        """Plan to look into a world, unless that is planned for earlier; True if it is the next."""
        with self._lock:
            if at_ms < self._at.get(world_id, at_ms + 1):
                self._at[world_id] = at_ms
                heapq.heappush(self._heap, (at_ms, world_id))
            return self._next() == (at_ms, world_id)

    def take(self, now_ms: int) -> str | None:
        """Return a world into which to look now, and plan nothing for it."""
        with self._lock:
            found = self._next()
            if found is None or found[0] > now_ms:
                return None
            heapq.heappop(self._heap)
            del self._at[found[1]]
            return found[1]

    def next_ms(self) -> int | None:
        """Return when to look next, None if nothing is planned."""
        with self._lock:
            found = self._next()
        return None if found is None else found[0]

    def _next(self) -> tuple[int, str] | None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None


class Callbacks:
    """Hands out due calls and keeps what came of them. One owner of leases a process."""

    def __init__(self, store: Store, options: CallbackOptions, worlds: Worlds) -> None:
        self._store = store
        self._options = options
        self._worlds = worlds
        worlds.on_change = self.changed
        self._owner = uuid4().hex
        self._lease_ms = contract().callbacks.timeout_ms + _LEASE_MARGIN_MS
        # Called when a delivery may have become due earlier than the worker expects.
        self.on_change: Callable[[], object] = lambda: None
        # Grows with every change, so that a watcher sees that there is something new.
        self.changes = 0
        self._schedule = _Schedule()
        self._next_survey_ms = 0
        # Worlds with deliveries that were passed over: their receivers had enough under way.
        self._passed_over: set[str] = set()

    def changed(self, world_id: str) -> None:
        """Tell the worker that a delivery of a world may be due earlier than it expects."""
        self.changes += 1
        self._schedule.plan(world_id, 0)
        self.on_change()

    def added(self, delivery: Delivery | None, clock: ClockState) -> None:
        """Tell the worker of a delivery that was kept."""
        self.changes += 1
        if delivery is not None and delivery.due_ms is not None:
            self._plan(delivery.world, delivery.due_ms, clock)

    def _plan(self, world_id: str, due_ms: int, clock: ClockState) -> None:
        now_ms = self._worlds.real_now()
        wait_ms = clock.real_wait_ms(due_ms, now_ms)
        if wait_ms is not None and self._schedule.plan(world_id, now_ms + wait_ms):
            self.on_change()

    def _survey(self, now_ms: int) -> None:
        """Look for deliveries of other processes that are due, and for leases that have ended."""
        if now_ms < self._next_survey_ms:
            return
        self._next_survey_ms = now_ms + (_SURVEY_MS if self._worlds.shared else _LONE_SURVEY_MS)
        for world, due_ms in self._store.next_deliveries(now_ms):
            self._plan(world.id, due_ms, world.clock)

    def claim(self, limit: int, skip_origins: Collection[str] = ()) -> list[Call]:
        """Take up to ``limit`` due calls, none to the receivers to be skipped."""
        real_ms = self._worlds.real_now()
        self._survey(real_ms)
        calls: list[Call] = []
        while len(calls) < limit and (world_id := self._schedule.take(real_ms)):
            world = self._worlds.get(world_id)
            clock = self._worlds.row(world).clock
            now_ms = clock.now(real_ms)
            claim = Claim(self._owner, self._lease_ms, limit - len(calls), skip_origins)
            entries = self._store.claim_deliveries(world_id, now_ms, claim)
            calls.extend(self._call(entry, now_ms) for entry in entries)
            if len(entries) == claim.limit:
                self._schedule.plan(world_id, 0)
            elif (due_ms := self._store.next_due_ms(world_id, now_ms)) is not None:
                self._plan(world_id, due_ms, clock)
            if skip_origins:
                self._passed_over.add(world_id)
        return calls

    def _call(self, entry: Entry, now_ms: int) -> Call:
        task, delivery = entry.task, entry.delivery
        if delivery is None:
            raise ValueError(f"task {task.id} has no callback")
        return Call(
            task=task,
            delivery=delivery,
            url=self._options.target_url(delivery),
            policy=self._options.policy(delivery),
            depth=delivery.depth + 1,
            body=payload(task, delivery.base_url),
            at_ms=now_ms,
        )

    @staticmethod
    def refused(call: Call) -> str | None:
        """Return why a call must not be made, None where it may be."""
        is_loop = call.delivery.depth >= DEEPEST
        return (
            f"a loop: {DEEPEST} callbacks led to this one, the next is not sent"
            if is_loop
            else None
        )

    def record(self, made: Sequence[tuple[Call, Reply]]) -> list[bool]:
        """Keep attempts and plan what follows each; False where the lease had gone to another."""
        self.changes += 1
        decided = [self._decided(call, reply) for call, reply in made]
        held = self._store.record_attempts(decided, self._owner)
        for world_id in {call.delivery.world for call, _ in made} | self._passed_over:
            self._schedule.plan(world_id, 0)
        self._passed_over.clear()
        return held

    def _decided(self, call: Call, reply: Reply) -> tuple[Delivery, Attempt, Outcome]:
        error = reply.error
        if error is None and reply.status is not None:
            error = failure_of(reply.status, reply.location)
        attempt = Attempt(
            task_id=call.delivery.task_id,
            number=call.delivery.attempts,
            at_ms=call.at_ms,
            duration_ms=reply.duration_ms,
            status=reply.status,
            excerpt=reply.excerpt,
            error=error,
            hopeless=reply.hopeless,
        )
        if error is not None:
            words = masked_for_account(error, call.task.account_id)
            _log.info("callback of task %s: attempt %d: %s", attempt.task_id, attempt.number, words)
        outcome = outcome_of(
            call.delivery,
            attempt,
            delays_ms=self._options.delays_ms,
            now_ms=self._worlds.now(self._worlds.get(call.delivery.world)),
            copies=copies(call.task),
        )
        return call.delivery, attempt, outcome

    def until_next_ms(self) -> int | None:
        """Return the ms until `claim` may find something, None if nothing is planned."""
        next_ms = self._schedule.next_ms()
        return None if next_ms is None else max(0, next_ms - self._worlds.real_now())

    def redeliver(self, delivery: Delivery) -> Delivery | None:
        """Send a callback again, now; None if it is under way or not due."""
        world = self._worlds.get(delivery.world)
        sent = self._store.redeliver(delivery, self._worlds.now(world))
        self.changed(world.id)
        return sent
