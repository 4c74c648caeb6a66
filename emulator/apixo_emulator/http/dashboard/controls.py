"""Deliveries, the inbox's page, the clock and the accounts, with their buttons."""

from __future__ import annotations

from starlette.responses import Response

from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.dashboard.context import PageContext
from apixo_emulator.http.dashboard.formatting import instant, span
from apixo_emulator.http.dashboard.inbox import INBOX
from apixo_emulator.http.dashboard.rendering import Done, Page, download
from apixo_emulator.service.control import NotFoundError

_PAGE = 50
# Callbacks on the inbox's page, and characters of each body: the page stays small whatever was sent.
_LISTED = 50
_BRIEF = 2048


def inbox_url(context: PageContext) -> str:
    """Return the address to use as ``callback_url``."""
    return f"{context.origin}{CONTROL_PREFIX}{INBOX}"


def list_callbacks(context: PageContext) -> Page:
    """Show a page of deliveries, the newest first.

    Raises:
        ValueError: The page is no number.
    """
    operator = context.operator
    offset = context.number("offset") or 0
    found = operator.deliveries(limit=_PAGE + 1, offset=offset)
    by_state = operator.counts().deliveries
    return Page(
        "callbacks.html",
        {
            "rows": [operator.delivery(row["taskId"]) for row in found[:_PAGE]],
            "newer": max(0, offset - _PAGE) if offset else None,
            "older": offset + _PAGE if len(found) > _PAGE else None,
            "counts": sorted(by_state.items()),
            "callbacks": operator.config()["callbacks"],
            "inbox_url": inbox_url(context),
        },
    )


def show_inbox(context: PageContext) -> Page:
    """Show what the inbox has received."""
    return Page(
        "inbox.html",
        {
            "received": context.shared.inbox.received()[:_LISTED],
            "most": _BRIEF,
            "inbox_url": inbox_url(context),
            "strict": context.operator.config()["callbacks"]["mode"] == "strict",
        },
    )


def send_received(context: PageContext) -> Response:
    """Send the body of a callback, as a file.

    Raises:
        NotFoundError: The inbox does not have it any more.
    """
    asked = context.path["number"]
    found = (item for item in context.shared.inbox.received() if str(item.number) == asked)
    item = next(found, None)
    if item is None:
        raise NotFoundError(f"no callback {asked!r} in the inbox, which keeps the latest only")
    return download(item.body, f"callback-{item.number}.txt")


def clear_inbox(context: PageContext) -> Done:
    """Forget what was received."""
    context.shared.inbox.clear()
    return Done("The inbox is empty.")


_RATES = (0.1, 1, 10, 60, 1000)


def show_clock(context: PageContext) -> Page:
    """Show the clock, the accounts, and how the emulator runs."""
    operator = context.operator
    return Page(
        "clock.html",
        {"rates": _RATES, "accounts": operator.accounts(), "config": operator.config()},
    )


def advance(context: PageContext) -> Done:
    """Move the clock on.

    Raises:
        ValueError: It is no number of seconds, or too many.
    """
    ms = _ms(context.form.get("seconds", ""))
    clock = context.operator.advance(ms)
    return Done(f"The clock has moved on by {span(ms)}, to {instant(clock['now'])}.")


def _ms(seconds: str) -> int:
    try:
        return round(float(seconds) * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number of seconds, found {seconds!r}") from None


def set_rate(context: PageContext) -> Done:
    """Let the clock run so many times as fast; 0 freezes it.

    Raises:
        ValueError: It is no rate.
    """
    asked = context.form.get("rate", "")
    try:
        rate = float(asked)
    except ValueError:
        raise ValueError(f"expected a rate such as 1, 10 or 0.5, found {asked!r}") from None
    clock = context.operator.set_clock(rate=rate)
    if clock["frozen"]:
        return Done("The clock is frozen.")
    return Done(
        f"The clock runs {rate:g} times as fast." if rate != 1 else "The clock runs as yours."
    )


def reset(context: PageContext) -> Done:
    """Begin anew: no tasks, accounts, added rules or journal."""
    seed = context.form.get("seed", "").strip()
    if seed and not seed.lstrip("-").isdigit():
        raise ValueError(f"seed: expected a whole number, found {seed!r}")
    context.operator.reset(int(seed) if seed else None)
    context.shared.inbox.clear()
    return Done("Everything is as at the start.")


def top_up(context: PageContext) -> Done:
    """Add money to an account, or to a key's.

    Raises:
        ValueError: It is no amount of money, or no key.
    """
    key = context.form.get("key", "").strip()
    if not key:
        raise ValueError("key: expected an API key, found nothing")
    account = context.operator.top_up(key, context.form.get("amount", "").strip())
    return Done(f"The balance is {account['balance']} USD.")
