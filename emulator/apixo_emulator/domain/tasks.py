"""Tasks: their duration, their plan, and their state at an instant."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from apixo_emulator.domain.effects import ORDINARY, Duration, Effects
from apixo_emulator.domain.pictures import PictureSpec, Verdict, failing_code
from apixo_emulator.domain.randomness import unit
from apixo_emulator.domain.text import shown
from apixo_schemas import contract

if TYPE_CHECKING:
    from apixo_emulator.domain.submission import Submission


# Long enough that polls see `pending` and `processing`, short enough to wait for.
FAST_MS = 1500
LONGEST_MS = 24 * 3600 * 1000
_MILLISECONDS = re.compile(r"\d{1,20}", re.ASCII)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Latency:
    """The duration of tasks: ``fixed_ms``, or where that is None a log-normal distribution.

    ``median_ms`` None takes the realistic one of the contract's assumptions, by tier.
    """

    fixed_ms: int | None
    median_ms: float | None = None
    sigma: float | None = None

    def duration_ms(self, seed: int, task_id: str, resolution: str) -> int:
        """Return the duration of one task, in ms.

        The realistic one is log-normal around the page's example, by tier (assumption
        ``latency.distribution``).
        """
        if self.fixed_ms is not None:
            return self.fixed_ms
        terms = contract()
        shape = terms.assumed("latency.distribution")
        sigma: float = shape["sigma"] if self.sigma is None else self.sigma
        median = self.median_ms
        if median is None:
            median = terms.typical_latency_ms * shape["factor"][resolution]
        deviation = _NORMAL.inv_cdf(unit(seed, "latency", task_id)) * sigma
        return min(round(median * math.exp(deviation)), LONGEST_MS)


def read_latency(text: str) -> Latency:
    """Read ``fast``, ``realistic`` or a number of milliseconds.

    Raises:
        ValueError: It is none of them.
    """
    match text.strip().lower():
        case "fast":
            return Latency(FAST_MS)
        case "realistic":
            return Latency(None)
        case digits if _MILLISECONDS.fullmatch(digits) and int(digits) <= LONGEST_MS:
            return Latency(int(digits))
    raise ValueError(
        f"expected fast, realistic or milliseconds from 0 to {LONGEST_MS}, found {shown(text)}"
    )


class TaskState(StrEnum):
    """The four documented states (page, Status response fields); the last two are final."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


FINAL = frozenset({TaskState.SUCCESS, TaskState.FAILED})


class Task(NamedTuple):
    """An accepted task and its plan. Instants are Unix ms; ``ends_ms`` None means never.

    The state is derived from the plan and never stored, so every process gives the same answer,
    before and after a restart, and reading changes nothing.

    ``epoch`` counts the resets of its world: an id may come again after one. ``settled`` is False
    while its source picture still has to be looked at. Until then its end is not certain, and it
    stays ``processing``. ``scenario`` is the name of ``effects``, or of an intervention.
    """

    id: str
    world: str
    epoch: int
    account_id: str
    resolution: str
    output_format: str
    request_type: str
    callback_url: str | None
    image_url: str
    scenario: str | None
    created_ms: int
    starts_ms: int
    ends_ms: int | None
    fail_code: str | None
    fail_msg: str | None
    settled: bool
    # Of an account with a concurrency limit, whose unfinished tasks are counted.
    limited: bool = False
    effects: Effects | None = None

    def state_at(self, now_ms: int) -> TaskState:
        """Return the state at an instant, in Unix ms."""
        if now_ms < self.starts_ms:
            return TaskState.PENDING
        if self.ends_ms is None or not self.settled or now_ms < self.ends_ms:
            return TaskState.PROCESSING
        return TaskState.FAILED if self.fail_code else TaskState.SUCCESS

    @property
    def picture(self) -> PictureSpec:
        """What its result shows."""
        return PictureSpec(
            self.id, self.image_url, self.resolution, self.output_format, self.ends_ms or 0
        )


def plan_task(
    *,
    task_id: str,
    world: str,
    epoch: int,
    account_id: str,
    submission: Submission,
    effects: Effects | None,
    verdict: Verdict | None,
    latency: Latency,
    seed: int,
    now_ms: int,
    limited: bool = False,
) -> Task:
    """Return the task of an accepted submission, with its plan.

    ``verdict`` on its source picture is None while the picture still has to be fetched.
    """
    wanted = effects or ORDINARY
    pending_ms, duration_ms = _durations(wanted, latency, seed, task_id, submission.resolution)
    fail_code, fail_msg = _failure(wanted, verdict)
    # If a scenario sets the outcome, the picture cannot change it.
    decided = wanted.succeed or wanted.failure is not None or wanted.stuck
    return Task(
        id=task_id,
        world=world,
        epoch=epoch,
        account_id=account_id,
        resolution=submission.resolution,
        output_format=submission.output_format,
        request_type=submission.request_type,
        callback_url=submission.callback_url,
        image_url=submission.image_url,
        scenario=effects.name if effects else None,
        created_ms=now_ms,
        starts_ms=now_ms + pending_ms,
        ends_ms=None if wanted.stuck else now_ms + duration_ms,
        fail_code=fail_code,
        fail_msg=fail_msg,
        settled=verdict is not None or decided,
        limited=limited,
        effects=effects,
    )


def _durations(
    effects: Effects, latency: Latency, seed: int, task_id: str, resolution: str
) -> tuple[int, int]:
    """Return how long the task is pending, and how long it takes in all, in ms."""
    planned = effects.duration or Duration()
    if planned.total_ms is not None or planned.median_ms is not None:
        latency = Latency(planned.total_ms, planned.median_ms, planned.sigma)
    total = latency.duration_ms(seed, task_id, resolution)
    if planned.pending_ms is not None:
        return planned.pending_ms, max(planned.pending_ms, total)
    return round(total * contract().assumed("pending.share")), total


def _failure(effects: Effects, verdict: Verdict | None) -> tuple[str, str] | tuple[None, None]:
    if effects.failure is not None:
        return effects.failure
    code = failing_code(verdict)
    if code is None or effects.succeed:
        return None, None
    rejected = contract().failures[code]
    return rejected.code, rejected.message


def settle(task: Task, verdict: Verdict, now_ms: int) -> Task:
    """Return the task with the verdict on its source picture, which came at ``now_ms``.

    A verdict that comes after the planned end moves the end to now: until then polls have shown
    ``processing``.
    """
    if task.settled:
        return task
    fail_code, fail_msg = _failure(ORDINARY, verdict)
    return task._replace(
        settled=True,
        ends_ms=None if task.ends_ms is None else max(task.ends_ms, now_ms),
        fail_code=fail_code,
        fail_msg=fail_msg,
    )


def finish(task: Task, now_ms: int, failure: tuple[str, str] | None) -> Task:
    """Return an unfinished task as ended now, with or without a failure.

    Raises:
        ValueError: It has ended already; a final state never changes.
    """
    if task.state_at(now_ms) in FINAL:
        raise ValueError(f"task {task.id} has ended: {task.state_at(now_ms)}")
    fail_code, fail_msg = failure or (None, None)
    return task._replace(
        settled=True,
        starts_ms=min(task.starts_ms, now_ms),
        ends_ms=now_ms,
        fail_code=fail_code,
        fail_msg=fail_msg,
    )


def seen_at(task: Task, now_ms: int) -> int:
    """Return the instant whose state polls show at ``now_ms``: some show the end after the callback."""
    lag_ms = (task.effects or ORDINARY).callback.poll_lag_ms
    if task.ends_ms is not None and task.ends_ms <= now_ms < task.ends_ms + lag_ms:
        return task.ends_ms - 1
    return now_ms


def is_kept(task: Task, now_ms: int) -> bool:
    """True if a task can still be polled: assumption ``task.retention``."""
    kept_ms = contract().assumed("task.retention")
    if not isinstance(kept_ms, int) or task.ends_ms is None or not task.settled:
        return True
    return now_ms < task.ends_ms + kept_ms


def result_available(task: Task, now_ms: int) -> bool:
    """True if the result can be fetched: the task succeeded, and not too long ago (P6)."""
    if task.state_at(now_ms) is not TaskState.SUCCESS or task.ends_ms is None:
        return False
    return now_ms < task.ends_ms + contract().result_ttl_ms
