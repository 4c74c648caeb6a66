"""`apixo-contract explain`: what a body is answered, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apixo_contract._oracle import Expectation, expect_text
from apixo_contract._reading import parsed
from apixo_contract._showing import json_line
from apixo_schemas import ErrorEntry, Rule, contract, source


def explain(text: str) -> str:
    """Say in lines what the contract answers a body: the winner, the losers, what is assumed."""
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
    if rule.grade == "documented":
        yield f"  | {rule.condition} | Returns `{rule.message}` |"
    found = _found(rule, text)
    if found is not None:
        yield f"  found: {found}"


def _rests_on(entry: Rule | ErrorEntry) -> Iterator[str]:
    """Name the grade and the sources, with the sentence of each."""
    yield f"  {entry.grade}: {entry.source}"
    for found in map(source, entry.sources):
        yield f"  {found.title}: {found.sentence}"


def _found(rule: Rule, text: str) -> str | None:
    """Give the value that a rule is about, as the body has it."""
    body: Any = parsed(text)
    name = rule.id.partition(".")[0]
    places = (body, body.get("input") if isinstance(body, dict) else None)
    for place in places:
        if isinstance(place, dict) and name in place:
            shown = json_line(place[name])
            return f"{name} = {shown[:120]}{'…' if len(shown) > 120 else ''}"  # noqa: PLR2004 - a line
    return None


def _doubts(said: Expectation) -> Iterator[str]:
    """Name the assumptions that the answer rests on."""
    known = contract().assumptions
    if said.doubts:
        yield "\nThis is not documented in full; it rests on:"
    for doubt in sorted(said.doubts):
        if doubt in known:
            yield f"  assumption {doubt}: {known[doubt].question} {known[doubt].choice}"
        else:
            yield f"  {doubt}: servers may read this differently"
