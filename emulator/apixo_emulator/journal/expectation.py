"""What is expected of the journal: how many calls, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.problems import DocumentError, Problem, fitting, found
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.journal.call_filter import CallFilter

_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation(CallFilter):
    """How many calls of which kind are expected; without a number, at least one.

    >>> Expectation(call="submit", resolution="8k", exactly=1).expected()
    'exactly 1 submit with resolution 8k'

    Raises:
        ValueError: The numbers are negative, or contradict each other.
    """

    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None

    def __post_init__(self) -> None:
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and not _is_count(count):
                raise ValueError(
                    f"{name}: expected a number from 0 to {_MOST}, found {found(count)}"
                )
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

    def allows(self, count: int) -> bool:
        """Tell whether so many calls meet it."""
        least, most = self.bounds
        return least <= count and (most is None or count <= most)

    def expected(self) -> str:
        """Say what is expected, e.g. ``exactly 1 submit with resolution 8k``."""
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
        """Read ``{"count": {"exactly": 1}, "call": "submit", "resolution": "8k"}``.

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
            raise DocumentError([Problem(("count",), f"{error}.")]) from None


_COUNTS = ("exactly", "at_least", "at_most")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _text(title: str, **more: Any) -> dict[str, Any]:
    return {"title": f"{title}, or null", "type": ["string", "null"], **more}


_PATTERN = _text("a text, in which * stands for anything")


def _count_schema() -> dict[str, Any]:
    number = {
        "title": f"a number from 0 to {_MOST}",
        "type": "integer",
        "minimum": 0,
        "maximum": _MOST,
    }
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
    """Give the published JSON Schema of an expectation. It is shared: treat it as read-only."""
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
    **dict.fromkeys(("image_url", "callback_url", "message", "path"), _PATTERN),
    "key": _text("a key, its mask, or its last four characters or more", minLength=1),
}


@cache
def _validator() -> Validator:
    return validator_for(dict(expectation_schema()))


def filter_names() -> tuple[str, ...]:
    """Give what `filter_of` takes."""
    return tuple(entry.name for entry in fields(CallFilter) if entry.name != "headers")


def filter_of(query: Mapping[str, str]) -> CallFilter:
    """Read which calls are meant from a URL's query, e.g. ``call=submit&status=400``.

    Raises:
        DocumentError: It names something that calls do not have, or a value that cannot be.
    """
    values: dict[str, Any] = dict(query)
    if values.get("status", "").isdecimal():
        values["status"] = int(values["status"])
    return Expectation.from_json(values)
