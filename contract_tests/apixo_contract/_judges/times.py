"""Judges of `createTime`, `completeTime` and `costTime`.

All are compared with what passed here, so a clock of the target that is a little off does no harm.
A target may also run on a clock of its own, as emulators do: it is known by tasks that it dates
further apart than they were submitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, as_json, ruled, shown
from apixo_contract._observations import Exchange
from apixo_contract._view import ENDED, RUNNING, TaskView, View, carries, is_integer

_SECOND = 1000
_NEAR_MS = 10 * 60 * _SECOND
# On a clock of its own a target may be ahead by what a long session of fast time makes.
_NEAR_FAST_MS = 30 * 24 * 3600 * _SECOND
# Two clocks, and rounding to ms.
_SLACK_MS = 100
_AHEAD_MS = 500
_TELLING_MS = 900
# A result may be stored, and shown, some time after it was completed; not as long as half the task.
_STORING_SHARE = 0.5
# Twice as fast as ours, seen over a second or more, and some for calls that take long.
_FAST = 1.5


def times(view: View) -> Iterator[Outcome]:
    """Judge the three times of every task."""
    own = _own_clock(view)
    polls = [(task, poll) for task in view.tasks.values() for poll in task.shown]
    unseen = view.no_tasks
    wrong = [s for task, poll in polls if (s := _create_fault(task, poll, own=own))]
    yield ruled("status.create-time", len(polls), wrong, unseen=unseen, what="polls")
    wrong = [s for task, poll in polls if (s := _moved(task, poll))]
    yield ruled("status.create-time-constant", len(polls), wrong, unseen=unseen, what="polls")
    ended = [(task, p) for task, p in polls if p.state in ENDED and carries(_complete(p))]
    wrong = [s for task, poll in ended if (s := _complete_fault(task, poll, own=own))]
    unseen = "no task has ended" if view.tasks else view.no_tasks
    yield ruled("status.complete-time", len(ended), wrong, unseen=unseen, what="polls")
    priced = [(task, poll) for task, poll in polls if carries(poll.task.get("costTime"))]
    wrong = [s for _task, poll in priced if (s := _cost_fault(poll))]
    unseen = "no answer had a `costTime`, which is optional" if view.tasks else view.no_tasks
    yield ruled("status.cost-time", len(priced), wrong, unseen=unseen, what="polls")


def is_fast(view: View) -> bool:
    """Whether the target's clock runs faster than ours: an emulator at a high rate."""
    here, there = _apart(view)
    return there > _FAST * here + _AHEAD_MS


def _apart(view: View) -> tuple[int, int]:
    """Give how far apart the first and the last task were submitted, by our clock and by theirs."""
    sent: list[int] = []
    made: list[int] = []
    for task in view.tasks.values():
        if task.create_ms is not None:
            sent.append(task.submitted.exchange.sent_ms)
            made.append(task.create_ms)
    return (max(sent) - min(sent), max(made) - min(made)) if sent else (0, 0)


def _own_clock(view: View) -> bool:
    """Whether the target may run on a clock of its own, which ours says little about."""
    # Tasks that were submitted in one moment tell nothing of how fast a clock runs.
    return is_fast(view) or _apart(view)[0] < _TELLING_MS


def _create_fault(task: TaskView, poll: Exchange, *, own: bool) -> Sighting | None:
    found = poll.task.get("createTime")
    expected = "`createTime` as an integer in Unix ms, near the time of the submit"
    if not is_integer(found):
        return Sighting(poll, expected, f"`createTime` is {as_json(found)}: {answer_of(poll)}")
    submit = task.submitted.exchange
    near = _NEAR_FAST_MS if own else _NEAR_MS
    times_there = [submit.sent_ms, submit.received_ms, *_date_ms(submit)]
    if min(abs(found - time) for time in times_there) <= near:
        return None
    away = (found - submit.sent_ms) // _SECOND  # whole: a target may say more than a float holds
    return Sighting(
        poll, expected, f"`createTime` {as_json(found)} is {shown(f'{away:+d}')} s from the submit"
    )


def _date_ms(call: Exchange) -> list[int]:
    """Give the target's own time, where its answer says so."""
    try:
        moment = parsedate_to_datetime(call.answer_headers.get("date", ""))
    except (ValueError, TypeError):
        return []
    return [round(moment.timestamp() * _SECOND)]


def _moved(task: TaskView, poll: Exchange) -> Sighting | None:
    found = poll.task.get("createTime")
    first = task.shown[0].task.get("createTime")
    if found == first:
        return None
    return Sighting(
        poll, f"`createTime` {as_json(first)} as before", f"`createTime` {as_json(found)}"
    )


def _complete(poll: Exchange) -> Any:
    return poll.task.get("completeTime")


def _complete_fault(task: TaskView, poll: Exchange, *, own: bool) -> Sighting | None:
    found, made = _complete(poll), poll.task.get("createTime")
    expected = "`completeTime` as an integer in Unix ms, from `createTime` to now"
    if not is_integer(found):
        return Sighting(poll, expected, f"`completeTime` is {as_json(found)}")
    if not is_integer(made):
        return None
    if found < made:
        return Sighting(poll, expected, f"`completeTime` {found} is before `createTime` {made}")
    took = found - made
    first = task.final or poll
    passed = first.received_ms - task.submitted.exchange.sent_ms
    if took > passed + (_NEAR_FAST_MS if own else _AHEAD_MS):
        words = f"{took} ms after `createTime`, {passed} ms after the submit"
        return Sighting(poll, expected, f"`completeTime` {words}")
    ran = _ran_ms(task)
    if not own and took < ran * _STORING_SHARE - _AHEAD_MS:
        words = f"{took} ms after `createTime`, but the task ran for {ran} ms or more"
        return Sighting(poll, expected, f"`completeTime` {words}")
    return None


def _ran_ms(task: TaskView) -> int:
    """Give for how long the task was seen running, by our clock."""
    running = [poll.sent_ms for poll in task.shown if poll.state in RUNNING]
    return max(running, default=0) - task.submitted.exchange.received_ms if running else 0


def _cost_fault(poll: Exchange) -> Sighting | None:
    found = poll.task.get("costTime")
    expected = "`costTime` as an integer in ms, from 0 to the elapsed time"
    if not is_integer(found) or found < 0:
        return Sighting(poll, expected, f"`costTime` is {as_json(found)}")
    made, done = poll.task.get("createTime"), _complete(poll)
    if poll.state not in ENDED or not is_integer(made) or not is_integer(done):
        return None
    most = done - made
    # Times in the wrong order have a check of their own.
    if most < 0 or found <= most + _SLACK_MS:
        return None
    return Sighting(poll, expected, f"`costTime` {found} of at most {most} ms")
