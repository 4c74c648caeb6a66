"""The end: tasks are waited for, results fetched, callbacks awaited, the bill read."""

from __future__ import annotations

from apixo_contract._judges.money import price_usd
from apixo_contract._judges.status import result_urls
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._session import Session

# The tasks whose results differ in what was asked; the others' would show nothing new.
_SHOWN = frozenset(
    {"example", "callback", "callback-https", "2k-png", "8k-webp", "minimal", "2K-jpeg"}
)
# Seconds that a callback may take after the task's end was polled, and the first retry after that.
_CALLBACK_S = 8.0
_RETRY_S = 40.0
# A charge may come a moment after the task: the balance is read again after these.
_PATIENCE_S = (0.3, 1.0, 2.0)
_OK = 200


def finish(session: Session) -> None:
    """Wait until every task has ended, or has had its time."""
    poller = session.poller
    while poller.open:
        session.idle(max(poller.next_s, 0.01))
        _note_callbacks(session)


def _note_callbacks(session: Session) -> None:
    """A task that was called back has ended: polls must say so soon."""
    for task in session.poller.open:
        if _called_back(session, task.name, task.id):
            session.poller.no_longer_than(task.name, _CALLBACK_S)


def _called_back(session: Session, name: str, task_id: str) -> int:
    url = session.callback_urls.get(name)
    if session.receiver is None or url is None:
        return 0
    return session.receiver.count(url, task_id)


def results(session: Session) -> None:
    """Fetch the head of each result."""
    for task in session.poller.tasks.values():
        if task.name in _SHOWN and task.final is not None and task.final.state == "success":
            for url in result_urls(task.final)[:1]:
                session.calls.result(url, task.id)


def last_money(session: Session) -> None:
    """Read the balance at the end, and that of the wrong key, if that opens an account."""
    reading = session.read_balance("end")
    for pause in _PATIENCE_S:
        if reading is None or _paid(session):
            break
        session.idle(pause)
        reading = session.read_balance("end")
    wrong = [call for call in session.calls.exchanges if call.key is Key.WRONG]
    if any(call.probe == "balance" and call.succeeded for call in wrong):
        session.calls.balance("balance", Key.WRONG, Purpose.KEY)


def _paid(session: Session) -> bool:
    """Whether the balance fell by a price for each task that the target has taken."""
    calls = session.calls.exchanges
    readings = [c.balance for c in calls if _is_reading(c) and c.balance is not None]
    taken = sum(call.accepted for call in calls if call.purpose in _SUBMITS)
    return bool(readings) and readings[0] - readings[-1] >= taken * price_usd()


_SUBMITS = frozenset({Purpose.BODY, Purpose.PROBE, Purpose.TASK})


def _is_reading(call: Exchange) -> bool:
    return call.purpose is Purpose.BALANCE


def await_callbacks(session: Session) -> None:
    """Wait a little for callbacks; for a second one where the first was turned away."""
    receiver = session.receiver
    awaited = [
        (session.callback_urls[task.name], task.id)
        for task in session.poller.tasks.values()
        if task.name in session.callback_urls and task.ended_s is not None
    ]
    if receiver is None or not awaited:
        return
    session.notes["callback-wait"] = f"{_CALLBACK_S:.0f} s after its end"
    session.wait_until(lambda: all(receiver.count(*one) for one in awaited), _CALLBACK_S)
    if any(callback.answered != _OK for callback in receiver.seen):
        session.notes["callback-retry-wait"] = f"{_RETRY_S:.0f} s later"
        session.wait_until(lambda: receiver.count(*awaited[0]) > 1, _RETRY_S)
