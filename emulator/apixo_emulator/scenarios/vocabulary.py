"""Scenarios: names of failures, delays and damage, and the magic image URL that requests one.

A name means `Effects`, in any letter case. Names are joined with ``+``: ``slow-3+callback-lost``. An
image URL with a path segment ``emulate`` requests the names in the stem of the next segment:
``https://example.com/emulate/SensitiveContent.jpg``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import unquote

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
from apixo_emulator.domain.tasks import LONGEST_MS
from apixo_emulator.domain.text import nearest, shown
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.effects import ContradictionError, contradiction, merged
from apixo_schemas import contract

LONGEST_NAME = 500

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
# Suffixes of `status-<fault>`: the number of polls that fail, the first ones.
POLL_COUNTS: Mapping[str, int] = {"once": 1, "twice": 2, "thrice": 3}

_LIST = "`apixo-emulator scenario names` lists all."
_SEGMENT = "/emulate/"
_STATUS = "status-"
_SECONDS = "<seconds>"
_EXTENSION = re.compile(r"\.[A-Za-z]{2,5}$", re.ASCII)
_NUMBER = re.compile(r"(?<=-)\d{1,6}(?:\.\d{1,3})?$", re.ASCII)
_ANY_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,3})?", re.ASCII)
_PLACEHOLDER = re.compile("<(?:seconds|n)>")
_COUNTED = re.compile(r"(.+)-(?:(once|twice|thrice)|([1-9]\d{0,5})-times)", re.ASCII)


class UnknownScenarioError(ValueError):
    """A name is no scenario, or names contradict each other; the message says what to write instead."""


# Of a name with ``<seconds>`` in it, the effects depend on the time, in ms.
Meaning = Effects | Callable[[int], Effects]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One name, or form of a name, and in a sentence what it does.

    ``group`` is outcome, time, http, wire, callback, result, answer or status.
    ``<seconds>``, ``<fault>`` and ``<n>`` in a name stand for what is to be filled in. A name that
    begins with ``status-`` has no ``meaning`` of its own: it is put together, see `scenario`.
    """

    name: str
    effect: str
    group: str
    meaning: Meaning | None = None


@cache
def submit_faults() -> Mapping[str, Fault]:
    """Return the faults of a submit by name: ``http-429``, ``reset``."""
    http = {f"http-{contract().errors[name].status}": Fault(name) for name in _HTTP_ERRORS}
    http["http-429"] = replace(http["http-429"], retry_after_s=RETRY_AFTER_S)
    http |= {
        "http-429-date": replace(http["http-429"], retry_after_form="date"),
        "http-400-data-absent": replace(http["http-400"], error_data="absent"),
        "http-400-data-object": replace(http["http-400"], error_data="object"),
    }
    return http | {str(wire): Fault(wire=wire) for wire in WireFault}


@cache
def poll_faults() -> Mapping[str, Fault]:
    """Return the faults of a poll, by the same names."""
    return {
        name: replace(fault, error=_POLL_ERRORS.get(fault.error or "", fault.error))
        for name, fault in submit_faults().items()
    }


def _fault_words(fault: Fault) -> str:
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


def _result(**effects: Any) -> Effects:
    return Effects("", result=ResultEffects(**effects))


_CALLBACKS_AND_RESULTS: tuple[tuple[str, str, Meaning], ...] = (
    ("callback-lost", "the callback is never sent", _callback(lost=True)),
    ("callback-duplicate", "the callback is sent twice", _callback(copies=2)),
    (
        "callback-late-<seconds>",
        "the callback is sent so long after the end",
        lambda ms: _callback(late_ms=ms),
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
    (
        "result-404",
        "the result's address answers 404, as after its expiry",
        _result(missing=True),
    ),
    ("result-html", "the result's address answers with an HTML page", _result(html=True)),
    (
        "result-slow-<seconds>",
        "the result is sent so long after it is asked for",
        lambda ms: _result(delay_ms=ms),
    ),
)


def _scenarios() -> Iterator[Scenario]:
    for entry in contract().failures.values():
        sentence = f"the task fails with `{entry.code}`: {entry.meaning}"
        failure = Effects("", failure=(entry.code, entry.message))
        yield Scenario(entry.scenario, sentence, "outcome", failure)
    slow = "the task takes so long, e.g. `slow-12.5`"
    yield Scenario(
        "slow-<seconds>",
        slow,
        "time",
        lambda ms: Effects("", duration=Duration(total_ms=ms)),
    )
    stuck = "the task stays `processing` for ever"
    yield Scenario("stuck", stuck, "time", Effects("", stuck=True))
    for name, fault in submit_faults().items():
        group = "http" if fault.wire is None else "wire"
        yield Scenario(name, _fault_words(fault), group, Effects("", submit_fault=fault))
    for name, sentence, meaning in _CALLBACKS_AND_RESULTS:
        yield Scenario(name, sentence, name.partition("-")[0], meaning)
    for quirk, sentence in _QUIRKS.items():
        yield Scenario(quirk.value, sentence, "answer", Effects("", quirks=frozenset({quirk})))
    like = "every poll gets what `http-…` or a fault on the wire does to a submit"
    yield Scenario("status-<fault>", f"{like}, e.g. `status-http-500`", "status")
    first = "the first two polls only; also `-once`, `-thrice`, `-5-times`"
    yield Scenario("status-<fault>-twice", first, "status")


@cache
def vocabulary() -> tuple[Scenario, ...]:
    """Return all names, in the order in which they are shown."""
    return tuple(_scenarios())


@cache
def meanings() -> Mapping[str, Meaning]:
    """Return the effects of each name, except those that begin with ``status-``."""
    return {entry.name: entry.meaning for entry in vocabulary() if entry.meaning is not None}


# From names to effects


def scenario(name: str) -> Effects:
    """Return the effects of a name, or of several joined with ``+``.

    Raises:
        UnknownScenarioError: One of them does not exist, or they contradict each other.
    """
    if len(name) > LONGEST_NAME:
        raise UnknownScenarioError(_advice(name))
    return joined(*map(_single, name.split("+")))


def joined(*parts: Effects) -> Effects:
    """Return effects merged into one, at least one; their names are joined with ``+``.

    Raises:
        UnknownScenarioError: They contradict each other.
    """
    advice = "Leave one of them out."
    whole = parts[0]
    for part in parts[1:]:
        try:
            whole = merged(whole, part)
        except ContradictionError as error:
            both = f"{whole.name} and {part.name} contradict each other"
            raise UnknownScenarioError(f"{both}: {error}. {advice}") from None
    if why := contradiction(whole):
        words = f"{whole.name} cannot happen: {why}."
        raise UnknownScenarioError(f"{words} {advice}" if len(parts) > 1 else words)
    return whole


def requested_scenario(image_url: str) -> Effects | None:
    """Return the effects that a magic image URL requests; None for an ordinary URL.

    Raises:
        UnknownScenarioError: A requested name does not exist.
    """
    # A data: URL is long, and its payload may hold anything.
    if _SEGMENT not in image_url or image_url[:5].lower() == "data:":
        return None
    path = image_url.partition("?")[0].partition("#")[0]
    segment = path.partition(_SEGMENT)[2].partition("/")[0]
    name = _EXTENSION.sub("", unquote(segment))
    return scenario(name) if name else None


def _single(name: str) -> Effects:
    found = _find(name.lower())
    if found is None:
        raise UnknownScenarioError(_advice(name))
    total_ms = found.duration.total_ms if found.duration else None
    if max(total_ms or 0, found.callback.late_ms, found.result.delay_ms) > LONGEST_MS:
        raise UnknownScenarioError(
            f"Scenario {name!r} is too slow: expected at most {LONGEST_MS // 1000} seconds."
        )
    return found


@cache
def _by_folded_name() -> Mapping[str, str]:
    names = {name.lower(): name for name in meanings()}
    # The failure codes themselves too: `Unknown error` is no `UnknownError`.
    return {entry.code.lower(): entry.scenario for entry in contract().failures.values()} | names


def _find(folded: str) -> Effects | None:
    """Return the effects of a name in lower case, None where there is none."""
    if folded.startswith(_STATUS):
        return _status(folded)
    known = _by_folded_name().get(folded, "")
    meaning = meanings().get(known)
    if isinstance(meaning, Effects):
        return replace(meaning, name=known)
    number = _NUMBER.search(folded)
    timed = meanings().get(folded[: number.start()] + _SECONDS) if number else None
    if number is None or timed is None or isinstance(timed, Effects):
        return None
    return replace(timed(round(float(number[0]) * 1000)), name=folded)


def _status(folded: str) -> Effects | None:
    name, times = folded.removeprefix(_STATUS), None
    if counted := _COUNTED.fullmatch(name):
        name = counted[1]
        times = POLL_COUNTS[counted[2]] if counted[2] else int(counted[3])
    fault = poll_faults().get(name)
    if fault is None:
        return None
    return Effects(folded, status_fault=fault, status_fault_times=times)


def _forms() -> Iterator[str]:
    yield from meanings()
    for fault in poll_faults():
        yield f"{_STATUS}{fault}"
        yield from (f"{_STATUS}{fault}-{form}" for form in (*POLL_COUNTS, "<n>-times"))


def _nearest(name: str) -> str | None:
    """Return the name closest to a misspelt one, with its number if it has one."""
    numbers = _ANY_NUMBER.findall(name)
    number = numbers[-1] if numbers else ""
    forms = {_PLACEHOLDER.sub(number, form): form for form in _forms()}
    found = nearest(name, forms)
    return found if found is None or _find(found.lower()) else forms[found]


def _advice(name: str) -> str:
    hint = f" Did you mean {found}?" if (found := _nearest(name)) else ""
    return f"Unknown scenario {shown(name)}.{hint} {_LIST}"
