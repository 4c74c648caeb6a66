"""Checks of polling: unknown tasks, states and their order, the fields of each state, final answers."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from apixo_contract.checks.check import (
    ANSWER,
    WORDS,
    Evidence,
    Outcome,
    answer_of,
    as_assumed,
    assumed,
    assumption,
    check,
    outcome_for,
    page,
    part,
    skipped,
)
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.session import Session
from apixo_contract.text import as_json, clipped
from apixo_contract.view import (
    END_FIELDS,
    ENDED,
    RUNNING,
    TaskView,
    View,
    carries,
    is_integer,
    is_odd_end,
    result_of,
    result_urls,
)
from apixo_schemas import contract

_NOT_FOUND = 404
_FORBIDDEN = 403
# `state` of the page, in the order in which a task moves.
_RANK = {"pending": 0, "processing": 1, "success": 2, "failed": 2}
# The fields of a final answer that must stay; `costTime` is present "when available".
_LASTING = ("taskId", "state", "failCode", "failMsg", "createTime", "completeTime")
_UNKNOWN_IDS = 4
_MODELS = 2
# Shorter ids, or ids that count up, could be those of other tasks by chance.
_SHORTEST_ID = 12
_HEX32 = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Test = Callable[[TaskView, Exchange], str | None]


# --- what is sent -----------------------------------------------------------------------------


def poll_what_is_not_there(session: Session) -> None:
    """Poll unknown ids, no id, and own tasks under an unknown model; free."""
    calls, poller = session.calls, session.poller
    ids = list(poller.tasks)
    for task_id in islice(unknown_ids(ids, session.random), _UNKNOWN_IDS):
        calls.status(task_id, Purpose.POLL_UNKNOWN)
        poller.tick()
    calls.status(None, Purpose.PROBE, probe="task_id.missing")
    for task_id in ids[:_MODELS]:
        calls.status(task_id, Purpose.POLL_MODEL, model="no-such-model")
        poller.tick()


def unknown_ids(known: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Yield unknown ids without end: letters become other letters, digits other digits.

    A target may refuse an id of another form as malformed; one of its own form it must look up.
    Without a known id they have the form that public clients have seen (platform fact P10).
    """
    model = known[0] if known else f"{rng.getrandbits(128):032x}"
    while True:
        made = "".join(_other(letter, rng) for letter in model)
        while sum(letter.isalnum() for letter in made) < _SHORTEST_ID:
            made += rng.choice("123456789")
        if made not in known:
            yield made


def _other(letter: str, rng: random.Random) -> str:
    # Within a hexadecimal id letters stay hexadecimal.
    kinds = (string.digits, "abcdef", "ABCDEF", string.ascii_lowercase, string.ascii_uppercase)
    return next((rng.choice(letters) for letters in kinds if letter in letters), letter)


# --- unknown and known tasks ------------------------------------------------------------------


@check(
    "status.unknown-task",
    page("HTTP errors"),
    concerns=lambda call, part: part == ANSWER and call.purpose is Purpose.POLL_UNKNOWN,
)
def unknown_task(view: View) -> Outcome:
    """A poll of an unknown task id gets HTTP 404."""
    calls = view.of(Purpose.POLL_UNKNOWN)
    broken = (
        Evidence(c, f"HTTP {_NOT_FOUND}", answer_of(c), f"unknown tasks with HTTP {c.status}")
        for c in calls
        if c.status != _NOT_FOUND
    )
    unseen = "No unknown task was polled."
    return outcome_for(len(calls), broken, unseen=unseen, what="polls of unknown ids")


@check(
    "status.unknown-model",
    page("HTTP errors"),
    after=("status.unknown-task",),
    concerns=lambda call, part: part == ANSWER and call.purpose is Purpose.POLL_MODEL,
)
def unknown_model(view: View) -> Outcome:
    """A poll of a task under another model id gets HTTP 404 or 403."""
    calls = view.of(Purpose.POLL_MODEL)
    broken = (
        Evidence(c, f"HTTP {_NOT_FOUND}", answer_of(c), f"unknown tasks with HTTP {c.status}")
        for c in calls
        if c.status not in {_NOT_FOUND, _FORBIDDEN}
    )
    return outcome_for(len(calls), broken, unseen=view.no_tasks, what="polls")


@check(
    "status.known",
    page("Poll for result"),
    concerns=lambda call, part: part == ANSWER and call.purpose is Purpose.POLL,
)
def known_task(view: View) -> Outcome:
    """Every poll of an own task before its end succeeds."""
    polls = [p for task in view.tasks.values() for p in task.polls if p.purpose is Purpose.POLL]
    broken = (Evidence(p, "the task's state", answer_of(p)) for p in polls if not p.succeeded)
    return outcome_for(len(polls), broken, unseen=view.no_tasks, what="polls")


def _polls(
    view: View, wanted: Callable[[Exchange], bool] = lambda _poll: True
) -> list[tuple[TaskView, Exchange]]:
    return [
        (task, poll)
        for task in view.tasks.values()
        for poll in task.polls
        if poll.succeeded and wanted(poll)
    ]


def _judged(
    polls: list[tuple[TaskView, Exchange]],
    test: Test,
    expected: str,
    *,
    unseen: str,
    what: str = "polls",
) -> Outcome:
    """Return the outcome of a promise about polls; the test returns what is wrong with one."""
    found = ((poll, test(task, poll)) for task, poll in polls)
    broken = [Evidence(poll, expected, fault) for poll, fault in found if fault]
    return outcome_for(len(polls), broken, unseen=unseen, what=what)


@check("task-id.echoed", page("Status response fields"))
def echoed_id(view: View) -> Outcome:
    """A status answer repeats the task id that was asked for."""

    def fault(task: TaskView, poll: Exchange) -> str | None:
        found = poll.task.get("taskId")
        return None if found == task.id else f"`taskId` {as_json(found)} for {as_json(task.id)}"

    return _judged(_polls(view), fault, "the `taskId` that was asked for", unseen=view.no_tasks)


# --- states -----------------------------------------------------------------------------------


@check("status.states", page("Status response fields"))
def states(view: View) -> Outcome:
    """`state` is pending, processing, success or failed; no end has another name."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        if not carries(poll.state):
            return f"no text as `state`: {answer_of(poll)}"
        return f"an end called {as_json(poll.state)}" if is_odd_end(poll) else None

    expected = "`state`: pending, processing, success or failed"
    return _judged(_polls(view), fault, expected, unseen=view.no_tasks)


@check("status.forward", page("Status response fields"), after=("status.final-stable",))
def forward(view: View) -> Outcome:
    """States move only forward: pending, processing, then an end."""
    polled = [task for task in view.tasks.values() if task.shown]
    return outcome_for(len(polled), map(_step_back, polled), unseen=view.no_tasks, what="tasks")


def _step_back(task: TaskView) -> Evidence | None:
    highest, name = -1, ""
    for poll in task.shown:
        rank = _RANK.get(poll.state or "", highest)
        if rank < highest:
            return Evidence(poll, f"no state before {name}", f"{poll.state} after {name}")
        if rank > highest:
            highest, name = rank, poll.state or ""
    return None


@check("status.ends", page("Poll for result"), concerns=part("data.state"), at_the_end=True)
def ends(view: View) -> Outcome:
    """Every task ends as success or failed within the time that the run waits."""
    polled = [task for task in view.tasks.values() if task.shown]
    broken = (
        Evidence(task.polls[-1], "success or failed", f"still {answer_of(task.polls[-1])}")
        for task in polled
        if task.final is None
        and not any(is_odd_end(poll) for poll in task.shown)
        and not any(callback.task.get("state") in ENDED for callback in task.callbacks)
    )
    return outcome_for(len(polled), broken, unseen=view.no_tasks, what="tasks")


# --- fields -----------------------------------------------------------------------------------


def _present(poll: Exchange, *names: str) -> str | None:
    found = [name for name in names if carries(poll.task.get(name))]
    return f"{poll.state} with {', '.join(found)}: {answer_of(poll)}" if found else None


def _absent(poll: Exchange, *names: str) -> str | None:
    missing = [name for name in names if not carries(poll.task.get(name))]
    return f"{poll.state} without {', '.join(missing)}: {answer_of(poll)}" if missing else None


@check(
    "status.running-fields",
    page("Status response fields"),
    after=("status.final-stable",),
)
def running_fields(view: View) -> Outcome:
    """The answer for a running task has no result, no failure and no completion time."""
    polls = _polls(view, lambda poll: poll.state in RUNNING)
    expected = "no field of an ended task"
    unseen = "No task was seen running: polls came too late." if view.tasks else view.no_tasks
    return _judged(polls, lambda _t, poll: _present(poll, *END_FIELDS), expected, unseen=unseen)


@check(
    "status.success-fields",
    page("Status response fields"),
    after=("status.final-stable",),
)
def success_fields(view: View) -> Outcome:
    """The answer for a success has `resultJson` and `completeTime`, and no failure."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        missing = _absent(poll, "resultJson", "completeTime")
        return missing or _present(poll, "failCode", "failMsg")

    polls = _polls(view, lambda poll: poll.state == "success")
    expected = "`resultJson` and `completeTime`, no failure"
    return _judged(polls, fault, expected, unseen=_no_success(view))


def _no_success(view: View) -> str:
    failed = next((task for task in view.tasks.values() if task.failed), None)
    if failed is None or failed.final is None:
        return "No task has ended: give a higher --max-wait." if view.tasks else view.no_tasks
    code = failed.final.task.get("failCode")
    return f"No task succeeded ({clipped(code)}): give --image-url with a picture that works."


@check(
    "status.failed-fields",
    page("Status response fields"),
    after=("status.final-stable",),
    concerns=part("data.failCode"),
)
def failed_fields(view: View) -> Outcome:
    """The answer for a failed task has `failCode`, `failMsg` and `completeTime`, and no result."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        found = _absent(poll, "failCode", "completeTime") or _present(poll, "resultJson")
        if found:
            return found
        code, words = poll.task["failCode"], poll.task.get("failMsg")
        if isinstance(code, str) and code and isinstance(words, str):
            return None
        return f"`failCode` {as_json(code)} and `failMsg` {as_json(words)} are to be texts"

    polls = _polls(view, lambda poll: poll.state == "failed")
    unseen = "No task failed: give --failing-image-url." if view.tasks else view.no_tasks
    return _judged(polls, fault, "`failCode`, `failMsg`, `completeTime`, no result", unseen=unseen)


@check("status.result-json", page("Status response fields"))
def result_json(view: View) -> Outcome:
    """`resultJson` is a text that holds a JSON object."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        value = poll.task["resultJson"]
        good = isinstance(value, str) and result_of(poll.task) is not None
        return None if good else f"`resultJson` is {as_json(value)}"

    expected = "a text that holds a JSON object"
    return _judged(_results(view), fault, expected, unseen=_no_success(view), what="results")


def _results(view: View) -> list[tuple[TaskView, Exchange]]:
    return _polls(
        view, lambda poll: poll.state == "success" and carries(poll.task.get("resultJson"))
    )


@check(
    "status.result-urls",
    page("Status response fields"),
    concerns=part("data.resultJson"),
)
def urls_of_results(view: View) -> Outcome:
    """`resultUrls` holds exactly one absolute URL."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        found = (result_of(poll.task) or {}).get("resultUrls")
        good = isinstance(found, list) and len(found) == 1 and len(result_urls(poll.task)) == 1
        return None if good else f"`resultUrls` is {as_json(found)}"

    readable = [(task, poll) for task, poll in _results(view) if result_of(poll.task) is not None]
    expected = "`resultUrls` with exactly one absolute URL"
    return _judged(readable, fault, expected, unseen=_no_success(view), what="results")


# --- lasting answers --------------------------------------------------------------------------


@check("status.final-stable", page("Poll for result"))
def lasting(view: View) -> Outcome:
    """The final answer of a task stays the same when it is polled again."""
    again = [(task, poll) for task in view.tasks.values() for poll in task.after]
    unseen = "No task has ended: give a higher --max-wait." if view.tasks else view.no_tasks
    return _judged(again, _changed, "the same final answer again", unseen=unseen)


def _changed(task: TaskView, poll: Exchange) -> str | None:
    if not poll.succeeded:
        return answer_of(poll)
    first = task.final.task if task.final is not None else {}
    changed = differences(first, poll.task, "first", "then")
    before, after = first.get("costTime"), poll.task.get("costTime")
    # It may be available only some time after the end.
    if is_integer(before) and before != after:
        changed.append(f"costTime: first {before}, then {as_json(after)}")
    return "; ".join(changed) or None


def differences(one: Any, other: Any, one_name: str, other_name: str) -> list[str]:
    """Return the documented fields in which two task objects differ, `costTime` aside.

    Each is told with both values, under the names of the two objects.
    """
    pairs = {name: (one.get(name), other.get(name)) for name in _LASTING}
    pairs["resultUrls"] = _urls(one), _urls(other)
    return [
        f"{name}: {one_name} {as_json(before)}, {other_name} {as_json(after)}"
        for name, (before, after) in pairs.items()
        if (before if carries(before) else None) != (after if carries(after) else None)
    ]


def _urls(task: Any) -> Any:
    found = result_of(task)
    return task.get("resultJson") if found is None else found.get("resultUrls")


# --- assumptions ------------------------------------------------------------------------------


@assumption(
    "task_id.missing",
    concerns=lambda call, part: part in (ANSWER, WORDS) and call.probe == "task_id.missing",
)
def missing_id(view: View) -> Outcome:
    """Judge what a poll without `taskId` answers."""
    calls = view.probes("task_id.missing")
    if not calls:
        return skipped("No poll without `taskId` was made.")
    error, call = contract().errors["task_id_missing"], calls[0]
    evidence = Evidence(call, f"HTTP {error.status} {error.message}", answer_of(call))
    holds = call.status == error.status and call.message == error.message
    observed = {"status": call.status, "message": call.message}
    return assumed(answer_of(call), evidence, holds=holds, observed=observed)


@assumption("task_id.form", concerns=part("data.taskId"))
def id_form(view: View) -> Outcome:
    """Judge the form of task ids."""
    if not view.tasks:
        return skipped(view.no_tasks)
    other = [task for task in view.tasks.values() if not _HEX32.fullmatch(task.id)]
    first = other[0] if other else next(iter(view.tasks.values()))
    evidence = Evidence(first.submitted.exchange, "32 hex digits", clipped(first.id))
    words = f"An id is {clipped(first.id)}."
    return assumed(words, evidence, holds=not other, observed=_form(first.id))


def _form(task_id: str) -> str:
    if _HEX32.fullmatch(task_id):
        return "hex32"
    if _UUID.fullmatch(task_id):
        return "uuid"
    return "task_" if task_id.startswith("task_") else "other"


@assumption("failure.wording", concerns=part("data.failMsg"))
def failure_wording(view: View) -> Outcome:
    """Judge the texts of `failMsg`."""
    known = contract().failures
    finals = [task.final for task in view.tasks.values() if task.failed and task.final is not None]
    codes = ((poll.task.get("failCode"), poll) for poll in finals)
    told = {code: poll for code, poll in codes if isinstance(code, str) and code in known}
    if not told:
        reason = "No task failed with a documented code: give --failing-image-url."
        return skipped(reason if view.tasks else view.no_tasks)
    other = {c: p for c, p in told.items() if p.task.get("failMsg") != known[c].message}
    if not other:
        return as_assumed(", ".join(told))
    observed = {code: poll.task.get("failMsg") for code, poll in other.items()}
    words = "; ".join(f"{code}: {clipped(said)}" for code, said in observed.items())
    evidence = [
        Evidence(poll, known[code].message, clipped(poll.task.get("failMsg")))
        for code, poll in other.items()
    ]
    return assumed(words, *evidence, holds=False, observed=observed)
