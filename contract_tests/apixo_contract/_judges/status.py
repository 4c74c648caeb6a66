"""Judges of polling: states, the fields of each state, times, results as text, lasting answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, as_json, ruled, shown
from apixo_contract._observations import Exchange, Purpose
from apixo_contract._reading import parsed
from apixo_contract._view import (
    END_FIELDS,
    ENDED,
    RUNNING,
    TaskView,
    View,
    carries,
    is_integer,
)

_NOT_FOUND = 404
_FORBIDDEN = 403
# `state` of the page, in the order in which a task moves.
_RANK = {"pending": 0, "processing": 1, "success": 2, "failed": 2}
# The fields of a final answer that must stay; `costTime` is there "when available".
_LASTING = ("taskId", "state", "failCode", "failMsg", "createTime", "completeTime")
# Unknown tasks.
_NONE_ENDED = "no task has ended"

Test = Callable[[TaskView, Exchange], str | None]


def unknown(view: View) -> Iterator[Outcome]:
    """Judge polls of tasks that are not there, or under another model id."""
    calls = view.of(Purpose.POLL_UNKNOWN)
    wrong = [
        Sighting(call, f"HTTP {_NOT_FOUND}", answer_of(call))
        for call in calls
        if call.status != _NOT_FOUND
    ]
    unseen = "no unknown task was polled"
    yield ruled("status.unknown-task", len(calls), wrong, unseen=unseen, what="unknown ids")
    calls = view.of(Purpose.POLL_MODEL)
    # 403 says "key or route cannot access the model" on the page.
    wrong = [
        Sighting(call, f"HTTP {_NOT_FOUND}: task and model do not belong together", answer_of(call))
        for call in calls
        if call.status not in {_NOT_FOUND, _FORBIDDEN}
    ]
    yield ruled("status.unknown-model", len(calls), wrong, unseen=view.no_tasks, what="polls")


def known(view: View) -> Iterator[Outcome]:
    """Judge that own tasks can be polled, by their own id."""
    polls = [
        poll for task in view.tasks.values() for poll in task.polls if poll.purpose is Purpose.POLL
    ]
    lost = [Sighting(p, "the task's state", answer_of(p)) for p in polls if not p.succeeded]
    yield ruled("status.known", len(polls), lost, unseen=view.no_tasks, what="polls")
    echoed = _polls(view, lambda _task, _poll: True)
    wrong = _sightings(
        echoed,
        lambda task, poll: None if poll.task.get("taskId") == task.id else answer_of(poll),
        "the `taskId` that was asked for",
    )
    yield ruled("task-id.echoed", len(echoed), wrong, unseen=view.no_tasks, what="polls")


def _polls(
    view: View, wanted: Callable[[TaskView, Exchange], bool]
) -> list[tuple[TaskView, Exchange]]:
    return [
        (task, poll)
        for task in view.tasks.values()
        for poll in task.polls
        if poll.succeeded and wanted(task, poll)
    ]


def _sightings(polls: list[tuple[TaskView, Exchange]], test: Test, expected: str) -> list[Sighting]:
    found = ((poll, test(task, poll)) for task, poll in polls)
    return [Sighting(poll, expected, fault) for poll, fault in found if fault]


def is_odd_end(poll: Exchange) -> bool:
    """Whether an answer tells of an end under a name that is not documented.

    A state that is not documented means "still running" (platform fact P15), so long as nothing
    in the answer speaks of an end.
    """
    if poll.state in RUNNING or poll.state in ENDED:
        return False
    return any(carries(poll.task.get(name)) for name in END_FIELDS)


def _state_fault(_task: TaskView, poll: Exchange) -> str | None:
    if not carries(poll.state):
        return f"no text as `state`: {answer_of(poll)}"
    return f"an end called {as_json(poll.state)}" if is_odd_end(poll) else None


def states(view: View) -> Iterator[Outcome]:
    """Judge the names of states, their order, and that there is an end."""
    polls = _polls(view, lambda _task, _poll: True)
    wrong = _sightings(polls, _state_fault, "`state`: pending, processing, success or failed")
    yield ruled("status.states", len(polls), wrong, unseen=view.no_tasks, what="polls")
    wrong = [sighting for task in view.tasks.values() if (sighting := _step_back(task)) is not None]
    polled = [task for task in view.tasks.values() if task.shown]
    yield ruled("status.forward", len(polled), wrong, unseen=view.no_tasks, what="tasks")
    endless = [
        Sighting(task.polls[-1], "success or failed", f"still {answer_of(task.polls[-1])}")
        for task in polled
        if task.final is None and not any(is_odd_end(poll) for poll in task.shown)
    ]
    yield ruled("status.ends", len(polled), endless, unseen=view.no_tasks, what="tasks")


def _step_back(task: TaskView) -> Sighting | None:
    highest, name = -1, ""
    for poll in task.shown:
        rank = _RANK.get(poll.state or "", highest)
        if rank < highest:
            return Sighting(poll, f"no state before {name}", f"{poll.state} after {name}")
        if rank > highest:
            highest, name = rank, poll.state or ""
    return None


def fields(view: View) -> Iterator[Outcome]:
    """Judge which fields an answer of each state has."""
    running = _polls(view, lambda _task, poll: poll.state in RUNNING)
    wrong = _sightings(running, _running_fault, "no field of an ended task")
    unseen = "no task was seen running" if view.tasks else view.no_tasks
    yield ruled("status.running-fields", len(running), wrong, unseen=unseen, what="polls")
    good = _polls(view, lambda _task, poll: poll.state == "success")
    wrong = _sightings(good, _success_fault, "`resultJson`, `completeTime`, no failure")
    unseen = _no_success(view)
    yield ruled("status.success-fields", len(good), wrong, unseen=unseen, what="polls")
    failed = _polls(view, lambda _task, poll: poll.state == "failed")
    wrong = _sightings(failed, _failed_fault, "`failCode`, `failMsg`, `completeTime`, no result")
    unseen = view.note("failing", "no task failed; name a source with --failing-image-url")
    yield ruled("status.failed-fields", len(failed), wrong, unseen=unseen, what="polls")


def _no_success(view: View) -> str:
    failed = next((task for task in view.tasks.values() if task.failed), None)
    if failed is None or failed.final is None:
        return view.no_tasks if not view.tasks else _NONE_ENDED
    code = failed.final.task.get("failCode")
    return f"no task succeeded ({shown(code)}); name a source that does with --image-url"


def _present(poll: Exchange, *names: str) -> str | None:
    found = [name for name in names if carries(poll.task.get(name))]
    return f"{poll.state} with {', '.join(found)}: {answer_of(poll)}" if found else None


def _absent(poll: Exchange, *names: str) -> str | None:
    missing = [name for name in names if not carries(poll.task.get(name))]
    return f"{poll.state} without {', '.join(missing)}: {answer_of(poll)}" if missing else None


def _running_fault(_task: TaskView, poll: Exchange) -> str | None:
    return _present(poll, *END_FIELDS)


def _success_fault(_task: TaskView, poll: Exchange) -> str | None:
    return _absent(poll, "resultJson", "completeTime") or _present(poll, "failCode", "failMsg")


def _failed_fault(_task: TaskView, poll: Exchange) -> str | None:
    if fault := _absent(poll, "failCode", "completeTime") or _present(poll, "resultJson"):
        return fault
    code, words = poll.task["failCode"], poll.task.get("failMsg")
    if isinstance(code, str) and code and isinstance(words, str):
        return None
    return f"`failCode` and `failMsg` are texts: {answer_of(poll)}"


def results(view: View) -> Iterator[Outcome]:
    """Judge `resultJson` and the URL in it."""
    good = _polls(
        view,
        lambda _task, poll: poll.state == "success" and poll.task.get("resultJson") is not None,
    )
    unseen = _no_success(view)
    wrong = _sightings(good, _result_json_fault, "a string that holds a JSON object")
    yield ruled("status.result-json", len(good), wrong, unseen=unseen, what="results")
    readable = [(task, poll) for task, poll in good if result_of(poll) is not None]
    wrong = _sightings(readable, _result_urls_fault, "`resultUrls` with exactly one absolute URL")
    yield ruled("status.result-urls", len(readable), wrong, unseen=unseen, what="results")


def result_of(poll: Exchange) -> dict[str, Any] | None:
    """Give what `resultJson` holds; an object given directly counts, so that the rest is seen."""
    value = poll.task.get("resultJson")
    try:
        value = parsed(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _result_json_fault(_task: TaskView, poll: Exchange) -> str | None:
    value = poll.task["resultJson"]
    good = isinstance(value, str) and result_of(poll) is not None
    return None if good else f"`resultJson` is {as_json(value)}"


def result_urls(poll: Exchange) -> list[str]:
    """Give the absolute URLs in `resultUrls`."""
    found = (result_of(poll) or {}).get("resultUrls")
    return [url for url in found if _is_absolute(url)] if isinstance(found, list) else []


def _is_absolute(url: Any) -> bool:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return False
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.netloc)


def _result_urls_fault(_task: TaskView, poll: Exchange) -> str | None:
    found = (result_of(poll) or {}).get("resultUrls")
    good = isinstance(found, list) and len(found) == 1 and len(result_urls(poll)) == 1
    return None if good else f"`resultUrls` is {as_json(found)}"


def lasting(view: View) -> Outcome:
    """Judge that a final answer stays as it is."""
    again = [(task, poll) for task in view.tasks.values() for poll in task.after]
    wrong = _sightings(again, _changed, "the same final answer again")
    return ruled("status.final-stable", len(again), wrong, unseen=_NONE_ENDED, what="polls")


def differences(first: Any, second: Any) -> list[str]:
    """Name the documented fields in which two task objects differ, `costTime` aside."""
    found = [name for name in _LASTING if first.get(name) != second.get(name)]
    return found + (["resultUrls"] if _urls_of(first) != _urls_of(second) else [])


def _urls_of(task: Any) -> Any:
    value = task.get("resultJson")
    try:
        value = parsed(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
    return value.get("resultUrls") if isinstance(value, dict) else value


def _changed(task: TaskView, poll: Exchange) -> str | None:
    if not poll.succeeded:
        return answer_of(poll)
    if task.final is None:
        return None
    changed = differences(task.final.task, poll.task)
    before, after = task.final.task.get("costTime"), poll.task.get("costTime")
    if is_integer(before) and is_integer(after) and before != after:
        changed.append("costTime")
    return f"{', '.join(changed)} changed: {answer_of(poll)}" if changed else None
