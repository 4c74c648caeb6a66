"""Checks of polling: unknown tasks, states and their order, the fields of each state, final answers."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    answer_of,
    as_assumed,
    assumed,
    assumption,
    check,
    judged,
    outcome_for,
    page,
    refusal_of,
    skipped,
)
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.session import Session
from apixo_contract.text import as_json, clipped, id_form
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
_FIELDS = page("Status response fields")
_WITHOUT_END = "No task has ended: give a higher --max-wait."


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


def _not_found(calls: list[Exchange], *statuses: int, unseen: str) -> Outcome:
    return judged(
        calls,
        lambda call: call.status not in statuses,
        f"HTTP {_NOT_FOUND}",
        unseen=unseen,
        what="polls",
        subject=lambda call: f"unknown tasks with HTTP {call.status}",
    )


@check("status.unknown-task", page("HTTP errors"))
def unknown_task(view: View) -> Outcome:
    """A poll of an unknown task id gets HTTP 404."""
    calls = view.of(Purpose.POLL_UNKNOWN)
    return _not_found(calls, _NOT_FOUND, unseen="No unknown task was polled.")


@check("status.unknown-model", page("HTTP errors"), after=("status.unknown-task",))
def unknown_model(view: View) -> Outcome:
    """A poll of a task under another model id gets HTTP 404 or 403."""
    calls = view.of(Purpose.POLL_MODEL)
    return _not_found(calls, _NOT_FOUND, _FORBIDDEN, unseen=view.no_tasks)


def _polls(view: View, *states: str) -> list[tuple[TaskView, Exchange]]:
    """Return the polls of tasks that succeeded; with states, those that showed one of them."""
    found = [(task, p) for task in view.tasks.values() for p in task.polls if p.succeeded]
    return [(task, p) for task, p in found if not states or p.state in states]


@check("status.known", page("Poll for result"))
def known_task(view: View) -> Outcome:
    """Every poll of an own task before its end succeeds."""
    polls = [p for task in view.tasks.values() for p in task.polls if p.purpose is Purpose.POLL]
    expected, unseen = "the task's state", view.no_tasks
    return judged(polls, lambda p: not p.succeeded, expected, unseen=unseen, what="polls")


@check("task-id.echoed", _FIELDS)
def echoed_id(view: View) -> Outcome:
    """A status answer repeats the task id that was asked for."""

    def fault(task: TaskView, poll: Exchange) -> str | None:
        found = poll.task.get("taskId")
        return None if found == task.id else f"`taskId` {as_json(found)} for {as_json(task.id)}"

    expected, unseen = "the `taskId` that was asked for", view.no_tasks
    return judged(_polls(view), fault, expected, unseen=unseen, what="polls")


# --- states -----------------------------------------------------------------------------------


@check("status.states", _FIELDS)
def states(view: View) -> Outcome:
    """`state` is pending, processing, success or failed; no end has another name."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        if not carries(poll.state):
            return f"no text as `state`: {answer_of(poll)}"
        return f"an end called {as_json(poll.state)}" if is_odd_end(poll) else None

    expected, unseen = "`state`: pending, processing, success or failed", view.no_tasks
    return judged(_polls(view), fault, expected, unseen=unseen, what="polls")


@check("status.forward", _FIELDS, after=("status.final-stable",))
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


@check("status.ends", page("Poll for result"), at_the_end=True)
def ends(view: View) -> Outcome:
    """Every task ends as success or failed within the time that the run waits."""

    def fault(task: TaskView, poll: Exchange) -> str | None:
        is_told = any(callback.task.get("state") in ENDED for callback in task.callbacks)
        ended = task.final is not None or any(map(is_odd_end, task.shown)) or is_told
        return None if ended else f"still {answer_of(poll)}"

    last = [(task, task.polls[-1]) for task in view.tasks.values() if task.shown]
    return judged(last, fault, "success or failed", unseen=view.no_tasks, what="tasks")


# --- fields -----------------------------------------------------------------------------------


def _fields(
    view: View,
    states: tuple[str, ...],
    expected: str,
    *,
    present: tuple[str, ...] = (),
    absent: tuple[str, ...],
    unseen: str,
) -> Outcome:
    """Return the outcome of a promise about the fields that the answer in a state has."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        missing = [name for name in present if not carries(poll.task.get(name))]
        found = [name for name in absent if carries(poll.task.get(name))]
        words = f"without {', '.join(missing)}" if missing else f"with {', '.join(found)}"
        return f"{poll.state} {words}: {answer_of(poll)}" if missing or found else None

    return judged(_polls(view, *states), fault, expected, unseen=unseen, what="polls")


@check("status.running-fields", _FIELDS, after=("status.final-stable",))
def running_fields(view: View) -> Outcome:
    """The answer for a running task has no result, no failure and no completion time."""
    unseen = "No task was seen running: polls came too late." if view.tasks else view.no_tasks
    return _fields(view, RUNNING, "no field of an ended task", absent=END_FIELDS, unseen=unseen)


@check("status.success-fields", _FIELDS, after=("status.final-stable",))
def success_fields(view: View) -> Outcome:
    """The answer for a success has `resultJson` and `completeTime`, and no failure."""
    return _fields(
        view,
        ("success",),
        "`resultJson` and `completeTime`, no failure",
        present=("resultJson", "completeTime"),
        absent=("failCode", "failMsg"),
        unseen=_no_success(view),
    )


def _no_success(view: View) -> str:
    failed = next((task for task in view.tasks.values() if task.failed), None)
    if failed is None or failed.final is None:
        return _WITHOUT_END if view.tasks else view.no_tasks
    code = failed.final.task.get("failCode")
    return f"No task succeeded ({clipped(code)}): give --image-url with a picture that works."


@check("status.failed-fields", _FIELDS, after=("status.final-stable",))
def failed_fields(view: View) -> Outcome:
    """The answer for a failed task has texts as `failCode` and `failMsg`, `completeTime`, and no result."""

    def fault(_task: TaskView, poll: Exchange) -> bool:
        code, words = poll.task.get("failCode"), poll.task.get("failMsg")
        are_texts = isinstance(code, str) and code and isinstance(words, str)
        has_end = carries(poll.task.get("completeTime"))
        return not are_texts or not has_end or carries(poll.task.get("resultJson"))

    expected = "`failCode` and `failMsg` as texts, `completeTime`, no result"
    unseen = "No task failed: give --failing-image-url." if view.tasks else view.no_tasks
    return judged(_polls(view, "failed"), fault, expected, unseen=unseen, what="polls")


@check("status.result-json", _FIELDS)
def result_json(view: View) -> Outcome:
    """`resultJson` is a text that holds a JSON object."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        value = poll.task["resultJson"]
        good = isinstance(value, str) and result_of(poll.task) is not None
        return None if good else f"`resultJson` is {as_json(value)}"

    expected, unseen = "a text that holds a JSON object", _no_success(view)
    return judged(_results(view), fault, expected, unseen=unseen, what="results")


def _results(view: View) -> list[tuple[TaskView, Exchange]]:
    return [(t, p) for t, p in _polls(view, "success") if carries(p.task.get("resultJson"))]


@check("status.result-urls", _FIELDS)
def urls_of_results(view: View) -> Outcome:
    """`resultUrls` holds exactly one absolute URL."""

    def fault(_task: TaskView, poll: Exchange) -> str | None:
        found = (result_of(poll.task) or {}).get("resultUrls")
        good = isinstance(found, list) and len(found) == 1 and len(result_urls(poll.task)) == 1
        return None if good else f"`resultUrls` is {as_json(found)}"

    readable = [(task, poll) for task, poll in _results(view) if result_of(poll.task) is not None]
    expected, unseen = "`resultUrls` with exactly one absolute URL", _no_success(view)
    return judged(readable, fault, expected, unseen=unseen, what="results")


# --- lasting answers --------------------------------------------------------------------------


@check("status.final-stable", page("Poll for result"))
def lasting(view: View) -> Outcome:
    """The final answer of a task stays the same when it is polled again."""
    again = [(task, poll) for task in view.tasks.values() for poll in task.after]
    unseen = _WITHOUT_END if view.tasks else view.no_tasks
    return judged(again, _changed, "the same final answer again", unseen=unseen, what="polls")


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

    Each is reported with both values, under the names of the two objects.
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


@assumption("task_id.missing")
def missing_id(view: View) -> Outcome:
    """Judge what a poll without `taskId` answers."""
    calls = view.probes("task_id.missing")
    if not calls:
        return skipped("No poll without `taskId` was made.")
    error, call = contract().errors["task_id_missing"], calls[0]
    evidence = Evidence(call, f"HTTP {error.status} {error.message}", answer_of(call))
    holds = (call.status, call.message) == (error.status, error.message)
    return assumed(answer_of(call), evidence, holds=holds, observed=refusal_of(call))


@assumption("task_id.form")
def form_of_ids(view: View) -> Outcome:
    """Judge the form of task ids."""
    if not view.tasks:
        return skipped(view.no_tasks)
    forms = {task.id: id_form(task.id) for task in view.tasks.values()}
    other = [task for task in view.tasks.values() if forms[task.id] != "hex32"]
    first = other[0] if other else next(iter(view.tasks.values()))
    evidence = Evidence(first.submitted, "32 hex digits", clipped(first.id))
    words = f"An id is {clipped(first.id)}."
    return assumed(words, evidence, holds=not other, observed=forms[first.id])


@assumption("failure.wording")
def failure_wording(view: View) -> Outcome:
    """Judge the texts of `failMsg`."""
    known = contract().failures
    finals = [task.final for task in view.tasks.values() if task.failed and task.final is not None]
    codes = ((poll.task.get("failCode"), poll) for poll in finals)
    told = {code: poll for code, poll in codes if isinstance(code, str) and code in known}
    if not told:
        reason = "No task failed with a documented code: give --failing-image-url."
        return skipped(reason if view.tasks else view.no_tasks)
    wording = {code: poll.task.get("failMsg") for code, poll in told.items()}
    observed = {code: said for code, said in wording.items() if said != known[code].message}
    if not observed:
        return as_assumed(", ".join(told))
    words = "; ".join(f"{code}: {clipped(said)}" for code, said in observed.items())
    evidence = [Evidence(told[c], known[c].message, clipped(observed[c])) for c in observed]
    return assumed(words, *evidence, observed=observed)
