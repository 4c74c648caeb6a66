"""The vocabulary of scenarios, the active rules, and how else a failure can be asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from apixo_emulator.http.dashboard.context import PageContext
from apixo_emulator.http.dashboard.rendering import Done, Page
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_schemas import contract

_MATCHED = ("image_url", "resolution", "output_format", "key")
_EXAMPLE = "SensitiveContent"
_TITLES = {
    "outcome": "How the task ends",
    "time": "How long it takes",
    "http": "The submit is refused",
    "wire": "The answer is damaged",
    "callback": "The callback",
    "answer": "Rare but allowed answers",
    "status": "What befalls polls",
}


def show_scenarios(context: PageContext) -> Page:
    """Show the vocabulary, the rules, and the four ways."""
    groups = [
        (_TITLES.get(group, str(group)), list(entries))
        for group, entries in groupby(vocabulary(), key=lambda entry: str(entry.group))
    ]
    return Page(
        "scenarios.html",
        {
            "groups": groups,
            "rules": [_shown(rule) for rule in context.operator.scenarios()],
            "names": [entry.name for entry in vocabulary() if "<" not in entry.name],
            "resolutions": list(contract().long_edge_px),
            "formats": list(contract().formats),
            "example": _EXAMPLE,
        },
    )


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule's parts: its names, how often it was used, and the rest as JSON."""
    names = rule.get("scenario", [])
    rest = [
        (f"{part} {key}", value if isinstance(value, str) else json.dumps(value))
        for part in ("match", "plan")
        for key, value in rule.get(part, {}).items()
    ]
    return {
        "id": rule["id"],
        "name": rule.get("name") or (names if isinstance(names, str) else " + ".join(names)),
        "used": rule["used"],
        "seen": rule["seen"],
        "times": rule.get("times"),
        "rest": rest,
        "from_file": rule["id"].startswith("file-"),
    }


def add_rule(context: PageContext) -> Done:
    """Add a rule, from the form's fields or from its JSON.

    Raises:
        ValueError: It is no rule; the message says what was expected.
    """
    text = context.form.get("rule", "").strip()
    rule = context.operator.add_scenario(_written(text) if text else _filled(context.form))
    times = rule.get("times")
    whom = (
        "every task"
        if times is None
        else "the next task"
        if times == 1
        else f"the next {times} tasks"
    )
    return Done(f"{_shown(rule)['name']} for {whom}.")


def _written(text: str) -> dict[str, Any]:
    try:
        rule = json.loads(text)
    except ValueError as error:
        raise ValueError(f"the rule: expected JSON: {error}") from None
    if not isinstance(rule, dict):
        raise ValueError(f"the rule: expected a JSON object, found {type(rule).__name__}")  # noqa: TRY004 - what a person typed
    return rule


def _filled(form: Mapping[str, str]) -> dict[str, Any]:
    name = form.get("scenario", "").strip()
    if "amount" in form:
        name = name.partition("<")[0] + form["amount"].strip()
    rule: dict[str, Any] = {"scenario": name}
    if times := form.get("times", "").strip():
        rule["times"] = int(times) if times.isascii() and times.isdigit() else times
    match = {key: form[key].strip() for key in _MATCHED if form.get(key, "").strip()}
    return {**rule, "match": match} if match else rule


def remove_rule(context: PageContext) -> Done:
    """Remove one rule."""
    context.operator.remove_scenario(context.path["rule_id"])
    return Done("The rule is removed.")


def clear_rules(context: PageContext) -> Done:
    """Remove all rules but the scenario file's."""
    removed = context.operator.clear_scenarios()
    return Done(f"{removed} rules are removed." if removed != 1 else "The rule is removed.")
