"""Callbacks: the states of a delivery, and what follows an attempt.

Theory of operation
-------------------
A task in callback mode gets one delivery, kept in the same transaction as the task, due when the
task ends. Unlike a task's state a delivery's is stored, since it depends on what receivers answer:

1. A worker *claims* a due delivery, holds it under a lease and makes one attempt. A lease that ends
   without a record means that its worker has died: the delivery may be claimed again. So a
   delivery is made at least once, and never twice at the same time.
2. An attempt is a success if the receiver answers 200 in time (platform fact P4); where duplicates
   are asked for, it is made *again* at once. Otherwise it is made again after the next of the
   retry delays (P5), until they are used up: *exhausted*.
3. *Redeliver*, from any state that is not under way, starts over: due now, all retries left.

The payload is not stored: it is a function of the task, which is final, and of the base URL that
the submit came through, so all attempts send the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from apixo_schemas import contract


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    SCHEDULED = "scheduled"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    CLAIM = "claim"
    ACCEPTED = "accepted"
    AGAIN = "again"
    RETRY = "retry"
    GIVE_UP = "give-up"
    REDELIVER = "redeliver"


DELIVERY_TRANSITIONS: Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]] = {
    DeliveryState.SCHEDULED: {
        DeliveryEvent.CLAIM: DeliveryState.DELIVERING,
        DeliveryEvent.REDELIVER: DeliveryState.SCHEDULED,
    },
    DeliveryState.DELIVERING: {
        # Claimed again when the lease has ended.
        DeliveryEvent.CLAIM: DeliveryState.DELIVERING,
        DeliveryEvent.ACCEPTED: DeliveryState.DELIVERED,
        DeliveryEvent.AGAIN: DeliveryState.SCHEDULED,
        DeliveryEvent.RETRY: DeliveryState.SCHEDULED,
        DeliveryEvent.GIVE_UP: DeliveryState.EXHAUSTED,
    },
    DeliveryState.DELIVERED: {DeliveryEvent.REDELIVER: DeliveryState.SCHEDULED},
    DeliveryState.EXHAUSTED: {DeliveryEvent.REDELIVER: DeliveryState.SCHEDULED},
}


def advance_delivery(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """Return the state after an event.

    Raises:
        ValueError: The event cannot happen in this state.
    """
    try:
        return DELIVERY_TRANSITIONS[state][event]
    except KeyError:
        possible = ", ".join(DELIVERY_TRANSITIONS[state])
        raise ValueError(
            f"{event} cannot happen to a delivery that is {state}; possible: {possible}"
        ) from None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One task's callback. Instants are Unix ms; ``due_ms`` None waits for the task to get an end.

    ``attempts`` counts all that were claimed; ``tries`` those that were made and recorded since the
    last redeliver. Retries are counted by the latter: an attempt lost in a crash uses none up.
    ``accepted`` counts the answers 200 since the last redeliver.
    """

    task_id: str
    world: str
    epoch: int
    url: str
    origin: str
    base_url: str
    depth: int
    state: DeliveryState
    due_ms: int | None
    attempts: int
    tries: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt; ``status`` None means that there is no response, and ``error`` why."""

    task_id: str
    number: int
    at_ms: int
    duration_ms: int
    status: int | None
    excerpt: str
    error: str | None
    # Not kept: that no retry can help, since the URL itself must not be called.
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows an attempt; ``due_ms`` only where there is another."""

    state: DeliveryState
    due_ms: int | None
    accepted: int = 0


def outcome_of(
    delivery: Delivery,
    attempt: Attempt,
    *,
    delays_ms: Sequence[int],
    now_ms: int,
    copies: int = 1,
) -> Outcome:
    """Decide what follows an attempt of a claimed delivery (P4 and P5).

    ``delays_ms`` are the waits after the first, second, … failed try; ``copies`` is how many times
    it is sent to a receiver that accepts it.
    """
    if attempt.status == contract().callbacks.success_status:
        accepted = delivery.accepted + 1
        if accepted < copies:
            again = advance_delivery(delivery.state, DeliveryEvent.AGAIN)
            return Outcome(again, now_ms, accepted)
        return Outcome(advance_delivery(delivery.state, DeliveryEvent.ACCEPTED), None, accepted)
    failed = delivery.tries - delivery.accepted
    if attempt.hopeless or failed >= len(delays_ms):
        gone = advance_delivery(delivery.state, DeliveryEvent.GIVE_UP)
        return Outcome(gone, None, delivery.accepted)
    due_ms = now_ms + delays_ms[failed]
    retry = advance_delivery(delivery.state, DeliveryEvent.RETRY)
    return Outcome(retry, due_ms, delivery.accepted)


_REDIRECTS = range(300, 400)
_LONGEST_LOCATION = 200


def failure_of(status: int, location: str | None = None) -> str | None:
    """Return why a response counts as failed; None for the one that counts as a success.

    ``location`` is where a redirect points.
    """
    wanted = contract().callbacks.success_status
    if status == wanted:
        return None
    words = f"expected the status {wanted}, received {status}"
    if status in _REDIRECTS and location is not None:
        words += f" to {location[:_LONGEST_LOCATION]}: redirects are not followed, use that URL"
    return words
