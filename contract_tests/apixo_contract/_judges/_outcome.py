"""What a judge says, and the two ways in which judges come to say it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from apixo_contract._catalogue import catalogue
from apixo_contract._observations import CallbackSeen, Exchange
from apixo_contract._oracle import expect_text
from apixo_contract._report import Verdict
from apixo_contract._showing import json_line
from apixo_contract._view import View


@dataclass(frozen=True, slots=True)
class Sighting:
    """A call, or a callback, that was not as it should be."""

    call: Exchange | CallbackSeen
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a judge says of one check."""

    check_id: str
    verdict: Verdict
    evidence: str
    # What an assumption turned out to be, as a value that a profile can hold.
    observed: Any = None
    sightings: tuple[Sighting, ...] = ()
    # How many calls were looked at.
    seen: int = 0


Judge = Callable[[View], Outcome | Iterable[Outcome]]


def skipped(check_id: str, reason: str) -> Outcome:
    """Say that a check could not be seen, and why."""
    return Outcome(check_id, Verdict.SKIPPED, reason)


def ruled(
    check_id: str, seen: int, broken: list[Sighting], *, unseen: str, what: str = "answers"
) -> Outcome:
    """Rule on a promise: broken once is broken, never seen is skipped.

    Args:
        check_id: A check of the catalogue.
        seen: How often the promise could have been broken.
        broken: Where it was.
        unseen: Why it could not be seen, if it could not.
        what: What was counted.
    """
    can_fail = catalogue()[check_id].can_fail
    if broken:
        verdict = Verdict.FAIL if can_fail else Verdict.REFUTED
        first = simplest(broken)
        words = f"{len(broken)} of {max(seen, len(broken))} {what}: {first.observed}"
        return Outcome(check_id, verdict, words, sightings=(first,), seen=seen)
    if not seen:
        return skipped(check_id, unseen)
    verdict = Verdict.PASS if can_fail else Verdict.CONFIRMED
    return Outcome(check_id, verdict, f"{seen} {what}", seen=seen)


def simplest(broken: list[Sighting]) -> Sighting:
    """Give the sighting that shows the least else: fewest broken rules, then the shortest body."""

    def size(sighting: Sighting) -> tuple[int, int]:
        call = sighting.call
        text = (call.body or "") if isinstance(call, Exchange) else call.text
        return _rules_broken(call), len(text)

    return min(broken, key=size)


def _rules_broken(call: Exchange | CallbackSeen) -> int:
    if not isinstance(call, Exchange) or call.body is None:
        return 0
    try:
        return len(expect_text(call.body).broken)
    except ValueError:
        return 0


def assumed(
    check_id: str, words: str, *sightings: Sighting, holds: bool, observed: Any = None
) -> Outcome:
    """Rule on an assumption by what was observed; the sightings show where it is otherwise."""
    verdict = Verdict.CONFIRMED if holds else Verdict.REFUTED
    return Outcome(check_id, verdict, words, observed, () if holds else sightings)


def shown(value: Any, limit: int = 160) -> str:
    """Give a text as an evidence line shows it; what ought to be one and is not, as JSON."""
    text = value if isinstance(value, str) else json_line(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def as_json(value: Any) -> str:
    """Give a value as an evidence line shows it where its type matters: a text in quotes."""
    return shown(json_line(value))


def answer_of(call: Exchange) -> str:
    """Give an answer in one line: status and body."""
    if call.status is None:
        return f"no answer: {call.trouble}"
    limits = f" ({call.trouble})" if call.trouble else ""
    return f"HTTP {call.status} {shown(call.text)}".rstrip() + limits
