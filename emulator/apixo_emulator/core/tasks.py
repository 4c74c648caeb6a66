"""A task: what was asked for and what is planned; and what a caller sees of it at an instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from apixo_emulator.core.pictures import PictureSpec, Verdict
from apixo_emulator.core.states import Event, TaskState, Timeline, state_at
from apixo_schemas import Failure, contract

if TYPE_CHECKING:
    from apixo_emulator.core.latency import Latency
    from apixo_emulator.core.scenarios import Scenario
    from apixo_emulator.core.submission import Submission

SOURCE_REJECTED = "ImageFormatIncorrect"


@dataclass(frozen=True, slots=True)
class Task:
    """An accepted task and its plan. Instants are Unix ms; ``ends_ms`` None means never.

    ``settled`` is False while its source picture still has to be looked at: until then its end
    is not certain, and it stays ``processing``.
    """

    id: str
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

    @property
    def timeline(self) -> Timeline:
        """The events that are certain to happen, in the order of time."""
        start = (Event.START, self.starts_ms)
        if self.ends_ms is None or not self.settled:
            return (start,)
        return (start, (Event.FAIL if self.fail_code else Event.SUCCEED, self.ends_ms))

    def state_at(self, now_ms: int) -> TaskState:
        """Give the state at an instant, in Unix ms."""
        return state_at(self.timeline, now_ms)

    @property
    def picture(self) -> PictureSpec:
        """What its result shows."""
        return PictureSpec(self.id, self.image_url, self.resolution, self.output_format)


def plan_task(
    *,
    task_id: str,
    account_id: str,
    submission: Submission,
    scenario: Scenario | None,
    verdict: Verdict | None,
    latency: Latency,
    seed: int,
    now_ms: int,
) -> Task:
    """Fix what will happen to an accepted submission.

    ``verdict`` on its source picture is None where the picture still has to be looked at.
    """
    duration = scenario.duration_ms if scenario else None
    if duration is None:
        duration = latency.duration_ms(seed, task_id, submission.resolution)
    failure = scenario.failure if scenario else None
    if failure is None and verdict is Verdict.REJECTED:
        failure = contract().failures[SOURCE_REJECTED]
    stuck = scenario is not None and scenario.stuck
    return Task(
        id=task_id,
        account_id=account_id,
        resolution=submission.resolution,
        output_format=submission.output_format,
        request_type=submission.request_type,
        callback_url=submission.callback_url,
        image_url=submission.image_url,
        scenario=scenario.name if scenario else None,
        created_ms=now_ms,
        starts_ms=now_ms + round(duration * contract().assumed("pending.share")),
        ends_ms=None if stuck else now_ms + duration,
        fail_code=failure.code if failure else None,
        fail_msg=failure.message if failure else None,
        # A failure on demand does not wait for a picture that cannot change it.
        settled=verdict is not None or failure is not None or stuck,
    )


def settle(task: Task, verdict: Verdict, now_ms: int) -> Task:
    """Write into the plan what was found out about the source picture at ``now_ms``.

    A verdict that came late moves the end to now: nobody has seen an end before it.
    """
    if task.settled:
        return task
    failure: Failure | None = None
    if verdict is Verdict.REJECTED:
        failure = contract().failures[SOURCE_REJECTED]
    return replace(
        task,
        settled=True,
        ends_ms=None if task.ends_ms is None else max(task.ends_ms, now_ms),
        fail_code=failure.code if failure else None,
        fail_msg=failure.message if failure else None,
    )


def result_available(task: Task, now_ms: int) -> bool:
    """Tell whether the result can be fetched: the task succeeded, and not too long ago (P6)."""
    if task.state_at(now_ms) is not TaskState.SUCCESS or task.ends_ms is None:
        return False
    return now_ms < task.ends_ms + contract().result_ttl_ms
