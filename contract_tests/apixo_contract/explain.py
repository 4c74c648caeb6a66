"""`apixo-contract explain`: what a body is answered, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apixo_contract.oracle import Expectation, expect_text
from apixo_contract.text import clipped, json_line, parse_json
from apixo_schemas import ErrorEntry, Grade, Rule, contract, source

_LONGEST = 120


def explain(text: str) -> str:
    """Return in lines what the contract answers a body: the winner, the losers, what is assumed."""
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    try:
        said = expect_text(text)
    except ValueError as error:
        entry = contract().errors["invalid_json"]
        yield f"REFUSED  {entry.message}"
        yield f"  no JSON: {error}"
        yield from _rests_on(entry)
        return
    if said.winner is None:
        yield "ACCEPTED  it breaks no rule; it starts a task"
    else:
        yield f"REFUSED  {said.winner.message}"
        yield from _rule(said.winner, text)
    for place, rule in enumerate(said.losers):
        yield "" if place else "\nIt also breaks, without effect:"
        yield f"  {rule.message}"
        yield from _rule(rule, text)
    yield from _doubts(said)


def _rule(rule: Rule, text: str) -> Iterator[str]:
    yield f"  rule {rule.id}: {rule.condition}"
    yield from _rests_on(rule)
    if rule.grade is Grade.DOCUMENTED:
        yield f"  | {rule.condition} | Returns `{rule.message}` |"
    found = _found(rule, text)
    if found is not None:
        yield f"  found: {found}"


def _rests_on(entry: Rule | ErrorEntry) -> Iterator[str]:
    """Yield the grade, and each source with its sentence."""
    yield f"  {entry.grade}: {entry.source}"
    for found in map(source, entry.sources):
        yield f"  {found.title}: {found.sentence}"


def _found(rule: Rule, text: str) -> str | None:
    """Return the value that a rule is about, as the body has it."""
    body: Any = parse_json(text)
    name = rule.id.partition(".")[0]
    places = (body, body.get("input") if isinstance(body, dict) else None)
    for place in places:
        if isinstance(place, dict) and name in place:
            return f"{name} = {clipped(json_line(place[name]), _LONGEST)}"
    return None


def _doubts(said: Expectation) -> Iterator[str]:
    """Yield the assumptions that the answer rests on."""
    known = contract().assumptions
    if said.doubts:
        yield "\nThis is not documented in full; it rests on:"
    for doubt in sorted(said.doubts):
        if doubt in known:
            yield f"  assumption {doubt}: {known[doubt].question} {known[doubt].choice}"
        else:
            yield f"  {doubt}: servers may interpret this differently"
