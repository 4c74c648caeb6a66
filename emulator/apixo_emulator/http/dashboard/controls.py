"""Pages with buttons: callbacks, the inbox, scenarios, the clock and the accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from starlette.responses import Response

from apixo_emulator.http.dashboard.formatting import instant, span
from apixo_emulator.http.dashboard.rendering import Done, Page, PageContext, download
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.service.control import NotFoundError
from apixo_schemas import contract

# Callbacks

_PAGE = 50
# Callbacks on the inbox's page, and characters of each body: the page stays small whatever was sent.
_LISTED = 50
_BRIEF = 2048


def list_callbacks(context: PageContext) -> Page:
    """Show a page of deliveries, the newest first."""
    control = context.control
    offset = context.number("offset") or 0
    found = control.deliveries(limit=_PAGE + 1, offset=offset)
    return Page(
        "callbacks.html",
        {
            "rows": [control.delivery(row["taskId"]) for row in found[:_PAGE]],
            "newer": max(0, offset - _PAGE) if offset else None,
            "older": offset + _PAGE if len(found) > _PAGE else None,
            "counts": sorted(control.counts().deliveries.items()),
            "callbacks": control.config()["callbacks"],
        },
    )


def show_inbox(context: PageContext) -> Page:
    """Show what the inbox has received."""
    strict = context.control.config()["callbacks"]["mode"] == "strict"
    kept = context.inbox.received()
    shown = {"received": kept[:_LISTED], "kept": len(kept), "most": _BRIEF, "strict": strict}
    return Page("inbox.html", shown)


def send_received(context: PageContext) -> Response:
    """Send the body of a callback, as a file."""
    number = context.path["number"]
    for item in context.inbox.received():
        if str(item["number"]) == number:
            return download(item["body"], f"callback-{number}.txt")
    raise NotFoundError(f"no callback {number!r} in the inbox, which keeps the latest only")


def clear_inbox(context: PageContext) -> Done:
    """Forget what was received."""
    context.inbox.clear()
    return Done("The inbox is empty.")


# Clock and accounts

_RATES = (0.1, 1, 10, 60, 1000)


def show_clock(context: PageContext) -> Page:
    """Show the clock, the accounts, and how the emulator runs."""
    accounts, config = context.control.accounts(), context.control.config()
    return Page("clock.html", {"rates": _RATES, "accounts": accounts, "config": config})


def advance(context: PageContext) -> Done:
    """Move the clock on."""
    seconds = context.form.get("seconds", "")
    try:
        ms = round(float(seconds) * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number of seconds, found {seconds!r}") from None
    clock = context.control.advance(ms)
    return Done(f"The clock has moved on by {span(ms)}, to {instant(clock['now'])}.")


def set_rate(context: PageContext) -> Done:
    """Let the clock run so many times as fast; 0 freezes it."""
    asked = context.form.get("rate", "")
    try:
        rate = float(asked)
    except ValueError:
        raise ValueError(f"expected a rate such as 1, 10 or 0.5, found {asked!r}") from None
    context.control.set_clock(rate=rate)
    if rate in (0, 1):
        return Done("The clock runs as yours." if rate else "The clock is frozen.")
    return Done(f"The clock runs {rate:g} times as fast.")


def reset(context: PageContext) -> Done:
    """Begin anew: no tasks, accounts, added rules or journal."""
    seed = context.form.get("seed", "").strip()
    if seed and not seed.lstrip("-").isdigit():
        raise ValueError(f"seed: expected a whole number, found {seed!r}")
    context.control.reset(int(seed) if seed else None)
    context.inbox.clear()
    return Done("Everything is as at the start.")


def top_up(context: PageContext) -> Done:
    """Add money to an account, or to a key's."""
    key = context.form.get("key", "").strip()
    if not key:
        raise ValueError("key: expected an API key, found nothing")
    account = context.control.top_up(key, context.form.get("amount", "").strip())
    return Done(f"The balance is {account['balance']} USD.")


# Scenarios

_MATCHED = ("image_url", "resolution", "output_format", "key")
_TITLES = {
    "outcome": "How the task ends",
    "time": "How long it takes",
    "http": "The submit is refused",
    "wire": "The answer is damaged",
    "callback": "The callback",
    "answer": "Rare but allowed answers",
    "status": "The poll fails",
}


def show_scenarios(context: PageContext) -> Page:
    """Show the vocabulary and the rules."""
    groups = [
        (_TITLES.get(group, group), list(entries))
        for group, entries in groupby(vocabulary(), key=lambda entry: str(entry.group))
    ]
    return Page(
        "scenarios.html",
        {
            "groups": groups,
            "rules": [_shown(rule) for rule in context.control.scenarios()],
            "names": [entry.name for entry in vocabulary() if "<" not in entry.name],
            "resolutions": list(contract().long_edge_px),
            "formats": list(contract().formats),
        },
    )


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule with its name, and its match and plan as pairs of texts."""
    names = rule.get("scenario", [])
    rest = [
        (f"{part} {key}", value if isinstance(value, str) else json.dumps(value))
        for part in ("match", "plan")
        for key, value in rule.get(part, {}).items()
    ]
    return {
        "times": None,
        **rule,
        "name": rule.get("name") or (names if isinstance(names, str) else " + ".join(names)),
        "rest": rest,
        "from_file": rule["id"].startswith("file-"),
    }


def add_rule(context: PageContext) -> Done:
    """Add a rule from the form's fields."""
    rule = context.control.add_scenario(_filled(context.form))
    meant = {None: "every task", 1: "the next task"}
    times = rule.get("times")
    return Done(f"{_shown(rule)['name']} for {meant.get(times, f'the next {times} tasks')}.")


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
    context.control.remove_scenario(context.path["rule_id"])
    return Done("The rule is removed.")


def clear_rules(context: PageContext) -> Done:
    """Remove all rules but the scenario file's."""
    removed = context.control.clear_scenarios()
    return Done(f"{removed} rules are removed." if removed != 1 else "The rule is removed.")
