"""Checks of the balance: its form, the price of each task, and that a refusal costs nothing.

When a task is charged is not documented: at submit, a moment later, or at its end. Each task is
submitted between two readings of the balance. If most of these readings show the price, every one
must. Otherwise the balance is charged later, and only the sum of all tasks is judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from apixo_contract.bodies import Body
from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    answer_of,
    assumed,
    assumption,
    check,
    fact,
    outcome_for,
    page,
    skipped,
)
from apixo_contract.observations import Exchange, Key, Purpose
from apixo_contract.session import Session, price_usd
from apixo_contract.text import compact_json, plural
from apixo_contract.view import View

# Balances held as binary fractions are off by less.
NOISE = Decimal("0.00005")
# A rise like this is a payment, made while the run went on.
_PAYMENT = Decimal(1)
# These the endpoint may answer (platform fact P3); they show nothing of its form.
_REFUSALS = frozenset({401, 403})
_PAYMENT_REQUIRED = 402
_SERVER_ERROR = 500
# A charge may come a moment after the task: the balance is read again after these.
_PAUSES_S = (0.1, 0.2, 0.4, 0.6, 1.0)
# Tasks whose charge was waited for in vain, before the run waits no more.
_MOST_LATE = 2
# Readings: the first of the run, before tasks, after all tasks have ended, after failed ones.
START, TASKS, SETTLED, FAILED = "start", "tasks", "settled", "failed"
# The subject of charges that are none of a task.
_OTHER_CHARGES = "charges beside tasks"
_UNREADABLE = "The balance could not be read twice."


# --- what is sent -----------------------------------------------------------------------------


class Meter:
    """Submits tasks one by one, each between two readings of the balance."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._late = 0
        # Tasks that were charged exactly, and otherwise.
        self.exact: list[str] = []
        self.odd: list[str] = []

    def submit(self, name: str, made: Body, callback_url: str = "") -> Exchange | None:
        """Submit a task and wait a moment for its charge; None if the budget does not pay it."""
        before = self._session.balance
        found = self._session.submit(
            compact_json(made), Purpose.TASK, probe=name, callback_url=callback_url
        )
        if found is None:
            return None
        self._session.read_balance(name)
        if found.succeeded and before is not None:
            (self.exact if self._is_charged(before, name) else self.odd).append(name)
        return found

    def _is_charged(self, before: Decimal, name: str) -> bool:
        for pause in _PAUSES_S:
            after = self._session.balance
            if after is None or _near(before - after, price_usd()):
                return True
            if self._late >= _MOST_LATE:
                return False
            self._session.idle(pause)
            self._session.read_balance(name)
        self._late += 1
        return False

    def settle(self) -> None:
        """Read the balance after all tasks have ended, and wait for late charges."""
        session = self._session
        readings = [c for c in session.calls.exchanges if c.purpose is Purpose.BALANCE]
        start = next((c.balance for c in readings if c.probe == TASKS), None)
        accepted = sum(
            c.purpose in (Purpose.TASK, Purpose.BODY) and c.succeeded
            for c in session.calls.exchanges
        )
        session.read_balance(SETTLED)
        for pause in _PAUSES_S:
            if start is None or session.balance is None:
                return
            if start - session.balance >= accepted * price_usd() - NOISE:
                return
            session.idle(pause)
            session.read_balance(SETTLED)


# --- form and cover ---------------------------------------------------------------------------


def _readings(view: View) -> list[Exchange]:
    return [call for call in view.of(Purpose.BALANCE) if call.key is Key.OWN]


def _amounts(view: View) -> list[Exchange]:
    """Return the readings that hold an amount. The first comes before calls with wrong keys."""
    return [c for c in _readings(view) if c.balance is not None and c.probe != START]


def _amount(reading: Exchange) -> Decimal:
    return reading.balance or Decimal(0)


def _near(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= NOISE


@check(
    "balance.shape",
    fact(3),
)
def shape(view: View) -> Outcome:
    """The balance endpoint answers the envelope with a number as `data`."""
    readings = [call for call in _readings(view) if call.status not in _REFUSALS]
    broken = (
        Evidence(call, "a number as `data`", answer_of(call))
        for call in readings
        if call.balance is None
    )
    unseen = "This key may not read the balance."
    return outcome_for(len(readings), broken, unseen=unseen, what="readings")


@check("balance.insufficient", page("HTTP errors"))
def insufficient(view: View) -> Outcome:
    """A submit that the balance does not cover gets HTTP 402."""
    tasks = view.planned.values()
    short = [call for call in tasks if _left_before(view, call) < price_usd()]
    told = [call for call in tasks if call.status == _PAYMENT_REQUIRED]
    broken = (
        Evidence(call, f"HTTP {_PAYMENT_REQUIRED}", f"accepted: {answer_of(call)}")
        for call in short
        if call.succeeded
    )
    seen = len({call.number for call in (*short, *told)})
    unseen = "The account had enough money: a key with a balance below $0.01 shows it."
    return outcome_for(seen, broken, unseen=unseen, what="submits")


def _left_before(view: View, task: Exchange) -> Decimal:
    """Return the balance just before a submit; without a reading, enough."""
    before = [c for c in _readings(view) if c.number < task.number and c.balance is not None]
    return _amount(before[-1]) if before else _PAYMENT


# --- the price --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Charge:
    """By how much the balance fell for one task, in USD."""

    submitted: Exchange
    fall: Decimal

    @property
    def is_exact(self) -> bool:
        """True if it is the documented price."""
        return _near(self.fall, price_usd())


@dataclass(frozen=True, slots=True)
class Bill:
    """What the tasks of a run cost: one by one, and all together between two readings."""

    charges: tuple[Charge, ...]
    first: Exchange
    last: Exchange
    accepted: tuple[Exchange, ...]
    uncertain: int

    @property
    def fall(self) -> Decimal:
        """Return by how much the balance fell for all tasks."""
        return _amount(self.first) - _amount(self.last)

    @property
    def is_metered(self) -> bool:
        """True if most tasks show their price one by one."""
        return 2 * sum(charge.is_exact for charge in self.charges) >= max(1, len(self.charges))


def _bill(view: View) -> Bill | str:
    """Return what the tasks cost, or why that cannot be said."""
    amounts = _amounts(view)
    tasks = [found for found in view.planned.values() if found.succeeded]
    if not tasks:
        return view.no_tasks
    before = [c for c in amounts if c.number < tasks[0].number]
    after = [c for c in amounts if c.number > tasks[0].number]
    if not before or not after:
        return _UNREADABLE
    first = before[-1]
    last = next((c for c in reversed(after) if c.probe == SETTLED), after[-1])
    inside = range(first.number, last.number)
    if any(
        _amount(b) - _amount(a) <= -_PAYMENT for b, a in pairwise(amounts) if b.number in inside
    ):
        return "Money was paid in while the run went on."
    accepted = [s for s in view.submits if s.number in inside and s.succeeded]
    uncertain = [c for c in view.run.exchanges if c.number in inside and _is_uncertain(c)]
    charges = (charge for found in tasks if (charge := _charge(view, found, amounts)) is not None)
    return Bill(tuple(charges), first, last, tuple(accepted), len(uncertain))


def _is_uncertain(call: Exchange) -> bool:
    """True if a submit may have been accepted: no answer came, or one of a proxy."""
    return call.method == "POST" and (call.status is None or call.status >= _SERVER_ERROR)


def _charge(view: View, found: Exchange, amounts: list[Exchange]) -> Charge | None:
    """Return the charge of one task; None if others are mixed with it, or it may be paid back."""
    number = found.number
    before = [c for c in amounts if c.number < number]
    after = [c for c in amounts if c.number > number and c.probe == found.probe]
    task = view.tasks.get(found.submitted_id or "")
    if not before or not after or not found.is_valid or (task is not None and task.failed):
        return None
    inside = range(before[-1].number, after[-1].number)
    if any(_is_uncertain(call) for call in view.run.exchanges if call.number in inside):
        return None
    return Charge(found, _amount(before[-1]) - _amount(after[-1]))


def is_charged_at_once(view: View) -> bool:
    """True if the first reading after each task shows its price, to the last digit."""
    bill = view.once(_bill)
    if isinstance(bill, str) or not bill.charges:
        return False
    names = [reading.probe for reading in _amounts(view)]
    return all(
        charge.fall == price_usd() and names.count(charge.submitted.probe) == 1
        for charge in bill.charges
    )


def _odd_charges(bill: Bill) -> list[Charge]:
    """Return the tasks that were charged otherwise; not those that were exact when repeated."""
    if not bill.is_metered:
        return []
    exact = {charge.submitted.name for charge in bill.charges if charge.is_exact}
    odd = [charge for charge in bill.charges if not charge.is_exact]
    repeated = {c.submitted.name for c in odd if "/" in c.submitted.probe}
    return [c for c in odd if c.submitted.name not in exact or c.submitted.name in repeated]


def _blamed(bill: Bill) -> str | None:
    """Return the parameter that explains every odd charge: one of its values is charged otherwise."""
    odd = _odd_charges(bill)
    for name in ("resolution", "output_format") if odd else ():
        values = {charge.submitted.value(name) for charge in odd}
        same = [c for c in bill.charges if c.submitted.value(name) in values]
        if len(values) == 1 and len(same) == len(odd) < len(bill.charges):
            return name
    return None


def _fits(view: View, bill: Bill) -> bool:
    """True if the sum is a price for each task.

    A failed or unfinished task, and one that may have been accepted, may be free or not.
    """
    tasks = [view.tasks.get(s.submitted_id or "") for s in bill.accepted]
    surely = sum(task is not None and task.succeeded for task in tasks)
    counts = range(surely, len(bill.accepted) + bill.uncertain + 1)
    return any(_near(bill.fall, count * price_usd()) for count in counts)


@check("balance.price", page("Billing"), after=("balance.rejected-free",), at_the_end=True)
def price(view: View) -> Outcome:
    """Every accepted task lowers the balance by exactly $0.01."""
    bill = view.once(_bill)
    if isinstance(bill, str):
        return skipped(bill)
    what = "tasks, each between two readings" if bill.is_metered else "tasks together"
    broken = []
    if _blamed(bill) is None:
        broken = [_evidence(charge) for charge in _odd_charges(bill)]
    # If a task was charged otherwise only once, another client uses the account.
    used_alone = not bill.is_metered or all(charge.is_exact for charge in bill.charges)
    if used_alone and not _fits(view, bill):
        count = len(bill.accepted)
        words = f"${bill.fall:.4f} for {plural(count, 'accepted task')}"
        expected = f"${price_usd()} for each accepted task"
        broken = [Evidence(bill.last, expected, words, _OTHER_CHARGES)]
    return outcome_for(len(bill.accepted), broken, unseen="", what=what)


def _evidence(charge: Charge) -> Evidence:
    call = charge.submitted
    return Evidence(call, f"the balance falls by ${price_usd()}", f"it fell by ${charge.fall:.4f}")


@check("balance.resolution", page("Billing"))
def price_of_resolutions(view: View) -> Outcome:
    """Tasks of every `resolution` have the same price."""
    return _price_by(view, "resolution")


@check("balance.output_format", page("Billing"))
def price_of_formats(view: View) -> Outcome:
    """Tasks of every `output_format` have the same price."""
    return _price_by(view, "output_format")


def _price_by(view: View, name: str) -> Outcome:
    bill = view.once(_bill)
    if isinstance(bill, str):
        return skipped(bill)
    values = {charge.submitted.value(name) for charge in bill.charges}
    if not bill.is_metered:
        return skipped("The balance does not show the price of single tasks.")
    if len(values) < 2:  # noqa: PLR2004 - a comparison takes two
        return skipped(f"Fewer than two values of {name} were charged: give a higher --budget-usd.")
    broken = [_evidence(c) for c in _odd_charges(bill)] if _blamed(bill) == name else []
    return outcome_for(len(bill.charges), broken, unseen="", what="tasks")


# --- refusals and failures --------------------------------------------------------------------


@check("balance.rejected-free", page("Billing"))
def rejected_free(view: View) -> Outcome:
    """A refused submit does not lower the balance."""
    first = min((s.number for s in view.submits if s.succeeded), default=None)
    early = [
        (fall, refused, after)
        for fall, refused, after in _falls_by_refusals(view)
        if refused and (first is None or after.number < first)
    ]
    fell = [fall for fall, _, _ in early if fall > NOISE]
    # A run that sees it twice in a row sends no more such bodies.
    if fell and any(fall <= NOISE for fall, _, _ in early[-2:]):
        return skipped("The balance fell once only: the account is used by others too.")
    broken = (
        Evidence(after, "the same balance", f"${fall:.4f} less after {told}", _OTHER_CHARGES)
        for fall, told, after in ((f, plural(n, "refusal"), a) for f, n, a in early)
        if fall > NOISE
    )
    seen = sum(refused for _, refused, _ in early)
    unseen = view.note("budget", "The balance could not be read before and after refusals.")
    return outcome_for(seen, broken, unseen=unseen, what="refusals")


def _falls_by_refusals(view: View) -> Iterator[tuple[Decimal, int, Exchange]]:
    """Yield by how much the balance fell between two readings, and after how many refusals."""
    for before, after in pairwise(_amounts(view)):
        inside = range(before.number, after.number)
        refused = sum(s.number in inside and not s.succeeded for s in view.submits)
        yield _amount(before) - _amount(after), refused, after


@assumption("failed.charged")
def failed_charged(view: View) -> Outcome:
    """Compare the balance before failing tasks and after their end."""
    amounts = _amounts(view)
    after = [c for c in amounts if c.probe == FAILED]
    settled = [c.number for c in amounts if c.probe == SETTLED]
    # Tasks that failed after all others had ended and were charged.
    alone = range(settled[-1], after[-1].number) if settled and after else range(0)
    failed = [
        task for task in view.tasks.values() if task.failed and task.submitted.number in alone
    ]
    if not failed:
        return skipped("No task failed: give --failing-image-url." if view.tasks else view.no_tasks)
    before = [c for c in amounts if c.number < failed[0].submitted.number]
    if not before or not after:
        return skipped(_UNREADABLE)
    inside = range(before[-1].number, after[-1].number)
    count = sum(s.number in inside and s.succeeded for s in view.submits)
    fall = _amount(before[-1]) - _amount(after[-1])
    charged = _near(fall, count * price_usd())
    words = f"{plural(count, 'task')}, {len(failed)} of them failed, cost ${fall:.4f}."
    if not charged and not _near(fall, (count - len(failed)) * price_usd()):
        return skipped(f"{words} That is neither the price nor nothing.")
    evidence = Evidence(after[-1], f"${count * price_usd():.2f}", f"${fall:.4f}")
    observed = "charged" if charged else "refunded"
    return assumed(words, evidence, holds=charged, observed=observed)
