"""Checks of callbacks: they come in at the task's own address, and say what a poll says."""

from __future__ import annotations

from typing import Any

from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    Rank,
    assumed,
    assumption,
    check,
    fact,
    judged,
    outcome_for,
    page,
    skipped,
)
from apixo_contract.checks.status import differences
from apixo_contract.checks.times import is_fast
from apixo_contract.observations import CallbackSeen
from apixo_contract.session import OK, Session
from apixo_contract.text import as_json, clipped
from apixo_contract.view import ENDED, MARK, TaskView, View, is_integer
from apixo_schemas import contract

# Seconds that a callback may take after the task's end was polled, and the first retry after that.
_CALLBACK_S = 8.0
_RETRY_S = 40.0
_SECOND_RETRY = 3
_LEEWAY = 0.25


def await_callbacks(session: Session) -> None:
    """Wait a little for callbacks, and for the second one if the first was refused."""
    receiver = session.receiver
    awaited = [
        task
        for task in session.poller.tasks.values()
        if task.final is not None and session.awaits_callback(task)
    ]
    if receiver is None or not awaited:
        return
    session.notes["callback-wait"] = f"{_CALLBACK_S:.0f} s after its end"
    session.wait_until(lambda: all(receiver.count(task) for task in awaited), _CALLBACK_S)
    if any(callback.answered != OK for callback in receiver.seen):
        session.notes["callback-retry-wait"] = f"{_RETRY_S:.0f} s later"
        session.wait_until(lambda: receiver.count(awaited[0]) > 1, _RETRY_S)


def _awaited(view: View) -> list[TaskView]:
    """Return the tasks that were to call the run's receiver."""
    return [task for task in view.tasks.values() if MARK in task.submitted.callback_url]


def _seen(view: View) -> list[tuple[TaskView, CallbackSeen]]:
    return [(task, callback) for task in _awaited(view) for callback in task.callbacks]


def _unseen(view: View) -> str:
    return "No callback came." if _awaited(view) else view.note("callbacks", view.no_tasks)


def _delivered(view: View, tasks: list[TaskView]) -> Outcome:
    ended = [task for task in tasks if task.final is not None or task.callbacks]
    broken = [_missing(view, task) for task in ended if not task.callbacks]
    unseen = "The task in callback mode has not ended: give a higher --max-wait."
    return outcome_for(len(ended), broken, unseen=unseen if tasks else _unseen(view), what="tasks")


def _missing(view: View, task: TaskView) -> Evidence:
    address = task.submitted.callback_url
    expected = f"a callback at {address} after the task has ended"
    if task.astray:
        words = f"it came at {task.astray[0].path}"
        return Evidence(task.submitted, expected, words, "callbacks elsewhere")
    words = (
        f"none {view.note('callback-wait', 'while the run went on')}. Can the target reach this "
        "address? If not, give another with --callback-host or --callback-url"
    )
    return Evidence(task.submitted, expected, words, "no callbacks")


@check("callback.delivered", page("Webhook callback mode"), at_the_end=True)
def delivered(view: View) -> Outcome:
    """A successful task in callback mode calls its own address, with path and query, after its end."""
    return _delivered(view, [task for task in _awaited(view) if not task.failed])


@check("callback.failed", fact(4), after=("callback.delivered",), at_the_end=True)
def failures_too(view: View) -> Outcome:
    """A failed task in callback mode calls its own address, with path and query, after its end."""
    failed = [task for task in _awaited(view) if task.failed]
    if not failed:
        reason = "No task in callback mode failed: give --failing-image-url."
        return skipped(reason if _awaited(view) else _unseen(view))
    return _delivered(view, failed)


def _told(view: View, fault: Any, expected: str) -> Outcome:
    return judged(_seen(view), fault, expected, unseen=_unseen(view), what="callbacks")


@check("callback.method", fact(4), rank=Rank.CALLBACK)
def method(view: View) -> Outcome:
    """A callback is a POST."""
    return _told(view, lambda _t, c: c.method != "POST" and c.method, "POST")


@check("callback.json", fact(4), rank=Rank.CALLBACK)
def json_body(view: View) -> Outcome:
    """A callback has a JSON body and a JSON `Content-Type`."""

    def fault(_task: TaskView, callback: CallbackSeen) -> str | None:
        kind = callback.headers.get("content-type", "")
        if callback.json is None:
            return f"a body that is no JSON: {clipped(callback.text)}"
        return None if "json" in kind.lower() else f"`Content-Type: {kind}`"

    return _told(view, fault, "a JSON body with `Content-Type: application/json`")


@check(
    "callback.envelope",
    page("Webhook callback mode"),
    rank=Rank.CALLBACK,
    after=("callback.json", "callback.method"),
)
def envelope(view: View) -> Outcome:
    """A callback is an envelope with code 200, message `success` and the task's id."""

    def fault(task: TaskView, callback: CallbackSeen) -> str | None:
        found = callback.json if isinstance(callback.json, dict) else {}
        code, words = found.get("code"), found.get("message")
        is_success = is_integer(code) and code == OK and words == contract().success_message
        return None if is_success and callback.task_id == task.id else clipped(callback.text)

    return _told(view, fault, "code 200, message `success`, the task as data")


@check(
    "callback.final",
    page("Parameters"),
    rank=Rank.CALLBACK,
    after=("callback.envelope", "callback.json"),
)
def final(view: View) -> Outcome:
    """A callback is only sent for an ended task."""

    def fault(_task: TaskView, callback: CallbackSeen) -> str | None:
        state = callback.task.get("state")
        return None if state in ENDED or not callback.task else f"`state` {as_json(state)}"

    return _told(view, fault, "`state` success or failed")


@check(
    "callback.payload",
    fact(4),
    rank=Rank.CALLBACK,
    after=("callback.envelope", "callback.final", "callback.json"),
)
def payload(view: View) -> Outcome:
    """A callback has the same fields as the final poll, `costTime` aside."""
    return _told(view, _payload_fault, "what a poll says")


def _payload_fault(task: TaskView, callback: CallbackSeen) -> str | None:
    if callback.task.get("state") not in ENDED or not task.shown:
        return None
    if task.final is None:
        return f"{callback.task['state']}, while polls still say {task.shown[-1].state}"
    changed = differences(task.final.task, callback.task, "poll", "callback")
    kinds = [type(found.get("resultJson")).__name__ for found in (task.final.task, callback.task)]
    if kinds[0] != kinds[1]:
        changed.append(f"type of resultJson: poll {kinds[0]}, callback {kinds[1]}")
    return "; ".join(changed) or None


@check("callback.retry", fact(5), rank=Rank.CALLBACK, at_the_end=True)
def retry(view: View) -> Outcome:
    """A callback that is not answered with HTTP 200 is sent again."""
    refused = [(task, callback) for task, callback in _seen(view) if callback.answered != OK]
    wait = view.note("callback-retry-wait", "while the run went on")

    def fault(task: TaskView, callback: CallbackSeen) -> str | None:
        is_last = task.callbacks[-1] is callback
        return f"nothing more after HTTP {callback.answered}, {wait}" if is_last else None

    unseen = view.note("callback-retry", _unseen(view))
    what = "refused callbacks"
    return judged(refused, fault, "the same callback again", unseen=unseen, what=what)


@assumption("callback.retry_delays")
def retry_delays(view: View) -> Outcome:
    """Judge the second delay; the run waits for the first only."""
    refused = [t for t in _awaited(view) if t.callbacks and t.callbacks[0].answered != OK]
    third = [task for task in refused if len(task.callbacks) >= _SECOND_RETRY]
    if not third or is_fast(view):
        return skipped("The second retry comes after minutes; a run does not wait so long.")
    last = third[0].callbacks[2]
    delay = last.received_ms - third[0].callbacks[1].received_ms
    first, wanted, *later = contract().callbacks.retry_delays_ms
    words = f"The second retry came after {delay} ms."
    evidence = Evidence(last, f"{wanted} ms", f"{delay} ms")
    holds = abs(delay - wanted) < wanted * _LEEWAY
    return assumed(words, evidence, holds=holds, observed=[first, delay, *later])
