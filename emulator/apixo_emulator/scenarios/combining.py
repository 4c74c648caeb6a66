"""Several effects asked for together: what they make up, and whether all of it can happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from apixo_emulator.domain.effects import (
    CallbackEffects,
    Duration,
    Effects,
    Fault,
    Quirk,
    ResultEffects,
    Value,
)
from apixo_emulator.domain.wire import WireFault

_V = TypeVar("_V", bound=Value)

_IN_WORDS = {
    "failure": "how the task ends",
    "total_ms": "how long the task takes",
    "median_ms": "how long the task takes",
    "sigma": "how long the task takes",
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


# What only polls show, unlike what the callback has too.
_UNTIL_THE_END = frozenset({Quirk.STATE_UNKNOWN, Quirk.DATA_MISSING})


class ContradictionError(ValueError):
    """Effects that cannot all happen; the message says why."""


def together(one: Effects, other: Effects) -> Effects:
    """Give what asks for both.

    Raises:
        ContradictionError: Both set the same thing, differently.
    """
    both_on_polls = one.status_fault is not None and other.status_fault is not None
    if both_on_polls and one.status_fault_times != other.status_fault_times:
        raise ContradictionError("both set how many polls fail")
    return replace(_merged(one, other), name=f"{one.name}+{other.name}")


def _merged(one: _V, other: _V) -> _V:
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
        return _merged(one, other)
    if name != "name" and one != other:
        raise ContradictionError(f"both set {_IN_WORDS[name]}")
    return one


def contradiction(effects: Effects) -> str | None:
    """Say why some of the effects can never be seen beside the others; None if all can."""
    return (
        _refused(effects)
        or _outcome(effects)
        or _time(effects)
        or _callback(effects.callback)
        or _result(effects.result)
        or _answer(effects.submit_fault)
        or _answer(effects.status_fault)
        or _polls(effects)
    )


def refuses(fault: Fault | None) -> bool:
    """Tell whether a call with this fault has no effect."""
    return fault is not None and (fault.error is not None or fault.wire is WireFault.HTML)


def _refused(effects: Effects) -> str | None:
    if not refuses(effects.submit_fault):
        return None
    if replace(effects, submit_fault=None) == Effects(effects.name):
        return None
    return "a submit that is refused starts no task to which the rest could happen"


def _outcome(effects: Effects) -> str | None:
    if effects.failure is not None and effects.succeed:
        return "a task either fails or succeeds"
    if effects.stuck and (effects.failure is not None or effects.succeed):
        return "a task that is stuck has no end"
    return None


def _time(effects: Effects) -> str | None:
    taken = effects.duration or Duration()
    if taken.total_ms is not None and taken.median_ms is not None:
        return "a task takes either a fixed time or one drawn from a distribution"
    if effects.stuck and (taken.total_ms is not None or taken.median_ms is not None):
        return "a task that is stuck has no end"
    if taken.total_ms is not None and (taken.pending_ms or 0) > taken.total_ms:
        return "a task is not pending for longer than it takes"
    return None


def _callback(callback: CallbackEffects) -> str | None:
    if callback.lost and callback != CallbackEffects(lost=True):
        return "a callback that is lost is not sent in any other way"
    if callback.late_ms and callback.poll_lag_ms:
        return "a callback comes either before or after polls see the end"
    return None


def _result(result: ResultEffects) -> str | None:
    if result.missing and result.html:
        return "a result's address answers either 404 or with a page"
    return None


def _answer(fault: Fault | None) -> str | None:
    if fault is None or fault.error is None:
        return None
    if fault.wire is WireFault.HTML:
        return "an answer is either an error of the API or a gateway's page"
    if fault.wire is WireFault.RESET:
        return "a connection that is reset instead of an answer carries no error of the API"
    return None


def _polls(effects: Effects) -> str | None:
    if effects.quirks >= _UNTIL_THE_END:
        return "an answer without `data` shows no state"
    if not _answers_no_poll(effects):
        return None
    if effects.quirks & _UNTIL_THE_END or effects.callback.poll_lag_ms:
        return "no poll is ever answered with how the task is"
    return None


def _answers_no_poll(effects: Effects) -> bool:
    fault = effects.status_fault
    if fault is None or effects.status_fault_times is not None:
        return False
    return refuses(fault) or fault.wire is WireFault.RESET
