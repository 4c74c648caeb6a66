"""Checks of `createTime`, `completeTime` and `costTime`.

All are compared with what passed here, so a target's clock that is a little off does no harm. A
target may also run on a clock of its own, as emulators do: it is recognised by tasks that it dates
further apart than they were submitted.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    assumed,
    assumption,
    check,
    judged,
    page,
    skipped,
)
from apixo_contract.observations import Exchange
from apixo_contract.text import as_json, clipped, plural
from apixo_contract.view import ENDED, RUNNING, TaskView, View, carries, is_integer
from apixo_schemas import contract, http_date_s

_SECOND = 1000
_NEAR_MS = 10 * 60 * _SECOND
# A clock of its own may be ahead by what a long session of fast time makes.
_NEAR_FAST_MS = 30 * 24 * 3600 * _SECOND
# Two clocks, and rounding to ms.
_SLACK_MS = 100
_AHEAD_MS = 500
_TELLING_MS = 900
_ROUNDING_MS = 2
# A result may be stored, and shown, some time after it was completed; not as long as half the task.
_STORING_SHARE = 0.5
# A clock at twice our speed, seen over a second or more, and some for calls that take long.
_FAST = 1.5
# Polls lie apart, so a share is not measured finely.
_PENDING_LEEWAY = 2.5
_MOST = 100


def _shown(view: View) -> list[tuple[TaskView, Exchange]]:
    return [(task, poll) for task in view.tasks.values() for poll in task.shown]


def is_fast(view: View) -> bool:
    """True if the target's clock runs faster than ours, as an emulator's at a high rate."""
    here, there = view.once(_apart)
    return there > _FAST * here + _AHEAD_MS


def _apart(view: View) -> tuple[int, int]:
    """Return how far apart the first and the last task were submitted, by our clock and by theirs."""
    dated = [task for task in view.tasks.values() if task.create_ms is not None]
    sent = [task.submitted.sent_ms for task in dated]
    made = [task.create_ms or 0 for task in dated]
    return (max(sent) - min(sent), max(made) - min(made)) if sent else (0, 0)


def _own_clock(view: View) -> bool:
    """True if the target may run on a clock of its own, which ours says little about."""
    # Tasks that were submitted at the same moment do not show how fast a clock runs.
    return is_fast(view) or view.once(_apart)[0] < _TELLING_MS


@check("status.create-time", page("Status response fields"))
def create_time(view: View) -> Outcome:
    """`createTime` is an integer in Unix milliseconds, near the time of the submit."""
    near = _NEAR_FAST_MS if _own_clock(view) else _NEAR_MS

    def fault(task: TaskView, poll: Exchange) -> str | None:
        found = poll.task.get("createTime")
        if not is_integer(found):
            return f"`createTime` is {as_json(found)}"
        submit = task.submitted
        times_there = [submit.sent_ms, submit.received_ms, *_date_ms(submit)]
        if min(abs(found - time) for time in times_there) <= near:
            return None
        # An integer division: a target may write more digits than a float holds.
        away = (found - submit.sent_ms) // _SECOND
        return f"`createTime` {as_json(found)} is {clipped(f'{away:+d}')} s from the submit"

    expected = "`createTime` as an integer in Unix ms, near the time of the submit"
    return judged(_shown(view), fault, expected, unseen=view.no_tasks, what="polls")


def _date_ms(call: Exchange) -> list[int]:
    """Return the target's own time, if its answer holds it."""
    moment = http_date_s(call.answer_headers.get("date", ""))
    return [] if moment is None else [round(moment * _SECOND)]


@check(
    "status.create-time-constant",
    page("Status response fields"),
    after=("status.create-time",),
)
def create_time_constant(view: View) -> Outcome:
    """`createTime` of a task is the same in every poll."""

    def fault(task: TaskView, poll: Exchange) -> str | None:
        first, found = task.shown[0].task.get("createTime"), poll.task.get("createTime")
        return None if found == first else f"{as_json(found)}, but first {as_json(first)}"

    expected = "the same `createTime` as first"
    return judged(_shown(view), fault, expected, unseen=view.no_tasks, what="polls")


@check(
    "status.complete-time",
    page("Status response fields"),
    after=("status.create-time", "status.create-time-constant", "status.final-stable"),
)
def complete_time(view: View) -> Outcome:
    """`completeTime` is an integer in Unix milliseconds, from `createTime` to the poll."""
    own = _own_clock(view)

    def fault(task: TaskView, poll: Exchange) -> str | None:
        wrong = _complete_fault(task, poll, own=own)
        return wrong and f"`completeTime` {wrong}"

    polls = [
        (task, poll)
        for task, poll in _shown(view)
        if poll.state in ENDED and carries(poll.task.get("completeTime"))
    ]
    expected = "`completeTime` as an integer in Unix ms, from `createTime` to now"
    unseen = "No task has ended: give a higher --max-wait." if view.tasks else view.no_tasks
    return judged(polls, fault, expected, unseen=unseen, what="polls")


def _complete_fault(task: TaskView, poll: Exchange, *, own: bool) -> str | None:
    found, made = poll.task.get("completeTime"), poll.task.get("createTime")
    if not is_integer(found):
        return f"is {as_json(found)}"
    if not is_integer(made):
        return None
    if found < made:
        return f"{as_json(found)} is before `createTime` {as_json(made)}"
    took = found - made
    submit, first = task.submitted, task.final or poll
    passed = first.received_ms - submit.sent_ms
    if took > passed + (_NEAR_FAST_MS if own else _AHEAD_MS):
        return f"is {as_json(took)} ms after `createTime`, {passed} ms after the submit"
    running = [other.sent_ms for other in task.shown if other.state in RUNNING]
    ran = max(running) - submit.received_ms if running else 0
    if not own and took < ran * _STORING_SHARE - _AHEAD_MS:
        return f"is {took} ms after `createTime`, but the task ran for {ran} ms or more"
    return None


@check(
    "status.cost-time",
    page("Status response fields"),
    after=("status.create-time", "status.complete-time", "status.final-stable"),
)
def cost_time(view: View) -> Outcome:
    """`costTime`, if present, is an integer in ms, from 0 to the time from create to complete."""

    def fault(poll: Exchange) -> str | None:
        found = poll.task.get("costTime")
        if not is_integer(found) or found < 0:
            return f"`costTime` is {as_json(found)}"
        made, done = poll.task.get("createTime"), poll.task.get("completeTime")
        if poll.state not in ENDED or not is_integer(made) or not is_integer(done):
            return None
        most = done - made
        # Times in the wrong order break another check.
        is_too_long = most >= 0 and found > most + _SLACK_MS
        return f"`costTime` {as_json(found)} of at most {as_json(most)} ms" if is_too_long else None

    polls = [poll for _task, poll in _shown(view) if carries(poll.task.get("costTime"))]
    expected = "`costTime` as an integer in ms, from 0 to the elapsed time"
    return judged(polls, fault, expected, unseen=_no_cost(view), what="polls")


def _no_cost(view: View) -> str:
    return "No answer had a `costTime`, which is optional." if view.tasks else view.no_tasks


# --- assumptions ------------------------------------------------------------------------------


@assumption("pending.share")
def pending_share(view: View) -> Outcome:
    """Judge how long tasks are pending; the exact share takes more polls than a run makes."""
    shown = [task for task in view.tasks.values() if task.shown]
    pending = [task.shown[0] for task in shown if task.shown[0].state == "pending"]
    if not pending:
        reason = "No task was seen pending: polls came too late, or the state does not exist."
        return skipped(reason if view.tasks else view.no_tasks)
    longest = max(map(_pending_until, shown))
    wanted = float(contract().assumed("pending.share"))
    words = f"Seen pending for up to {longest:.0%} of a task's duration."
    evidence = Evidence(pending[-1], f"{wanted:.0%}", words)
    holds = longest <= _PENDING_LEEWAY * wanted
    return assumed(words, evidence, holds=holds, observed=round(longest, 2))


def _pending_until(task: TaskView) -> float:
    """Return the share of its duration after which a task was last seen pending."""
    seen = [poll for poll in task.shown if poll.state == "pending"]
    if not seen or task.final is None:
        return 0.0
    start = task.submitted.received_ms
    return (seen[-1].sent_ms - start) / max(1, task.final.received_ms - start)


@assumption("cost_time")
def meaning_of_cost_time(view: View) -> Outcome:
    """Judge whether `costTime` is the time from create to complete."""
    pairs: list[tuple[Exchange, Any, int]] = []
    for final in (task.final for task in view.tasks.values() if task.final is not None):
        cost, made, done = (final.task.get(n) for n in ("costTime", "createTime", "completeTime"))
        if is_integer(cost) and is_integer(made) and is_integer(done) and done > made:
            pairs.append((final, cost, done - made))
    if not pairs:
        return skipped(_no_cost(view))
    other = [pair for pair in pairs if abs(pair[1] - pair[2]) > _ROUNDING_MS]
    if not other:
        words = f"So it is in {plural(len(pairs), 'task')}."
        return assumed(words, observed="complete-create")
    # What is out of all proportion breaks another check; here it must only fit into a float.
    share = median(min(max(cost, 0), _MOST * took) / took for _call, cost, took in other)
    words = f"`costTime` is about {share:.0%} of completeTime - createTime."
    call, cost, elapsed = other[0]
    evidence = Evidence(call, f"{elapsed} ms", f"{as_json(cost)} ms")
    return assumed(words, evidence, observed={"share": round(share, 2)})
