"""The names of all scenarios, and what each stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from apixo_emulator.domain.effects import (
    BEFORE_DONE_MS,
    RETRY_AFTER_S,
    CallbackEffects,
    Duration,
    Effects,
    Fault,
    Quirk,
    ResultEffects,
)
from apixo_emulator.domain.wire import WireFault
from apixo_schemas import contract

# The errors that `http-<status>` answers to a submit.
_HTTP_ERRORS = (
    "invalid_json",
    "unauthorized",
    "insufficient_balance",
    "forbidden",
    "model_not_found",
    "rate_limited",
    "server_error",
    "upstream_error",
    "unavailable",
    "upstream_timeout",
)
# What the same status means to a poll.
_POLL_ERRORS = {"invalid_json": "task_id_missing", "model_not_found": "task_not_found"}


_WIRE = {
    WireFault.RESET: "the connection is reset instead of an answer; the submit has taken effect",
    WireFault.TRUNCATED: "the answer ends before the length that it announces",
    WireFault.DRIP: "the answer comes a byte at a time",
    WireFault.INVALID_JSON: "the answer's JSON breaks off in the middle",
    WireFault.HTML: "a gateway answers 502 with an HTML page; the submit takes no effect",
}
_QUIRKS = {
    Quirk.STATE_UNKNOWN: "polls show a state outside the documented four instead of `processing`",
    Quirk.NO_COST_TIME: "the final answer has no `costTime`",
    Quirk.EXTRA_FIELDS: "answers have fields that are not documented",
    Quirk.RESULT_JSON_SPACED: "`resultJson` has line breaks, escaped characters and a further field",
    Quirk.DATA_MISSING: "answers to polls have no `data` until the task ends",
}
# How `status-<fault>` may end: the first so many polls instead of every one.
POLL_COUNTS: Mapping[str, int] = {"once": 1, "twice": 2, "thrice": 3}
POLL_COUNT_FORMS = (*POLL_COUNTS, "<n>-times")


class Group(StrEnum):
    """What a scenario is about."""

    OUTCOME = "outcome"
    TIME = "time"
    HTTP = "http"
    WIRE = "wire"
    CALLBACK = "callback"
    RESULT = "result"
    ANSWER = "answer"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One name, or form of a name, and in a sentence what it does.

    ``<seconds>``, ``<fault>`` and ``<n>`` in a name stand for what is to be filled in.
    """

    name: str
    effect: str
    group: Group


@dataclass(frozen=True, slots=True)
class Timed:
    """What a scenario with ``<seconds>`` in its name stands for, by the time in ms."""

    effects: Callable[[int], Effects]


Meaning = Effects | Timed
_Row = tuple[str, str, Group, Meaning]


def _http(error: str) -> Fault:
    return Fault(error, retry_after_s=RETRY_AFTER_S if error == "rate_limited" else None)


@cache
def submit_faults() -> Mapping[str, Fault]:
    """Give what can befall a submit's answer, by the scenario's name: ``http-429``, ``reset``."""
    http = {f"http-{contract().errors[name].status}": _http(name) for name in _HTTP_ERRORS}
    http |= {
        "http-429-date": replace(http["http-429"], retry_after_form="date"),
        "http-400-data-absent": replace(http["http-400"], error_data="absent"),
        "http-400-data-object": replace(http["http-400"], error_data="object"),
    }
    return http | {str(wire): Fault(wire=wire) for wire in WireFault}


@cache
def poll_faults() -> Mapping[str, Fault]:
    """Give what can befall a poll's answer, by the same names."""
    http = {
        name: replace(fault, error=_POLL_ERRORS.get(fault.error, fault.error))
        for name, fault in submit_faults().items()
        if fault.error
    }
    return {**submit_faults(), **http}


def _outcomes() -> Iterator[_Row]:
    for entry in contract().failures.values():
        effects = Effects("", failure=(entry.code, entry.message))
        sentence = f"the task fails with `{entry.code}`: {entry.meaning}"
        yield entry.scenario, sentence, Group.OUTCOME, effects


def _times() -> Iterator[_Row]:
    slow = Timed(lambda ms: Effects("", duration=Duration(total_ms=ms)))
    yield "slow-<seconds>", "the task takes so long, e.g. `slow-12.5`", Group.TIME, slow
    stuck = Effects("", stuck=True)
    yield "stuck", "the task stays `processing` for ever", Group.TIME, stuck


def _faults() -> Iterator[_Row]:
    for name, fault in submit_faults().items():
        group = Group.HTTP if fault.wire is None else Group.WIRE
        yield name, _befalls(fault), group, Effects("", submit_fault=fault)


def _befalls(fault: Fault) -> str:
    if fault.wire is not None:
        return _WIRE[fault.wire]
    message = contract().errors[str(fault.error)].message
    sentence = f"the submit is refused: {message.removesuffix('.')}"
    if fault.error_data is not None:
        return f"{sentence}; `data` is {'an object' if fault.error_data == 'object' else 'absent'}"
    if fault.retry_after_s is None:
        return sentence
    form = " as a date" if fault.retry_after_form == "date" else ""
    return f"{sentence}; with `Retry-After: {fault.retry_after_s}`{form}"


def _callback(**effects: Any) -> Effects:
    return Effects("", callback=CallbackEffects(**effects))


def _callbacks() -> Iterator[_Row]:
    rows: list[tuple[str, str, Meaning]] = [
        ("callback-lost", "the callback is never sent", _callback(lost=True)),
        ("callback-duplicate", "the callback is sent twice", _callback(copies=2)),
        (
            "callback-late-<seconds>",
            "the callback is sent so long after the end",
            Timed(lambda ms: _callback(late_ms=ms)),
        ),
        (
            "callback-before-done",
            f"the callback comes {BEFORE_DONE_MS // 1000} s before polls see the end",
            _callback(poll_lag_ms=BEFORE_DONE_MS),
        ),
        (
            "callback-malformed",
            "the callback's JSON breaks off in the middle",
            _callback(malformed=True),
        ),
    ]
    for name, sentence, meaning in rows:
        yield name, sentence, Group.CALLBACK, meaning


def _results() -> Iterator[_Row]:
    def result(**effects: Any) -> Effects:
        return Effects("", result=ResultEffects(**effects))

    slow = Timed(lambda ms: result(delay_ms=ms))
    yield (
        "result-404",
        "the result's address answers 404, as after its expiry",
        Group.RESULT,
        result(missing=True),
    )
    yield (
        "result-html",
        "the result's address answers with an HTML page",
        Group.RESULT,
        result(html=True),
    )
    yield (
        "result-slow-<seconds>",
        "the result is sent so long after it is asked for",
        Group.RESULT,
        slow,
    )


def _answers() -> Iterator[_Row]:
    for quirk, sentence in _QUIRKS.items():
        yield str(quirk), sentence, Group.ANSWER, Effects("", quirks=frozenset({quirk}))


@cache
def _rows() -> tuple[_Row, ...]:
    return (*_outcomes(), *_times(), *_faults(), *_callbacks(), *_results(), *_answers())


@cache
def meanings() -> Mapping[str, Meaning]:
    """Give what each name stands for, apart from those that begin with ``status-``."""
    return {name: meaning for name, _, _, meaning in _rows()}


@cache
def vocabulary() -> tuple[Scenario, ...]:
    """Give all names, in the order in which they are shown."""
    status = (
        Scenario(
            "status-<fault>",
            "every poll gets what `http-…` or a fault on the wire does to a submit, e.g."
            " `status-http-500`",
            Group.STATUS,
        ),
        Scenario(
            "status-<fault>-twice",
            "the first two polls only; also `-once`, `-thrice`, `-5-times`",
            Group.STATUS,
        ),
    )
    return (*(Scenario(name, effect, group) for name, effect, group, _ in _rows()), *status)
