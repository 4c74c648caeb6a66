"""Judges of callbacks: that they come, as what, and that they say what a poll says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from apixo_contract._judges._outcome import Outcome, Sighting, as_json, ruled, shown, skipped
from apixo_contract._judges.status import differences
from apixo_contract._observations import CallbackSeen
from apixo_contract._view import ENDED, TaskView, View, is_integer
from apixo_schemas import contract

_OK = 200

Test = Callable[[TaskView, CallbackSeen], str | None]


def callbacks(view: View) -> Iterator[Outcome]:
    """Judge `callback.*`."""
    tasks = [task for task in view.tasks.values() if _awaited(task)]
    seen = [(task, callback) for task in tasks for callback in task.callbacks]
    unseen = _unseen(view, tasks)
    yield _delivered(view, [task for task in tasks if not task.failed], "callback.delivered")
    tests: tuple[tuple[str, str, Test], ...] = (
        ("callback.method", "POST", _method),
        ("callback.json", "a JSON body with `Content-Type: application/json`", _is_json),
        ("callback.envelope", "code 200, message `success`, the task as data", _envelope),
        ("callback.final", "`state` success or failed", _final),
        ("callback.payload", "what a poll says", _payload),
    )
    for check_id, expected, test in tests:
        found = ((callback, test(task, callback)) for task, callback in seen)
        wrong = [Sighting(callback, expected, fault) for callback, fault in found if fault]
        yield ruled(check_id, len(seen), wrong, unseen=unseen, what="callbacks")
    yield _failed(view, tasks)
    yield _retry(view, seen, unseen)


def _awaited(task: TaskView) -> bool:
    """Whether the task was to call our receiver."""
    return task.submitted.by_callback and task.submitted.exchange.probe in {"callback", "failing"}


def _unseen(view: View, tasks: list[TaskView]) -> str:
    if tasks:
        return "no callback came"
    return view.note("callbacks", view.no_tasks)


def _delivered(view: View, tasks: list[TaskView], check_id: str) -> Outcome:
    ended = [task for task in tasks if task.final is not None or task.callbacks]
    missing = [
        Sighting(
            task.submitted.exchange,
            "a callback after the task has ended",
            f"none at {task.submitted.body.get('callback_url')}, "
            f"{view.note('callback-wait', 'while the run went on')}. Can the target reach this "
            "address? If not, give another with --callback-host or --callback-url",
        )
        for task in ended
        if not task.callbacks
    ]
    unseen = "the task in callback mode has not ended" if tasks else _unseen(view, tasks)
    return ruled(check_id, len(ended), missing, unseen=unseen, what="tasks")


def _failed(view: View, tasks: list[TaskView]) -> Outcome:
    failed = [task for task in tasks if task.failed]
    if not failed:
        reason = "no task in callback mode failed; --failing-image-url and callbacks are needed"
        return skipped("callback.failed", reason)
    return _delivered(view, failed, "callback.failed")


def _method(_task: TaskView, callback: CallbackSeen) -> str | None:
    return None if callback.method == "POST" else callback.method


def _is_json(_task: TaskView, callback: CallbackSeen) -> str | None:
    kind = callback.headers.get("content-type", "")
    if callback.json is None:
        return f"a body that is no JSON: {shown(callback.text)}"
    return None if "json" in kind.lower() else f"`Content-Type: {kind}`"


def _envelope(task: TaskView, callback: CallbackSeen) -> str | None:
    found = callback.json
    good = (
        isinstance(found, dict)
        and is_integer(found.get("code"))
        and found["code"] == _OK
        and found.get("message") == contract().success_message
        and callback.task_id == task.id
    )
    return None if good else shown(callback.text)


def _final(_task: TaskView, callback: CallbackSeen) -> str | None:
    state = callback.task.get("state")
    return None if state in ENDED or not callback.task else f"`state` {as_json(state)}"


def _payload(task: TaskView, callback: CallbackSeen) -> str | None:
    """Compare with the final poll; `costTime` of polls is read from elsewhere, says the page."""
    if callback.task.get("state") not in ENDED or not task.shown:
        return None
    if task.final is None:
        return f"{callback.task['state']}, while polls still say {task.shown[-1].state}"
    changed = differences(task.final.task, callback.task)
    if type(task.final.task.get("resultJson")) is not type(callback.task.get("resultJson")):
        changed.append("the type of resultJson")
    return f"{', '.join(changed)} differ: {shown(callback.text)}" if changed else None


def _retry(view: View, seen: list[tuple[TaskView, CallbackSeen]], unseen: str) -> Outcome:
    turned_away = [(task, callback) for task, callback in seen if callback.answered != _OK]
    if not turned_away:
        return skipped("callback.retry", view.note("callback-retry", unseen))
    missing = [
        Sighting(
            callback,
            "the same callback again",
            f"nothing more after HTTP {callback.answered}, "
            f"{view.note('callback-retry-wait', 'while the run went on')}",
        )
        for task, callback in turned_away
        if task.callbacks[-1] is callback
    ]
    return ruled("callback.retry", len(turned_away), missing, unseen="", what="turned away")
