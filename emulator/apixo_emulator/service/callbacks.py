"""Deliveries between their store and whoever makes the attempts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import uuid4

from apixo_emulator.core import render
from apixo_emulator.core.addresses import AddressPolicy
from apixo_emulator.core.callbacks import DEEPEST, DEPTH_HEADER, CallbackOptions
from apixo_emulator.core.deliveries import Attempt, Delivery, failure_in_words, outcome_of
from apixo_emulator.core.envelope import success
from apixo_emulator.core.wire import JSON_HEADERS
from apixo_emulator.service.clock import Now
from apixo_emulator.storage import Claim, Entry, Store
from apixo_schemas import contract

# Beyond the longest attempt: a lease must not end while its holder still waits for an answer.
_LEASE_MARGIN_MS = 15_000


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt to be made: a POST of ``body`` to ``url``."""

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

    def __init__(self, store: Store, options: CallbackOptions, now: Now) -> None:
        self._store = store
        self._options = options
        self._now = now
        self._owner = uuid4().hex
        self.blocking = store.blocking
        self._lease_ms = contract().callbacks.timeout_ms + _LEASE_MARGIN_MS
        # Called when a delivery may have become due earlier than the worker expects.
        self.on_change: Callable[[], object] = lambda: None

    def changed(self) -> None:
        """Tell the worker that there is something new."""
        self.on_change()

    def claim(self, limit: int, skip_origins: Collection[str] = ()) -> list[Call]:
        """Take up to ``limit`` due calls, none to the receivers to be skipped."""
        claim = Claim(self._owner, self._lease_ms, limit, skip_origins)
        return [self._call(entry) for entry in self._store.claim_deliveries(self._now(), claim)]

    def _call(self, entry: Entry) -> Call:
        task, delivery = entry.task, entry.delivery
        if delivery is None or task.ends_ms is None:
            raise ValueError(f"task {task.id} has no callback that could be due")
        payload = success(render.status(task, task.ends_ms, delivery.base_url)).body
        headers = {name.decode(): value.decode() for name, value in JSON_HEADERS}
        headers[DEPTH_HEADER.decode()] = str(delivery.depth + 1)
        return Call(
            delivery=delivery,
            url=self._options.target_url(delivery),
            policy=self._options.policy(delivery),
            headers=headers,
            body=payload,
            at_ms=self._now(),
        )

    def refused(self, call: Call) -> str | None:
        """Say why a call must not be made, None where it may be."""
        if call.delivery.depth >= DEEPEST:
            return f"a loop: {DEEPEST} callbacks led to this one, the next is not sent"
        return None

    def record(self, call: Call, reply: Reply) -> bool:
        """Keep an attempt and plan what follows; False if its lease had gone to another."""
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
        now_ms = self._now()
        outcome = outcome_of(
            call.delivery, attempt, delays_ms=self._options.delays_ms, now_ms=now_ms
        )
        return self._store.record_attempt(attempt, outcome, self._owner)

    def until_next_ms(self) -> int | None:
        """Give the ms until a delivery becomes due that is not yet, None where there is none."""
        now_ms = self._now()
        due_ms = self._store.next_due_ms(now_ms)
        return None if due_ms is None else due_ms - now_ms

    def redeliver(self, task_id: str) -> Delivery | None:
        """Send a task's callback again, now; None if there is none, or it is under way or not due."""
        delivery = self._store.redeliver(task_id, self._now())
        self.changed()
        return delivery

    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""
        return self._store.delivery(task_id)

    def deliveries(self, limit: int, offset: int = 0) -> list[Delivery]:
        """Give deliveries, the newest first."""
        return self._store.deliveries(limit, offset)

    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the attempts that a task's delivery has taken."""
        return self._store.attempts(task_id)
