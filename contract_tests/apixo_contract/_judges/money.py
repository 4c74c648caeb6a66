"""Judges of the balance: its form, the price of a task, and that a refusal costs nothing.

When a task is charged is not documented: at submit, at its end, or a moment later. So the price is
judged by what a whole run cost; the steps in between only say which tasks were charged otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, ruled, skipped
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._view import Submitted, View
from apixo_schemas import MICROS_PER_USD, contract

# Balances of binary fractions are off by less.
NOISE = Decimal("0.00005")
# A step up like this is a payment, made while the run went on.
_PAYMENT = Decimal(1)
# P3: these the endpoint may answer; they tell nothing of its form.
_REFUSALS = frozenset({401, 403})
_PAYMENT_REQUIRED = 402
_SERVER_ERROR = 500
_BASELINE = "example"
GREETING = "start"


@dataclass
class Window:
    """What happened between two readings of the balance."""

    before: Exchange
    after: Exchange
    accepted: list[Submitted] = field(default_factory=list)
    refused: int = 0
    # Submits of which nobody knows whether they were taken, and charged.
    uncertain: int = 0

    @property
    def fall(self) -> Decimal:
        """Give by how much the balance fell, in USD."""
        return _amount(self.before) - _amount(self.after)


def _amount(reading: Exchange) -> Decimal:
    return reading.balance or Decimal(0)


def price_usd() -> Decimal:
    """Give the documented price of a task."""
    return Decimal(contract().price_micros) / MICROS_PER_USD


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= NOISE


def windows(view: View) -> list[Window]:
    """Give what lies between each two readings."""
    found: list[Window] = []
    # The first reading only greets: calls with wrong keys come after it.
    readings = [c for c in _readings(view) if c.balance is not None and c.probe != GREETING]
    for before, after in pairwise(readings):
        inside = [s for s in view.submits if before.number < s.exchange.number < after.number]
        accepted = [s for s in inside if s.exchange.accepted]
        uncertain = sum(
            before.number < call.number < after.number and _is_uncertain(call)
            for call in view.run.exchanges
        )
        found.append(Window(before, after, accepted, len(inside) - len(accepted), uncertain))
    return found


def _is_uncertain(call: Exchange) -> bool:
    """Whether a submit may have been taken: no answer came, or one of somebody before the API."""
    return call.method == "POST" and (call.status is None or call.status >= _SERVER_ERROR)


def _readings(view: View) -> list[Exchange]:
    return [call for call in view.of(Purpose.BALANCE) if call.key is Key.OWN]


def shape(view: View) -> Outcome:
    """Judge `balance.shape` (platform fact P3)."""
    readings = [call for call in _readings(view) if call.status not in _REFUSALS]
    wrong = [
        Sighting(call, "a number as `data`", answer_of(call))
        for call in readings
        if not call.succeeded or call.balance is None
    ]
    unseen = "this key may not read the balance"
    return ruled("balance.shape", len(readings), wrong, unseen=unseen, what="readings")


def insufficient(view: View) -> Outcome:
    """Judge `balance.insufficient`: only an account that is all but empty shows it."""
    tasks = [found.exchange for found in view.planned.values()]
    short = [call for call in tasks if _left_before(view, call) < price_usd()]
    told = [call for call in tasks if call.status == _PAYMENT_REQUIRED]
    broken = [
        Sighting(call, f"HTTP {_PAYMENT_REQUIRED}", f"accepted: {answer_of(call)}")
        for call in short
        if call.accepted
    ]
    unseen = "the account had enough money"
    seen = len({call.number for call in (*short, *told)})
    return ruled("balance.insufficient", seen, broken, unseen=unseen, what="submits")


def _left_before(view: View, task: Exchange) -> Decimal:
    """Give the balance just before a submit; without a reading, enough."""
    before = [c for c in _readings(view) if c.number < task.number and c.balance is not None]
    return _amount(before[-1]) if before else _PAYMENT


def prices(view: View) -> Iterator[Outcome]:
    """Judge `balance.price`, `balance.resolution`, `balance.output_format`, `balance.rejected-free`."""
    found = windows(view)
    yield _rejected_free(view, found)
    # What happened before the first task is no price of one.
    first = next((place for place, window in enumerate(found) if window.accepted), 0)
    found = found[first:]
    steps = [
        window
        for window in found
        if len(window.accepted) == 1 and _is_valid(window.accepted[0]) and not window.uncertain
    ]
    reason = _unjudgeable(view, found)
    if reason:
        for name in ("price", "resolution", "output_format"):
            yield skipped(f"balance.{name}", reason)
        return
    total = Window(found[0].before, found[-1].after, [s for w in found for s in w.accepted])
    total.uncertain = sum(window.uncertain for window in found)
    fits = _fits(view, total, steps)
    expected = f"${price_usd()} for each accepted task"
    words = f"the balance fell by ${total.fall:.4f} for {len(total.accepted)} accepted tasks"
    broken = [] if fits else [Sighting(total.after, expected, words)]
    yield ruled("balance.price", len(total.accepted), broken, unseen="", what="tasks paid")
    for name in ("resolution", "output_format"):
        yield _by(name, steps, fits=fits)


def _is_valid(found: Submitted) -> bool:
    return found.expected is not None and found.expected.accepted


def _unjudgeable(view: View, found: list[Window]) -> str | None:
    if len(found) < 1:
        return "the balance could not be read twice"
    if not any(window.accepted for window in found):
        return view.no_tasks
    if any(window.fall <= -_PAYMENT for window in found):
        return "money was paid in while the run went on"
    return None


def _fits(view: View, total: Window, steps: list[Window]) -> bool:
    """Whether the fall is a price for each task; one that failed, or goes on, may be free.

    A submit that may have been taken may cost, too.
    """
    if _near(total.fall, len(total.accepted) * price_usd()):
        return True
    if steps and _near(steps[0].fall, price_usd()) and _uneven(view, steps):
        return False
    views = [view.tasks.get(s.exchange.submitted_id or "") for s in total.accepted]
    surely = sum(task is not None and task.succeeded for task in views)
    counts = range(surely, len(total.accepted) + total.uncertain + 1)
    return any(_near(total.fall, count * price_usd()) for count in counts)


def _uneven(view: View, steps: list[Window]) -> bool:
    """Whether a task was charged otherwise than the first one, before any could be paid back."""
    for window in steps:
        task = view.tasks.get(window.accepted[0].exchange.submitted_id or "")
        if task is None or not task.succeeded:
            return False
        if not _near(window.fall, steps[0].fall):
            return True
    return False


def _by(name: str, steps: list[Window], *, fits: bool) -> Outcome:
    """Say whether tasks were charged otherwise because of one parameter."""
    check_id = f"balance.{name}"
    values = {window.accepted[0].value(name) for window in steps}
    if len(values) < 2:  # noqa: PLR2004 - a comparison takes two
        return skipped(check_id, "fewer than two values were charged one by one")
    base = next((w for w in steps if w.accepted[0].exchange.probe == _BASELINE), steps[0])
    usual = base.accepted[0].value(name)
    odd = [] if fits else [w for w in steps if not _near(w.fall, base.fall)]
    blamed = {w.accepted[0].value(name) for w in odd} - {usual}
    all_odd = {
        value
        for value in blamed
        if all(w in odd for w in steps if w.accepted[0].value(name) == value)
    }
    broken = [
        Sighting(w.accepted[0].exchange, f"${base.fall:.4f} as for {usual}", f"${w.fall:.4f}")
        for w in odd
        if w.accepted[0].value(name) in all_odd
    ]
    return ruled(check_id, len(steps), broken, unseen="", what="tasks charged one by one")


def _rejected_free(view: View, found: list[Window]) -> Outcome:
    """Look at the windows before the first task: later ones may hold its late charge."""
    check_id = "balance.rejected-free"
    first = min((s.exchange.number for s in view.submits if s.exchange.accepted), default=None)
    early = [
        window
        for window in found
        if window.refused and (first is None or window.after.number < first)
    ]
    fell = [window for window in early if window.fall > NOISE]
    # A run that sees it twice on end sends no more such bodies.
    if fell and fell[-2:] != early[-2:]:
        return skipped(check_id, "the balance fell once only: the account is used by others too")
    broken = [
        Sighting(w.after, "the same balance", f"${w.fall:.4f} less after {w.refused} refusals")
        for w in fell
    ]
    refused = sum(window.refused for window in early)
    unseen = "no refusals between two readings"
    return ruled(check_id, refused, broken, unseen=unseen, what="refusals")
