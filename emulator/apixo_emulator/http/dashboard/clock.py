"""Time and money: the emulator's clock, its accounts, and beginning anew."""

from __future__ import annotations

from apixo_emulator.http.dashboard.page import Done, Page
from apixo_emulator.http.dashboard.visit import Visit
from apixo_emulator.http.dashboard.words import instant, span

_RATES = (0.1, 1, 10, 60, 1000)


def show_clock(visit: Visit) -> Page:
    """Show the clock, the accounts, and how the emulator runs."""
    desk = visit.operator
    return Page(
        "clock.html", {"rates": _RATES, "accounts": desk.accounts(), "config": desk.config()}
    )


def advance(visit: Visit) -> Done:
    """Move the clock on.

    Raises:
        ValueError: It is no number of seconds, or too many.
    """
    ms = _ms(visit.form.get("seconds", ""))
    clock = visit.operator.advance(ms)
    return Done(f"The clock has moved on by {span(ms)}, to {instant(clock['now'])}.")


def _ms(seconds: str) -> int:
    try:
        return round(float(seconds) * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"expected a number of seconds, found {seconds!r}") from None


def set_rate(visit: Visit) -> Done:
    """Let the clock run so many times as fast; 0 freezes it.

    Raises:
        ValueError: It is no rate.
    """
    asked = visit.form.get("rate", "")
    try:
        rate = float(asked)
    except ValueError:
        raise ValueError(f"expected a rate such as 1, 10 or 0.5, found {asked!r}") from None
    clock = visit.operator.set_clock(rate=rate)
    if clock["frozen"]:
        return Done("The clock is frozen.")
    return Done(
        f"The clock runs {rate:g} times as fast." if rate != 1 else "The clock runs as yours."
    )


def reset(visit: Visit) -> Done:
    """Begin anew: no tasks, accounts, added rules or journal."""
    seed = visit.form.get("seed", "").strip()
    if seed and not seed.lstrip("-").isdigit():
        raise ValueError(f"seed: expected a whole number, found {seed!r}")
    visit.operator.reset(int(seed) if seed else None)
    visit.desk.inbox.clear()
    return Done("Everything is as at the start.")


def top_up(visit: Visit) -> Done:
    """Add money to an account, or to a key's.

    Raises:
        ValueError: It is no amount of money, or no key.
    """
    key = visit.form.get("key", "").strip()
    if not key:
        raise ValueError("key: expected an API key, found nothing")
    account = visit.operator.top_up(key, visit.form.get("amount", "").strip())
    return Done(f"The balance is {account['balance']} USD.")
