"""What the contract answers a submit body, for a person: the winner, the losers, what is assumed."""

from __future__ import annotations

from typing import Any

from apixo_contract.bodies import field_of
from apixo_contract.oracle import Expectation, expect_text
from apixo_contract.report.render import render_text
from apixo_contract.text import clipped, json_line, parse_json
from apixo_schemas import Rule, contract, source

_LONGEST = 120


def explain(text: str) -> str:
    """Return in lines what the contract answers a body, by which rules, and from which sources."""
    said, fault = None, ""
    try:
        said = expect_text(text)
    except ValueError as error:
        fault = str(error)
    return render_text(
        "explain.txt.j2",
        said=said or Expectation((), frozenset()),
        fault=fault,
        no_json=contract().errors["invalid_json"],
        assumptions=contract().assumptions,
        source=source,
        found=lambda rule: _found(rule, parse_json(text)),
    )


def _found(rule: Rule, body: Any) -> str | None:
    """Return the value that a rule is about, as the body has it."""
    name = field_of(rule.id)
    for place in (body, body.get("input") if isinstance(body, dict) else None):
        if isinstance(place, dict) and name in place:
            return f"{name} = {clipped(json_line(place[name]), _LONGEST)}"
    return None
