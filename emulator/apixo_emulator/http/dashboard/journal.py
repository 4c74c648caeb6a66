"""The journal: the latest calls, and one of them with all that is known of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from starlette.responses import Response

from apixo_emulator.http.dashboard.rendering import Page, PageContext, download
from apixo_emulator.journal.entry import JournalEntry, as_text
from apixo_emulator.journal.export import curl
from apixo_emulator.service.control import NotFoundError
from apixo_schemas import Source, contract, source

_PAGE = 50
_FIRST_ERROR = 400
_NUMBER = re.compile(r"[0-9]{1,15}")
_NEAR = 250

KINDS: Mapping[str, tuple[str, Callable[[JournalEntry], bool]]] = {
    "submit": ("Submits", lambda entry: entry.endpoint == "submit"),
    "status": ("Polls", lambda entry: entry.endpoint == "status"),
    "rejected": ("Rejected", lambda entry: entry.broken_rule is not None),
    "errors": ("Errors", lambda entry: entry.status >= _FIRST_ERROR),
    "bent": ("By scenario", lambda entry: entry.scenario is not None),
}


def list_requests(context: PageContext) -> Page:
    """Show a page of calls, the newest first."""
    kind, text = context.query.get("kind") or None, context.query.get("text", "")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    before = context.number("before")
    found = _found(context, kind, text.strip().lower(), before)
    rows = found[:_PAGE]
    return Page(
        "requests.html",
        {
            "rows": [(entry, rule_of(entry)) for entry in rows],
            "older": rows[-1].number if len(found) > _PAGE else None,
            "filter": {"kind": kind, "text": text, "before": before},
            "kinds": [(name, label) for name, (label, _) in KINDS.items()],
            "last": context.control.last_number(),
        },
    )


def _found(
    context: PageContext, kind: str | None, text: str, before: int | None
) -> list[JournalEntry]:
    """Return one entry more than fit on a page, the newest first."""
    until = context.control.last_number() if before is None else before - 1
    fits = KINDS[kind][1] if kind else lambda _entry: True
    found: list[JournalEntry] = []
    # To make all entries of a full journal takes a moment; nearly always the latest are enough.
    for reach in (_PAGE + 1, _NEAR, until):
        after = max(0, until - reach)
        entries = context.control.requests(after=after, limit=until - after)
        found += [
            entry
            for entry in reversed(entries)
            if entry.number <= until and fits(entry) and text in _searched(entry)
        ]
        if len(found) > _PAGE or not after:
            break
        until = after
    return found[: _PAGE + 1]


def _searched(entry: JournalEntry) -> str:
    parts = (entry.method, entry.path, entry.query, entry.key, entry.task_id, entry.decision)
    body = as_text(entry.request_body)[0]
    return " ".join(str(part) for part in (*parts, entry.scenario, entry.status, body)).lower()


def rule_of(entry: JournalEntry) -> str | None:
    """Return in words which of the contract's rules a rejected call broke."""
    if entry.broken_rule is None:
        return None
    found = (rule.condition for rule in contract().rules if rule.id == entry.broken_rule)
    return next(found, entry.broken_rule)


def _sources_of(entry: JournalEntry) -> list[Source]:
    """Return what the broken rule rests on."""
    broken = (rule for rule in contract().rules if rule.id == entry.broken_rule)
    return [source(name) for rule in broken for name in rule.sources]


def show_request(context: PageContext) -> Page:
    """Show one call."""
    entry, around = _call(context)
    numbers = [other.number for other in around]
    return Page(
        "request.html",
        {
            "entry": entry,
            "rule": rule_of(entry),
            "sources": _sources_of(entry),
            "bodies": {
                "request": as_text(entry.request_body),
                "response": as_text(entry.response_body),
            },
            "curl": curl(entry),
            "earlier": max((number for number in numbers if number < entry.number), default=None),
            "later": min((number for number in numbers if number > entry.number), default=None),
        },
    )


def send_body(context: PageContext) -> Response:
    """Send all that the journal has of a body, as a file."""
    entry, _ = _call(context)
    bodies = {"request": entry.request_body, "response": entry.response_body}
    which = context.path["which"]
    if which not in bodies:
        raise NotFoundError(f"expected request or response, found {which!r}")
    return download(as_text(bodies[which])[0], f"call-{entry.number}-{which}.txt")


def _call(context: PageContext) -> tuple[JournalEntry, Sequence[JournalEntry]]:
    """Return the call whose number the path has, and those around it."""
    asked = context.path["number"]
    number = int(asked) if _NUMBER.fullmatch(asked) else 0
    # Where several worlds share a store their numbers are not in a row.
    around = context.control.requests(after=max(0, number - _PAGE), limit=2 * _PAGE)
    entry = next((entry for entry in around if entry.number == number), None)
    if entry is None:
        raise NotFoundError(f"no call {asked!r} in the journal, which keeps the latest only")
    return entry, around
