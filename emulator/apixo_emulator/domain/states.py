"""The states of a task, and the only table of how one follows another.

Theory of operation
-------------------
A task's state is never stored. Submit fixes a *timeline*: the instants, in Unix ms on the
emulator's clock, at which events are planned to happen. `state_at` replays the events that have
happened by ``now`` through `TRANSITIONS`, so the same task at the same instant has the same state
in every process, before and after a restart, and reading changes nothing.

The rules, all from the page's field list and examples:

1. A task starts in ``pending`` and may pass it so quickly that no poll sees it.
2. ``success`` and ``failed`` are final: their rows of the table are empty, so an event after one
   of them is an error of this program, not a transition.
3. A task that is ``stuck`` has no end in its timeline; it stays ``processing`` for ever.

What does not fit the table: a source picture is looked at while its task runs, and what is found
decides how the task ends. Until it is known, the end is not in the timeline (`tasks.view` holds
the task in ``processing``), and settling it can move the end to a later instant, never to an
earlier one. So an end that a poll has seen is never taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class TaskState(StrEnum):
    """The four documented states (page, Status response fields)."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to a task."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"


Timeline = tuple[tuple[Event, int], ...]

TRANSITIONS: Mapping[TaskState, Mapping[Event, TaskState]] = {
    TaskState.PENDING: {Event.START: TaskState.PROCESSING},
    TaskState.PROCESSING: {Event.SUCCEED: TaskState.SUCCESS, Event.FAIL: TaskState.FAILED},
    TaskState.SUCCESS: {},
    TaskState.FAILED: {},
}


def advance(state: TaskState, event: Event) -> TaskState:
    """Return the state after an event.

    Raises:
        ValueError: The event cannot happen in this state.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        possible = ", ".join(TRANSITIONS[state]) or "nothing, it is final"
        raise ValueError(
            f"{event} cannot happen to a task in {state}; possible: {possible}"
        ) from None


def state_at(timeline: Iterable[tuple[Event, int]], now_ms: int) -> TaskState:
    """Return the state at an instant, in Unix ms. The timeline is in the order of time."""
    state = TaskState.PENDING
    for event, at_ms in timeline:
        if at_ms > now_ms:
            break
        state = advance(state, event)
    return state


def is_final(state: TaskState) -> bool:
    """True if nothing can happen any more."""
    return not TRANSITIONS[state]
