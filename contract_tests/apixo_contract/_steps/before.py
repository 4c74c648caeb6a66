"""Before any task: is anybody there, are keys asked for, is each rule kept. All of it is free."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, zip_longest

from apixo_contract._bodies import classics, documented_rules, written
from apixo_contract._ids import similar_ids
from apixo_contract._judges.money import NOISE, price_usd
from apixo_contract._observations import Key, Purpose
from apixo_contract._plan import example
from apixo_contract._session import Session
from apixo_contract._settings import UsageError

# Bodies of each rule that are sent before any task is paid for; the rest while the tasks run.
FIRST_CLASSICS = 8
_UNAUTHORIZED = 401


def greet(session: Session) -> None:
    """See whether the target answers, and whether it knows the key.

    Raises:
        UsageError: It refuses the key.
    """
    balance = session.read_balance("start")
    if balance is None or balance.status != _UNAUTHORIZED:
        return
    unknown = next(similar_ids([], session.random))
    poll = session.calls.status(unknown, Purpose.POLL_UNKNOWN)
    if poll.status == _UNAUTHORIZED:
        raise UsageError(
            f"{session.settings.base_url} refuses the API key (401). Give a valid one with "
            "--api-key or APIXO_API_KEY"
        )


def keys(session: Session) -> None:
    """Call without a key, and with a wrong one. The bodies are valid: only the key is wrong."""
    text = written(example(session.settings.image_url))
    session.calls.balance("balance", Key.NONE, Purpose.KEY)
    wrong = session.calls.balance("balance", Key.WRONG, Purpose.KEY)
    session.submit(text, Purpose.KEY, key=Key.NONE, probe="submit")
    if not wrong.succeeded:
        session.submit(text, Purpose.KEY, key=Key.WRONG, probe="submit")


def first_bodies(session: Session) -> None:
    """Break every rule alone, the same way on every run, between readings of the balance.

    A target that charges for them is found out at a small price: the first body is sent alone, and
    never more between two readings than the budget could bear twice.
    """
    session.read_balance("refusals")
    for bodies in _rows(session.settings.image_url):
        left = bodies
        while left:
            most = max(1, session.budget.left // 2)
            lot, left = left[:most], left[most:]
            cost = _cost_of(session, lot)
            if cost and session.budget.left >= 2 * len(lot):
                # Somebody else may use the account: what happens twice is this run's doing.
                again = _cost_of(session, lot)
                cost = cost + again if again else Decimal(0)
            if cost:
                session.charged_for_refusals(cost)
                return


def _rows(url: str) -> Iterator[list[str]]:
    """Give the bodies in lots: one alone, one for each other rule, the rest."""
    by_rule = [list(islice(classics(rule, url), FIRST_CLASSICS)) for rule in documented_rules()]
    first = [written(bodies[0]) for bodies in by_rule]
    yield first[:1]
    yield first[1:]
    # A rule that can be broken in one way only is broken again: each reading tells of all.
    rest = zip_longest(*(bodies[1:] or bodies for bodies in by_rule))
    yield [written(made) for row in rest for made in row if made is not None]


def _cost_of(session: Session, bodies: list[str]) -> Decimal:
    """Send bodies that are to be refused; give by how much the balance fell for it, in USD."""
    before, taken = session.balance, session.budget.tasks
    for text in bodies:
        session.break_rules(text)
    session.read_balance("refusals")
    if before is None or session.balance is None:
        return Decimal(0)
    accepted = session.budget.tasks - taken
    fall = before - session.balance - accepted * price_usd()
    return fall if fall > NOISE else Decimal(0)
