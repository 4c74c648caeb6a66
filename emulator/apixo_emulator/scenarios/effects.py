"""Combined effects: merged, and checked for contradictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from apixo_emulator.domain.effects import (
    CallbackEffects,
    Duration,
    Effects,
    Fault,
    Quirk,
    Value,
)
from apixo_emulator.domain.wire import WireFault

_V = TypeVar("_V", bound=Value)

_IN_WORDS = {
    "failure": "how the task ends",
    **dict.fromkeys(("total_ms", "median_ms", "sigma"), "how long the task takes"),
    "pending_ms": "how long the task is pending",
    "error": "the answer",
    "wire": "how the answer is damaged",
    "retry_after_s": "the `Retry-After`",
    "retry_after_form": "the form of `Retry-After`",
    "error_data": "the `data` of the error",
    "delay_ms": "how late the result is sent",
    "copies": "how many callbacks are sent",
    "late_ms": "how late the callback is",
    "poll_lag_ms": "how early the callback is",
}
# Only polls show these; the callback never does.
_UNTIL_THE_END = frozenset({Quirk.STATE_UNKNOWN, Quirk.DATA_MISSING})


class ContradictionError(ValueError):
    """Effects that cannot all happen; the message says why."""


def merged(one: Effects, other: Effects) -> Effects:
    """Return the effects of both.

    Raises:
        ContradictionError: Both set the same thing, differently.
    """
    both_on_polls = one.status_fault is not None and other.status_fault is not None
    if both_on_polls and one.status_fault_times != other.status_fault_times:
        raise ContradictionError("both set how many polls fail")
    return replace(_merged_fields(one, other), name=f"{one.name}+{other.name}")


def _merged_fields(one: _V, other: _V) -> _V:
    mine, theirs = one.given(), other.given()
    return replace(
        one,
        **{
            name: _both(name, mine[name], value) if name in mine else value
            for name, value in theirs.items()
        },
    )


def _both(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, frozenset):
        return one | other
    if isinstance(one, Value):
        return _merged_fields(one, other)
    if name != "name" and one != other:
        raise ContradictionError(f"both set {_IN_WORDS[name]}")
    return one


def contradiction(effects: Effects) -> str | None:
    """Return why some of the effects can never be seen beside the others; None if all can."""
    return next(chain(_in_the_task(effects), _in_the_responses(effects)), None)


def _in_the_task(effects: Effects) -> Iterator[str]:
    if _refuses(effects.submit_fault):
        rest = replace(effects, submit_fault=None)
        if rest != Effects(effects.name):
            yield "a submit that is refused starts no task to which the rest could happen"
    fails, taken = effects.failure is not None, effects.duration or Duration()
    fixed, drawn = taken.total_ms is not None, taken.median_ms is not None
    if fails and effects.succeed:
        yield "a task either fails or succeeds"
    if effects.stuck and (fails or effects.succeed or fixed or drawn):
        yield "a task that is stuck has no end"
    if fixed and drawn:
        yield "a task takes either a fixed time or one drawn from a distribution"
    if fixed and (taken.pending_ms or 0) > (taken.total_ms or 0):
        yield "a task is not pending for longer than it takes"


def _in_the_responses(effects: Effects) -> Iterator[str]:
    callback = effects.callback
    if callback.lost and callback != CallbackEffects(lost=True):
        yield "a callback that is lost is not sent in any other way"
    if callback.late_ms and callback.poll_lag_ms:
        yield "a callback comes either before or after polls see the end"
    if effects.result.missing and effects.result.html:
        yield "a result's address answers either 404 or with a page"
    for fault in (effects.submit_fault, effects.status_fault):
        wire = fault.wire if fault is not None and fault.error is not None else None
        if wire is WireFault.HTML:
            yield "an answer is either an error of the API or a gateway's page"
        if wire is WireFault.RESET:
            yield "a connection that is reset instead of an answer carries no error of the API"
    if effects.quirks >= _UNTIL_THE_END:
        yield "an answer without `data` shows no state"
    if _answers_no_poll(effects) and (effects.quirks & _UNTIL_THE_END or callback.poll_lag_ms):
        yield "no poll is ever answered with the state of the task"


def _refuses(fault: Fault | None) -> bool:
    """True if a call with this fault has no effect."""
    return fault is not None and (fault.error is not None or fault.wire is WireFault.HTML)


def _answers_no_poll(effects: Effects) -> bool:
    fault = effects.status_fault
    if fault is None or effects.status_fault_times is not None:
        return False
    return _refuses(fault) or fault.wire is WireFault.RESET
