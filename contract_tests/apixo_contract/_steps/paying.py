"""The tasks that a run pays for, all submitted before any is waited for."""

from __future__ import annotations

from apixo_contract._bodies import PUBLIC_HOOK, written
from apixo_contract._calls import BUSY
from apixo_contract._observations import Exchange, Purpose
from apixo_contract._plan import TOLERANT, Planned, one_by_one, planned
from apixo_contract._session import Session
from apixo_contract._settings import Unreachable

# Seconds for submitting tasks: a limit on how many run at once can hold them up.
_PAYING_S = 90.0
_PAYMENT_REQUIRED = 402
_APART_S = 1.0


def pay(session: Session) -> None:
    """Submit the planned tasks, with the balance in between; keep one task for surprises.

    Raises:
        Unreachable: The target was too busy for every one of them.
    """
    _plan_callbacks(session)
    _submit_all(session)
    sent = [call for call in session.calls.exchanges if call.purpose is Purpose.TASK]
    if sent and all(call.status in BUSY for call in sent):
        raise Unreachable(
            f"{session.settings.base_url} was too busy for every task (HTTP {sent[-1].status}, "
            f"{len(sent)} submits that were not repeated any more): nothing can be judged. "
            "Try again later"
        )


def _submit_all(session: Session) -> None:
    session.read_balance("tasks")
    until = session.clock() + _PAYING_S
    for task in planned(session.settings, session.callback_urls):
        reason = _no_more(session, until)
        if reason is None:
            reason = _pay_for(session, task)
        if reason is not None:
            session.notes.setdefault("tasks", reason)
            return


def _pay_for(session: Session, task: Planned) -> str | None:
    """Submit one task; give the reason if there can be no more."""
    if task.name == "repeat":
        # The same body again, a second apart: by then a clock that runs faster has shown it.
        session.idle(_APART_S)
    found = session.submit(written(task.body), Purpose.TASK, probe=task.name)
    session.read_balance(task.name)
    if found is not None and found.status == _PAYMENT_REQUIRED:
        return "the account has no money left"
    if found is not None and task.name == "callback" and not found.accepted:
        _instead_of_callback(session, task, found)
    if found is not None and task.name == TOLERANT and not found.accepted:
        return _instead_of_tolerant(session)
    return None


def _instead_of_tolerant(session: Session) -> str | None:
    """Submit one by one what the target did not take together; the reserve may go for it."""
    for task in one_by_one(session.settings.image_url):
        if session.budget.left < 1:
            return f"the budget of ${session.settings.budget_usd} allows for no such task"
        session.submit(written(task.body), Purpose.TASK, probe=task.name)
        session.read_balance(task.name)
    return None


def _no_more(session: Session, until: float) -> str | None:
    if session.clock() > until:
        return "the target took tasks too slowly for more of them"
    if session.budget.left < 2:  # noqa: PLR2004 - this one and the one for surprises
        return f"the budget of ${session.settings.budget_usd} allows for no such task"
    return None


def _instead_of_callback(session: Session, task: Planned, refused: Exchange) -> None:
    """Submit the task again: a target may take addresses only that are public and HTTPS."""
    session.notes["callbacks"] = f"the target refused the callback URL: {refused.message}"
    session.callback_urls.clear()
    elsewhere = {**task.body, "callback_url": PUBLIC_HOOK}
    found = session.submit(written(elsewhere), Purpose.TASK, probe="callback-https")
    if found is not None and not found.accepted:
        asked = {"request_type": "async", "input": task.body["input"]}
        session.submit(written(asked), Purpose.TASK, probe="2k-png")
    session.read_balance("callback-https")


def _plan_callbacks(session: Session) -> None:
    """Give the tasks addresses, and say whether the first callback is to be turned away."""
    receiver = session.receiver
    if receiver is None:
        reason = "no address for callbacks: give --callback-host or --callback-url"
        session.notes["callbacks"] = reason
        return
    session.callback_urls.update({name: receiver.url(name) for name in ("callback", "failing")})
    if session.settings.waits_for_retries:
        receiver.refuse_first(session.callback_urls["callback"])
    else:
        reason = "the first retry is documented after 30 s: give --max-wait 60 to wait for it"
        session.notes["callback-retry"] = reason
