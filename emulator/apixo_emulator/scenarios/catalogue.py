"""Failures, delays and damage on demand, by name, and the magic image URL that asks for one.

A name of the `vocabulary` stands for `Effects`, whatever its case; several are joined with ``+``:
``slow-3+callback-lost``. Any image URL with a path segment ``emulate`` names them by the stem of
its next segment: ``https://example.com/emulate/SensitiveContent.jpg``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from urllib.parse import unquote

from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.latency import LONGEST_MS
from apixo_emulator.domain.nearest import nearest, shown
from apixo_emulator.scenarios.combining import ContradictionError, contradiction, together
from apixo_emulator.scenarios.vocabulary import (
    POLL_COUNT_FORMS,
    POLL_COUNTS,
    Timed,
    meanings,
    poll_faults,
    vocabulary,
)
from apixo_schemas import contract

LONGEST_NAME = 500
_ADVICE = "Leave one of them out."
_SEGMENT = "/emulate/"
_STATUS = "status-"
_SECONDS = "<seconds>"
_EXTENSION = re.compile(r"\.[A-Za-z]{2,5}$", re.ASCII)
_NUMBER = re.compile(r"(?<=-)\d{1,6}(?:\.\d{1,3})?$", re.ASCII)
_ANY_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,3})?", re.ASCII)
_PLACE = re.compile("<(?:seconds|n)>")
_COUNTED = re.compile(r"(.+)-(?:(once|twice|thrice)|([1-9]\d{0,5})-times)", re.ASCII)


class UnknownScenarioError(ValueError):
    """What is asked for is no scenario; the message says what there is and the nearest name."""


@cache
def _folded() -> Mapping[str, str]:
    names = {name.lower(): name for name in meanings()}
    # The failure codes themselves too: `Unknown error` is no `UnknownError`.
    return {entry.code.lower(): entry.scenario for entry in contract().failures.values()} | names


def scenario_names() -> tuple[str, ...]:
    """Give the vocabulary, as a person would write it."""
    return tuple(entry.name for entry in vocabulary())


def scenario(name: str) -> Effects:
    """Give what a name stands for, or several joined with ``+``.

    Raises:
        UnknownScenarioError: One of them does not exist, or they contradict each other.
    """
    if len(name) > LONGEST_NAME:
        raise UnknownScenarioError(_advice(name))
    return joined(*map(_single, name.split("+")))


def joined(*parts: Effects) -> Effects:
    """Give effects that are asked for together, at least one; their names are joined with ``+``.

    Raises:
        UnknownScenarioError: They contradict each other.
    """
    whole = parts[0]
    for part in parts[1:]:
        try:
            whole = together(whole, part)
        except ContradictionError as error:
            both = f"{whole.name} and {part.name}"
            raise UnknownScenarioError(
                f"{both} contradict each other: {error}. {_ADVICE}"
            ) from None
    if why := contradiction(whole):
        advice = f" {_ADVICE}" if len(parts) > 1 else ""
        raise UnknownScenarioError(f"{whole.name} cannot happen: {why}.{advice}")
    return whole


def _single(name: str) -> Effects:
    found = _found(name.lower())
    if found is None:
        raise UnknownScenarioError(_advice(name))
    if _longest_ms(found) > LONGEST_MS:
        raise UnknownScenarioError(
            f"Scenario {name!r} is too slow: expected at most {LONGEST_MS // 1000} seconds."
        )
    return found


def _longest_ms(effects: Effects) -> int:
    taken = effects.duration.total_ms if effects.duration else None
    return max(taken or 0, effects.callback.late_ms, effects.result.delay_ms)


def _found(folded: str) -> Effects | None:
    if folded.startswith(_STATUS):
        return _status(folded)
    known = _folded().get(folded, "")
    meaning = meanings().get(known)
    if isinstance(meaning, Effects):
        return replace(meaning, name=known)
    return _timed(folded)


def _timed(folded: str) -> Effects | None:
    number = _NUMBER.search(folded)
    if number is None:
        return None
    meaning = meanings().get(folded[: number.start()] + _SECONDS)
    if not isinstance(meaning, Timed):
        return None
    return replace(meaning.effects(round(float(number[0]) * 1000)), name=folded)


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
        yield from (f"{_STATUS}{fault}-{form}" for form in POLL_COUNT_FORMS)


def nearest_scenario(name: str) -> str | None:
    """Give the valid name closest to a misspelt one, with its number if it has one."""
    numbers = _ANY_NUMBER.findall(name)
    number = numbers[-1] if numbers else ""
    forms = {_PLACE.sub(number, form): form for form in _forms()}
    found = nearest(name, forms)
    if found is None:
        return None
    return found if _found(found.lower()) else forms[found]


def _known() -> str:
    errors = [name for name in meanings() if name.startswith("http-")]
    names = [name for name in scenario_names() if name not in errors[1:-1]]
    return ", ".join(names).replace(f"{errors[0]}, ", f"{errors[0]} … ")


def _advice(name: str) -> str:
    hint = f" Did you mean {found}?" if (found := nearest_scenario(name)) else ""
    return f"Unknown scenario {shown(name)}.{hint} Known: {_known()}."


def requested_scenario(image_url: str) -> Effects | None:
    """Give the effects that a magic image URL asks for, None where it is an ordinary URL.

    Raises:
        UnknownScenarioError: The URL asks for what does not exist.
    """
    # A data: URL is long, and its payload may hold anything.
    if _SEGMENT not in image_url or image_url[:5].lower() == "data:":
        return None
    path = image_url.partition("?")[0].partition("#")[0]
    _, found, rest = path.partition(_SEGMENT)
    name = _EXTENSION.sub("", unquote(rest.partition("/")[0]))
    return scenario(name) if found and name else None
