"""The answer to a poll, as the task's scenario bends it."""

from __future__ import annotations

from apixo_emulator.domain import render
from apixo_emulator.domain.effects import Effects, Fault
from apixo_emulator.domain.envelope import success, without_data
from apixo_emulator.domain.faults import answered_instead, damaged
from apixo_emulator.domain.tasks import Task, seen_at
from apixo_emulator.domain.wire import HttpResponse


def status_answer(task: Task, now_ms: int, base_url: str, polls: int) -> HttpResponse:
    """Answer the ``polls``-th status call of a task, counted from 1, at an instant."""
    fault = poll_fault(task.effects, polls)
    instead = answered_instead(fault, now_ms) if fault else None
    if instead is not None:
        return instead
    at_ms = seen_at(task, now_ms)
    if not render.has_data(task, at_ms):
        return without_data()
    response = success(render.status(task, at_ms, base_url))
    return damaged(response, fault.wire) if fault and fault.wire else response


def poll_fault(effects: Effects | None, polls: int) -> Fault | None:
    """Give what befalls the ``polls``-th status call of a task, counted from 1."""
    if effects is None or effects.status_fault is None:
        return None
    times = effects.status_fault_times
    return effects.status_fault if times is None or polls <= times else None
