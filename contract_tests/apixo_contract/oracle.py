"""The oracle: what a body must be answered, from the schemas alone.

`submit-request.json` lists its rules in order under `allOf`. A body that satisfies all is accepted;
otherwise the message of the first rule that it breaks is the answer.

Not every such answer is promised: the order of the rules, the meaning of null, unknown parameters
and more are assumptions. `Expectation.doubts` names those that an answer rests on; a target must
give an answer only where there are none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from apixo_contract.text import parse_json
from apixo_schemas import Grade, Rule, contract, document

# Top-level names that public clients send and that must be accepted (platform fact P7).
_HINTS = frozenset({"provider"})
# A doubt beside the assumptions.
CASE = "letter case"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the contract says of a body."""

    # Every rule that it breaks, the winner first; empty if it is accepted.
    broken: tuple[Rule, ...]
    # The ids of the assumptions, or other doubts, that the answer rests on.
    doubts: frozenset[str]

    @property
    def accepted(self) -> bool:
        """True if the body is accepted."""
        return not self.broken

    @property
    def winner(self) -> Rule | None:
        """Return the rule whose message is the answer."""
        return self.broken[0] if self.broken else None

    @property
    def documented(self) -> bool:
        """True if the answer follows from the documentation, with nothing assumed."""
        return not self.doubts and all(rule.grade is not Grade.ASSUMED for rule in self.broken)


@cache
def _validators() -> tuple[tuple[Rule, Callable[[Any], bool]], ...]:
    return tuple((rule, Draft202012Validator(rule.schema).is_valid) for rule in contract().rules)


def broken_rules(body: Any) -> tuple[Rule, ...]:
    """Return every rule that a parsed body breaks, the winner first."""
    return tuple(rule for rule, holds in _validators() if not holds(body))


def expect(body: Any) -> Expectation:
    """Return what a parsed body must be answered."""
    broken = broken_rules(body)
    doubts = set(_doubts(body))
    doubts |= {
        rule.source.removeprefix("assumption ") for rule in broken if rule.grade is Grade.ASSUMED
    }
    if len(broken) > 1:
        doubts.add("order")
    return Expectation(broken, frozenset(doubts))


# A run asks about each body when it is made, sent and judged.
@lru_cache(maxsize=4096)
def expect_text(text: str) -> Expectation:
    """Return what a body must be answered, from its text.

    Raises:
        ValueError: It is not JSON (RFC 8259); assumption `body.not_json` says what follows.
    """
    try:
        return expect(parse_json(text, constant=_no_constant))
    except RecursionError:
        raise ValueError("the body is nested too deeply to be parsed") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@cache
def supported(field: str) -> tuple[str, ...]:
    """Return the supported values of a parameter as the schema writes them, e.g. of ``mode``."""
    top = contract().rules
    return tuple(text for rule in top for text in _enum(rule.schema, field) if text is not None)


def _enum(schema: Any, field: str) -> Iterator[str | None]:
    if not isinstance(schema, Mapping):
        return
    for name, part in schema.get("properties", {}).items():
        if name == field:
            yield from part.get("enum", ())
        yield from _enum(part, field)


def parameters() -> frozenset[str]:
    """Return the names of the parameters of ``input``."""
    return frozenset(document("submit-request.json")["properties"]["input"]["properties"])


@cache
def _top_names() -> frozenset[str]:
    return frozenset(document("submit-request.json")["properties"]) | _HINTS


def _doubts(body: Any) -> Iterator[str]:
    if not isinstance(body, dict):
        return
    asked = body.get("input")
    fields = asked if isinstance(asked, dict) else {}
    if set(body) - _top_names() or set(fields) - parameters():
        yield "parameters.unknown"
    given = {name: body[name] for name in _top_names() & set(body)}
    given |= {name: fields[name] for name in parameters() & set(fields)}
    if any(value is None for name, value in given.items() if name not in _HINTS):
        yield "null.optional"
    if "request_type" not in body:
        yield "request_type.missing"
    urls = given.get("image_urls")
    for url in urls if isinstance(urls, list) else []:
        if isinstance(url, str) and url and not url.strip():
            yield "values.whitespace"
    for name in ("mode", "resolution", "output_format", "request_type"):
        yield from _near_misses(name, given.get(name))


def _near_misses(name: str, value: Any) -> Iterator[str]:
    """Yield doubts on values that a target may accept after trimming or folding their case."""
    known = supported(name)
    if not isinstance(value, str) or value in known:
        return
    trimmed = _trimmed(value)
    if trimmed != value and _folds(trimmed, known):
        yield "values.whitespace"
    elif _folds(value, known):
        yield "output_format.case" if name == "output_format" else CASE


def _trimmed(value: str) -> str:
    # JavaScript trims the byte order mark too; some languages everything without width.
    return value.strip().strip("\ufeff\u200b\u200c\u200d\u2060").strip()


def _folds(value: str, known: tuple[str, ...]) -> bool:
    # Languages disagree: the Kelvin sign is a `k` in lower case, the dotless i is an I in upper.
    forms = {value, unicodedata.normalize("NFC", value)}
    ways = (str.lower, str.casefold, lambda text: text.upper().lower())
    return any(way(form) in known for form in forms for way in ways)


def rule_of_message(message: str | None) -> Rule | None:
    """Return the rule whose message this is."""
    return next((rule for rule in contract().rules if rule.message == message), None)
