"""The run itself: its steps in their order.

What costs nothing comes first, so that a target which is broken badly is known before it is paid.
Then all tasks are submitted at once, and while they run the generated bodies are sent. Nothing is
judged here, except where a failing body is to be shrunk.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import httpx

from apixo_contract._budget import Budget
from apixo_contract._observations import Run
from apixo_contract._receiver import receiving
from apixo_contract._session import Session
from apixo_contract._settings import Settings
from apixo_contract._steps import before, ending, meanwhile, paying
from apixo_schemas import MICROS_PER_USD, contract


def drive(
    settings: Settings,
    *,
    transport: httpx.BaseTransport | None,
    sleep: Callable[[float], object],
    clock: Callable[[], float],
    tell: Callable[[str], object],
    stopped: Callable[[Run], object],
) -> Run:
    """Make a run; see `apixo_contract._verify.observe`."""
    session = Session(settings, transport=transport, sleep=sleep, clock=clock)
    started = session.calls.now_ms
    try:
        with receiving(settings, clock) as session.receiver:
            _steps(session, tell)
    except BaseException:
        # Ctrl-C among them: what was seen, and paid for, is not lost.
        stopped(_seen(session, started))
        raise
    finally:
        session.calls.close()
    return _seen(session, started)


def _seen(session: Session, started: int) -> Run:
    """Give the run as it is by now."""
    settings = session.settings
    return Run(
        target=settings.base_url,
        seed=settings.seed,
        started_ms=started,
        ended_ms=session.calls.now_ms,
        live=settings.live,
        options={**settings.public(), "spent_usd": str(_spent_usd(session))},
        notes=session.notes,
        exchanges=tuple(session.calls.exchanges),
        callbacks=tuple(session.receiver.seen) if session.receiver else (),
    )


def _spent_usd(session: Session) -> Decimal:
    """Give what the run has cost at most: a submit on its way when it was stopped counts, too."""
    budget = session.budget
    reserved = Budget(session.settings.budget_usd).left - budget.left - budget.tasks
    return budget.spent_usd + Decimal(reserved * contract().price_micros) / MICROS_PER_USD


def _steps(session: Session, tell: Callable[[str], object]) -> None:
    tell("free checks")
    before.greet(session)
    before.keys(session)
    before.first_bodies(session)
    tell("submitting tasks")
    paying.pay(session)
    tell("calls about nothing, and bodies that break rules, while the tasks run")
    meanwhile.strangers(session)
    meanwhile.assumed_bodies(session, risky=False)
    meanwhile.generated(session)
    meanwhile.assumed_bodies(session, risky=True)
    tell("waiting for the tasks")
    ending.finish(session)
    tell("results, callbacks, the bill")
    ending.results(session)
    ending.last_money(session)
    ending.await_callbacks(session)
    session.poller.once_more()
