"""What calls are expected, whether they were made, and which other calls come nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.problems import ContradictoryError, Problem, fitting
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.filters import PATTERNS, CallFilter, noun

_MOST_NEAREST = 3
_MOST_NUMBERS = 10
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation(CallFilter):
    """How many calls of which kind are expected; without a number, at least one.

    >>> Expectation(call="submit", resolution="8k", exactly=1).expected()
    'exactly 1 submit with resolution 8k'

    Raises:
        ValueError: The numbers contradict each other.
    """

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None

    def __post_init__(self) -> None:
        if self.exactly is not None and (self.at_least, self.at_most) != (None, None):
            raise ValueError("exactly: expected alone, or at_least and at_most without it")
        least, most = self.bounds
        if most is not None and least > most:
            raise ValueError(
                f"expected numbers that can be met: at_least {least} and at_most {most} contradict"
                " each other"
            )

    @property
    def bounds(self) -> tuple[int, int | None]:
        """The least and the most calls that meet it, None for any number."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_least is None and self.at_most is None:
            return 1, None
        return self.at_least or 0, self.at_most

    def expected(self) -> str:
        """Return what is expected in words, e.g. ``exactly 1 submit with resolution 8k``."""
        least, most = self.bounds
        return f"{self._count()} {self.words((least if most is None else most) or 1)}"

    def _count(self) -> str:
        match self.bounds:
            case (0, 0):
                return "no"
            case (least, None):
                return f"at least {least}"
            case (0, most):
                return f"at most {most}"
            case (least, most) if least == most:
                return f"exactly {least}"
            case (least, most):
                return f"{least} to {most}"

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Return the expectation of ``{"count": {"exactly": 1}, "call": "submit", "resolution": "8k"}``.

        Raises:
            DocumentError: It is no expectation; the message says what was expected and found.
        """
        read = fitting(_validator(), expectation_schema(), document)
        values: dict[str, Any] = {key: value for key, value in read.items() if value is not None}
        count = values.pop("count", {})
        values |= {"exactly": count} if isinstance(count, int) else count
        try:
            return cls(**values)
        except ValueError as error:
            raise ContradictoryError([Problem(("count",), f"{error}.")]) from None


_COUNTS = ("exactly", "at_least", "at_most")


def _text(title: str, **more: Any) -> dict[str, Any]:
    return {"title": f"{title}, or null", "type": ["string", "null"], **more}


def _count_schema() -> dict[str, Any]:
    bounds = {"minimum": 0, "maximum": _MOST}
    number = {"title": f"a number from 0 to {_MOST}", "type": "integer", **bounds}
    return {
        **number,
        "title": f"a number of calls, or a table with {', '.join(_COUNTS)}",
        "type": ["integer", "object", "null"],
        "properties": dict.fromkeys(_COUNTS, number),
        "additionalProperties": False,
        "minProperties": 1,
        "default": {"at_least": 1},
    }


@cache
def expectation_schema() -> Mapping[str, Any]:
    """Return the published JSON Schema of an expectation. It is shared: treat it as read-only."""
    endpoints: list[str | None] = [*map(str, Endpoint), None]
    properties: dict[str, Any] = {"count": _count_schema()}
    for name in (entry.name for entry in fields(CallFilter)):
        properties[name] = _PROPERTIES.get(name, _text("a text"))
    properties["call"] = {
        "title": f"one of {', '.join(map(str, endpoints[:-1]))}, or null",
        "enum": endpoints,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "expectation.json",
        "title": f"an expectation, a table with some of {', '.join(properties)}",
        "description": "How many calls of which kind are expected in the journal.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


_PROPERTIES: Mapping[str, Any] = {
    "status": {
        "title": "an HTTP status from 100 to 599, or null",
        "type": ["integer", "null"],
        "minimum": 100,
        "maximum": 599,
    },
    "headers": {
        "title": "a table of headers and what they are to be",
        "type": ["object", "null"],
        "additionalProperties": {
            "title": "a text, in which * stands for anything",
            "type": "string",
        },
    },
    **dict.fromkeys(PATTERNS, _text("a text, in which * stands for anything")),
    "key": _text("a key, or its mask as the journal shows it", minLength=1),
}


@cache
def _validator() -> Validator:
    return validator_for(dict(expectation_schema()))


def filter_of(query: Mapping[str, str]) -> CallFilter:
    """Return the filter of a URL's query, e.g. ``call=submit&status=400``.

    Raises:
        DocumentError: It names something that calls do not have, or a value that cannot be.
    """
    values: dict[str, Any] = dict(query)
    status = values.get("status")
    if isinstance(status, str) and status.isdecimal():
        values["status"] = int(status)
    return Expectation.from_json(values)


@dataclass(frozen=True, slots=True)
class Near:
    """A call that does not match, and in words what differs."""

    entry: JournalEntry
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether an expectation is met, which is its truth value; ``words`` says it in a sentence.

    ``nearest`` are the calls that differ the least, where too few match.
    """

    met: bool
    words: str
    matching: tuple[JournalEntry, ...] = ()
    nearest: tuple[Near, ...] = ()

    def __bool__(self) -> bool:
        return self.met

    def __str__(self) -> str:
        return self.words

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; calls are given by their numbers."""
        return {
            "met": self.met,
            "words": self.words,
            "matching": [entry.number for entry in self.matching],
            "nearest": [
                {"number": near.entry.number, "differences": list(near.differences)}
                for near in self.nearest
            ],
        }


def verify(
    entries: Sequence[JournalEntry], expectation: Expectation | Mapping[str, Any]
) -> Verification:
    """Compare calls with an expectation.

    Raises:
        ValueError: It is no expectation; the message says what was expected and found.
    """
    if not isinstance(expectation, Expectation):
        expectation = Expectation.from_json(expectation)
    judged = [Near(entry, expectation.differences(entry)) for entry in entries]
    matching = tuple(near.entry for near in judged if not near.differences)
    least, most = expectation.bounds
    met = least <= len(matching) and (most is None or len(matching) <= most)
    nearest = _nearest(judged, expectation) if len(matching) < least else ()
    words = _words(expectation, entries, matching, met=met) + _hints(nearest, entries)
    return Verification(met, words, matching, nearest)


def _nearest(judged: Sequence[Near], expectation: Expectation) -> tuple[Near, ...]:
    """Return the calls with the fewest differences; another endpoint outweighs all others."""

    def distance(near: Near) -> tuple[bool, int, int]:
        elsewhere = expectation.call is not None and near.entry.endpoint != expectation.call
        return elsewhere, len(near.differences), -near.entry.number

    others = [near for near in judged if near.differences]
    return tuple(sorted(others, key=distance)[:_MOST_NEAREST])


def _words(
    expectation: Expectation,
    entries: Sequence[JournalEntry],
    matching: Sequence[JournalEntry],
    *,
    met: bool,
) -> str:
    kind = expectation.call
    of = [entry for entry in entries if kind is None or entry.endpoint == kind]
    counted = f"found {len(matching)} of {len(of)} {noun(kind, len(of))}"
    numbers = f": {_numbers(matching)}" if matching else ""
    start = "as expected, " if met else "expected "
    return f"{start}{expectation.expected()}{': ' if met else ', '}{counted}{numbers}"


def _numbers(entries: Sequence[JournalEntry]) -> str:
    listed = ", ".join(f"#{entry.number}" for entry in entries[:_MOST_NUMBERS])
    return f"{listed}, …" if len(entries) > _MOST_NUMBERS else listed


def _hints(nearest: Sequence[Near], entries: Sequence[JournalEntry]) -> str:
    words = ""
    if nearest:
        words = f"; nearest: #{nearest[0].entry.number} {', '.join(nearest[0].differences)}"
    gone = entries[0].number - 1 if entries else 0
    if gone:
        words += f"; the journal no longer holds {gone} {noun(None, gone)} before #{gone + 1}"
    return words
