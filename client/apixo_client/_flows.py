"""The protocol, written once: generators that say what to do next and are told what came of it.

A flow yields `Send` and is sent the answer, or has the `httpx.RequestError` thrown into it; it
yields `Sleep` and goes on when that is over; it returns its outcome. Whoever drives a flow does
I/O and nothing else, so that the sync and the async client cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import httpx

from apixo_client import _requests as requests
from apixo_client._contract import terms
from apixo_client._errors import (
    ApixoError,
    InvalidResponseError,
    TransportError,
    UncertainSubmitError,
    WaitTimeout,
)
from apixo_client._failures import is_surely_refused, is_transient, task_failed, transport_error
from apixo_client._models import Task, TaskState
from apixo_client._retry import RetryPolicy, backoff
from apixo_client._timing import Pace, Timing

if TYPE_CHECKING:
    from apixo_client._config import Settings


class Send(NamedTuple):
    """Send this request and hand back the answer, whatever its status. Follow no redirect."""

    request: httpx.Request


class Sleep(NamedTuple):
    """Go on after this many seconds."""

    seconds: float


T = TypeVar("T")
Flow: TypeAlias = Generator[Send | Sleep, Any, T]
OnProgress: TypeAlias = Callable[[Task], object]


@dataclass(frozen=True)
class Flows:
    """What can be asked of the service; each method gives a flow."""

    settings: Settings
    retry: RetryPolicy
    pace: Pace | None
    timing: Timing

    def submit(
        self,
        image_url: str,
        *,
        resolution: str | None,
        output_format: str | None,
        callback_url: str | None = None,
    ) -> Flow[Task]:
        """Submit; repeat only what was certainly not accepted."""
        defaults = terms().defaults
        tier = resolution or defaults["resolution"]
        request = requests.submit_request(
            self.settings,
            image_url,
            resolution=tier,
            output_format=output_format or defaults["output_format"],
            callback_url=callback_url,
        )
        try:
            response, data = yield from self._ask(request, is_surely_refused)
        except TransportError as error:
            if is_surely_refused(error):
                raise
            raise UncertainSubmitError(
                f"{error}. The task may have been accepted and charged, so the submit was not "
                "repeated; look at the balance before you do.",
                request=request,
            ) from error.__cause__
        return requests.read_submitted(data, response, resolution=tier)

    def status(self, task: Task | str) -> Flow[Task]:
        """Poll once, repeating what fails in passing."""
        task = _known(task)
        request = requests.status_request(self.settings, task.id)
        _, data = yield from self._ask(request, is_transient)
        return requests.read_task(data, task)

    def balance(self) -> Flow[Decimal]:
        """Ask for the balance."""
        request = requests.balance_request(self.settings)
        response, data = yield from self._ask(request, is_transient)
        return requests.read_balance(data, response)

    def wait(
        self,
        task: Task | str,
        *,
        timeout: float | None,
        on_progress: OnProgress | None,
    ) -> Flow[Task]:
        """Poll until the task has succeeded. One fresh from a submit is first given time.

        A poll that is under way when the time is over is still waited for.
        """
        fresh, task = _is_fresh(task), _known(task)
        request = requests.status_request(self.settings, task.id)
        deadline = None if timeout is None else self.timing.monotonic() + timeout
        pace = self.pace or Pace.recommended(task.resolution or terms().defaults["resolution"])
        pause = self._pick(pace.first_s) if fresh else 0.0
        error: ApixoError | None = None
        failures = 0
        while not task.is_final:
            yield from self._rest(pause, deadline, task, error)
            try:
                _, data = yield from self._once(request)
            except ApixoError as failed:
                failed.task, error, failures = task, failed, failures + 1
                pause = self._pause(failed, failures, is_transient)
                continue
            task, error, failures = requests.read_task(data, task), None, 0
            if on_progress is not None:
                on_progress(task)
            pause = self._pick(pace.interval_s)
        return _succeeded(task, request)

    def _rest(
        self, pause: float, deadline: float | None, task: Task, error: ApixoError | None
    ) -> Flow[None]:
        left = None if deadline is None else deadline - self.timing.monotonic()
        if left is not None and pause > left:
            # The last moment is used for one more poll, unless a pause after an error, which
            # the service may have asked for, would have to be cut short.
            if left <= 0 or error is not None:
                raise WaitTimeout(
                    f"Task {task.id} is still {task.state or 'running'}, and the time to wait is "
                    "over. It goes on: wait for it again.",
                    task=task,
                ) from error
            pause = left
        yield Sleep(pause)

    def _ask(
        self, request: httpx.Request, may_repeat: Callable[[ApixoError], bool]
    ) -> Flow[tuple[httpx.Response, Any]]:
        failures = 0
        while True:
            try:
                return (yield from self._once(request))
            except ApixoError as error:
                failures += 1
                pause = self._pause(error, failures, may_repeat)
            yield Sleep(pause)

    def _once(self, request: httpx.Request) -> Flow[tuple[httpx.Response, Any]]:
        try:
            response: httpx.Response = yield Send(request)
        except httpx.RequestError as error:
            raise transport_error(error, request) from error
        secret, now = self.settings.api_key, self.timing.wall()
        return response, requests.read_data(response, secret=secret, now=now)

    def _pause(
        self, error: ApixoError, failures: int, may_repeat: Callable[[ApixoError], bool]
    ) -> float:
        """Give the seconds until the next attempt, or raise the error if there is to be none."""
        asked = error.retry_after or 0.0
        if (
            failures >= self.retry.attempts
            or asked > self.retry.max_retry_after_s
            or not may_repeat(error)
        ):
            raise error
        # On top of what was asked, so that many clients do not come back at the same moment.
        return asked + backoff(failures, self.retry, self.timing.rng)

    def _pick(self, seconds: tuple[float, float]) -> float:
        return self.timing.rng.uniform(*seconds)


def _succeeded(task: Task, request: httpx.Request) -> Task:
    if task.state == TaskState.FAILED:
        raise task_failed(task, request)
    if not task.result_urls:
        raise InvalidResponseError(
            f"Task {task.id} has succeeded, but the answer holds no result URL. "
            "It is not as documented; ask the support with the task's id.",
            request=request,
            status=int(httpx.codes.OK),
            task=task,
        )
    return task


def _known(task: Task | str) -> Task:
    return Task(task) if isinstance(task, str) else task


def _is_fresh(task: Task | str) -> bool:
    # Only the answer to a poll holds the time of creation.
    return isinstance(task, Task) and task.state == TaskState.PENDING and task.create_time is None
