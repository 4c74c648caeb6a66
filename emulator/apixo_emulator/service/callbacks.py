"""Deliveries between their store and whoever makes the attempts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.domain.addresses import AddressPolicy
from apixo_emulator.domain.callbacks import (
    DEEPEST,
    DEPTH_HEADER,
    CallbackOptions,
    copies,
    payload,
)
from apixo_emulator.domain.deliveries import (
    Attempt,
    Delivery,
    Outcome,
    failure_in_words,
    outcome_of,
)
from apixo_emulator.domain.tasks import Task
from apixo_emulator.domain.wire import JSON_HEADERS
from apixo_emulator.service.worlds import World, Worlds
from apixo_emulator.storage import Claim, Entry, Store
from apixo_schemas import contract

# Beyond the longest attempt: a lease must not end while its holder still waits for an answer.
_LEASE_MARGIN_MS = 15_000


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to be made: a POST of ``body`` to ``url``."""

    task: Task
    delivery: Delivery
    url: str
    policy: AddressPolicy
    headers: Mapping[str, str]
    body: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call: a status and a piece of the answer, or why there was none."""

    duration_ms: int
    status: int | None = None
    excerpt: str = ""
    error: str | None = None
    # No retry can help.
    hopeless: bool = False


class Callbacks:
    """Hands out due calls and keeps what came of them. One owner of leases a process."""

    def __init__(self, store: Store, options: CallbackOptions, worlds: Worlds) -> None:
        self._store = store
        self._options = options
        self._worlds = worlds
        worlds.on_change = self.changed
        self._owner = uuid4().hex
        self.blocking = store.blocking
        self._lease_ms = contract().callbacks.timeout_ms + _LEASE_MARGIN_MS
        # Called when a delivery may have become due earlier than the worker expects.
        self.on_change: Callable[[], object] = lambda: None
        # Grows with every change, so that a watcher sees that there is something new.
        self.changes = 0

    def changed(self) -> None:
        """Tell the worker that there is something new."""
        self.changes += 1
        self.on_change()

    def _busy(self) -> list[World]:
        """Give the worlds that may have a callback to make."""
        if not self._worlds.per_key:
            return [self._worlds.get(ONE_WORLD)]
        return [self._worlds.get(name) for name in self._store.worlds_with_deliveries()]

    def claim(self, limit: int, skip_origins: Collection[str] = ()) -> list[Call]:
        """Take up to ``limit`` due calls, none to the receivers to be skipped."""
        calls: list[Call] = []
        for world in self._busy():
            now_ms = self._worlds.now(world)
            claim = Claim(self._owner, self._lease_ms, limit - len(calls), skip_origins)
            entries = self._store.claim_deliveries(world.id, now_ms, claim)
            calls.extend(self._call(entry, now_ms) for entry in entries)
            if len(calls) >= limit:
                break
        return calls

    def _call(self, entry: Entry, now_ms: int) -> Call:
        task, delivery = entry.task, entry.delivery
        if delivery is None:
            raise ValueError(f"task {task.id} has no callback")
        headers = {name.decode(): value.decode() for name, value in JSON_HEADERS}
        headers[DEPTH_HEADER.decode()] = str(delivery.depth + 1)
        return Call(
            task=task,
            delivery=delivery,
            url=self._options.target_url(delivery),
            policy=self._options.policy(delivery),
            headers=headers,
            body=payload(task, delivery.base_url),
            at_ms=now_ms,
        )

    def refused(self, call: Call) -> str | None:
        """Say why a call must not be made, None where it may be."""
        if call.delivery.depth >= DEEPEST:
            return f"a loop: {DEEPEST} callbacks led to this one, the next is not sent"
        return None

    def record(self, made: Sequence[tuple[Call, Reply]]) -> list[bool]:
        """Keep attempts and plan what follows each; False where the lease had gone to another."""
        self.changes += 1
        decided = [self._decided(call, reply) for call, reply in made]
        return self._store.record_attempts(decided, self._owner)

    def _decided(self, call: Call, reply: Reply) -> tuple[Attempt, Outcome]:
        error = reply.error
        if error is None and reply.status is not None:
            error = failure_in_words(reply.status)
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
        outcome = outcome_of(
            call.delivery,
            attempt,
            delays_ms=self._options.delays_ms,
            now_ms=self._worlds.now(self._worlds.get(call.delivery.world)),
            copies=copies(call.task),
        )
        return attempt, outcome

    def until_next_ms(self) -> int | None:
        """Give the machine's ms until a delivery becomes due that is not yet, None if none will."""
        waits: list[int] = []
        for world in self._busy():
            due_ms = self._store.next_due_ms(world.id, self._worlds.now(world))
            wait_ms = None if due_ms is None else self._worlds.real_wait_ms(world, due_ms)
            if wait_ms is not None:
                waits.append(wait_ms)
        return min(waits, default=None)

    def redeliver(self, delivery: Delivery) -> Delivery | None:
        """Send a callback again, now; None if it is under way or not due."""
        world = self._worlds.get(delivery.world)
        sent = self._store.redeliver(delivery.task_id, self._worlds.now(world))
        self.changed()
        return sent

    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""
        return self._store.delivery(task_id)

    def deliveries(self, world: World, limit: int, offset: int = 0) -> list[Delivery]:
        """Give a world's deliveries, the newest first."""
        return self._store.deliveries(world.id, limit, offset)

    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the attempts that a task's delivery has taken."""
        return self._store.attempts(task_id)
