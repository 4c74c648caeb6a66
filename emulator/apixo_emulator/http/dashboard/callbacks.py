"""Deliveries with their attempts, and the inbox that callbacks can be sent to."""

from __future__ import annotations

from apixo_emulator.domain.control_names import CONTROL_PREFIX
from apixo_emulator.http.dashboard.inbox import INBOX
from apixo_emulator.http.dashboard.page import Done, Page
from apixo_emulator.http.dashboard.visit import Visit

_PAGE = 50


def inbox_url(visit: Visit) -> str:
    """Give the address to use as ``callback_url``."""
    return f"{visit.origin}{CONTROL_PREFIX}{INBOX}"


def list_callbacks(visit: Visit) -> Page:
    """Show a page of deliveries, the newest first.

    Raises:
        ValueError: The page is no number.
    """
    desk = visit.operator
    offset = visit.number("offset") or 0
    found = desk.deliveries(limit=_PAGE + 1, offset=offset)
    by_state = desk.counts().deliveries
    return Page(
        "callbacks.html",
        {
            "rows": [desk.delivery(row["taskId"]) for row in found[:_PAGE]],
            "newer": max(0, offset - _PAGE) if offset else None,
            "older": offset + _PAGE if len(found) > _PAGE else None,
            "counts": sorted(by_state.items()),
            "callbacks": desk.config()["callbacks"],
            "inbox_url": inbox_url(visit),
        },
    )


def show_inbox(visit: Visit) -> Page:
    """Show what the inbox has received."""
    return Page(
        "inbox.html",
        {
            "received": visit.desk.inbox.received(),
            "inbox_url": inbox_url(visit),
            "strict": visit.operator.config()["callbacks"]["mode"] == "strict",
        },
    )


def clear_inbox(visit: Visit) -> Done:
    """Forget what was received."""
    visit.desk.inbox.clear()
    return Done("The inbox is empty.")
