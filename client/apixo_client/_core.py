"""The protocol without I/O: requests, pauses, and the order of calls.

The order is written once, as generators ("flows") that the sync and the async client both carry
out. A flow yields steps: `Fetch`, `Sleep`, or a function that may block. It gets the result of a
step, or its exception thrown in, and returns its own result.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, TypeAlias, TypeVar

import httpx

from apixo_client._responses import (
    MAX_RESPONSE_BYTES,
    MAX_RESULT_BYTES,
    RESULT_S,
    Body,
    Deadline,
    read_data,
    unexpected,
)
from apixo_client.errors import (
    ApixoError,
    DownloadError,
    InvalidResponseError,
    TransportError,
    UncertainSubmitError,
    WaitTimeout,
    api_error,
    is_server_missing,
    is_surely_refused,
    is_transient,
    submit_advice,
    task_failed,
    transport_error,
)
from apixo_client.images import AtomicFile, image_url
from apixo_client.models import (
    Pace,
    RetryPolicy,
    Task,
    TaskState,
    Timing,
    read_task,
    read_task_id,
    terms,
)
from apixo_client.settings import Settings, check_host

_default_timing = Timing()


def default_timing() -> Timing:
    """Return the timing of every client that was not given one."""
    return _default_timing


def set_default_timing(timing: Timing | None) -> Timing:
    """Set the timing of every client that was not given one, and return the one before.

    This is for test fixtures: with the clock of an emulator, ``Apixo().upscale(timeout=20)`` waits
    in the emulator's time. Existing clients use it from their next call on. None restores the real
    clocks.
    """
    global _default_timing
    before, _default_timing = _default_timing, timing or Timing()
    return before


# Requests

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "apixo-client"}


@cache
def _endpoints() -> dict[str, Any]:
    from apixo_schemas import document

    endpoints: dict[str, Any] = document("model.json")["api"]
    return endpoints


def _request(
    settings: Settings, name: str, argument: str | None = None, body: Any = None
) -> httpx.Request:
    """Return a call of the endpoint ``submit``, ``status`` or ``balance``."""
    endpoint = _endpoints()[name]
    return httpx.Request(
        endpoint["method"],
        settings.base_url + endpoint["path"].replace("{model}", terms().model),
        params=None if argument is None else {endpoint["query"]: argument},
        json=body,
        headers=_HEADERS | {"Authorization": f"Bearer {settings.api_key}"},
    )


def _submit_body(
    url: str, resolution: str | None, output_format: str | None, callback_url: str | None
) -> dict[str, Any]:
    defaults = terms().defaults
    given = {"resolution": resolution, "output_format": output_format, "callback_url": callback_url}
    for name, value in given.items():
        if not isinstance(value, str | None):
            raise TypeError(f"{name}: a text was expected, found {type(value).__name__}")
    body: dict[str, Any] = {"request_type": defaults["request_type"]}
    if callback_url is not None:
        body = {"request_type": "callback", "callback_url": callback_url}
    body["input"] = {
        "mode": defaults["mode"],
        "image_urls": [url],
        "resolution": defaults["resolution"] if resolution is None else resolution,
        "output_format": defaults["output_format"] if output_format is None else output_format,
    }
    return body


# Of an amount of money, before or after the point.
_MOST_DIGITS = 100
_MOST_REDIRECTS = 20
# Bytes per second. A submit that carries a picture gets more time, as a second attempt may cost twice.
_SLOWEST_UPLOAD = 16 * 1024
# A login page of a proxy, or an error of a service, that is sent with 200. Other types are legal.
_NO_PICTURE = re.compile(r"\s*(text/|application/(.+\+)?json\b)", re.IGNORECASE)
# Beyond this many doublings every cap is reached; it keeps huge numbers out of floats.
_MOST_DOUBLINGS = 64


def backoff(failures: int, policy: RetryPolicy, rng: Random) -> float:
    """Return the pause in seconds after the nth failure (from 1): exponential, with full jitter."""
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return rng.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0**doublings))


# Flows


class Fetch(NamedTuple):
    """Send a request and return the head of its response, whatever the status. Follow no redirect.

    Attributes:
        request: The request.
        receive: Returns what takes the body of a response with this head; None leaves it unread.
        deadline: When the response must have ended.
    """

    request: httpx.Request
    receive: Callable[[httpx.Response], Body | None]
    deadline: Deadline


class Sleep(NamedTuple):
    """Go on after this many seconds."""

    seconds: float


T = TypeVar("T")
Flow: TypeAlias = Generator[Fetch | Sleep | Callable[[], Any], Any, T]
OnProgress: TypeAlias = Callable[[Task], object]
MayRepeat: TypeAlias = Callable[[ApixoError], bool]


@dataclass(frozen=True)
class Flows:
    """The calls of the API; each method returns a flow.

    ``exchange_s`` are the seconds from the start of a small request to the end of its response.
    """

    settings: Settings
    retry: RetryPolicy
    pace: Pace | None
    timing: Timing
    exchange_s: float

    def submit(
        self,
        image: str | os.PathLike[str],
        resolution: str | None,
        output_format: str | None,
        callback_url: str | None = None,
        timeout: float | None = None,
    ) -> Flow[Task]:
        """Submit a picture; repeat within ``timeout`` only what was certainly not accepted."""
        # Reading a file may take long.
        url = image_url(image) if isinstance(image, str) else (yield partial(image_url, image))
        body = _submit_body(url, resolution, output_format, callback_url)
        request = _request(self.settings, "submit", body=body)
        try:
            response, data = yield from self._ask(request, is_surely_refused, timeout)
        except TransportError as error:
            if is_surely_refused(error):
                raise
            raise UncertainSubmitError(
                f"{str(error).rstrip('.')}. {submit_advice(request)}", request=request
            ) from error.__cause__
        task_id = read_task_id(data) if isinstance(data, dict) else None
        if task_id is None:
            raise unexpected(response, "The submit was accepted, but the response names no task")
        return Task(task_id, resolution=body["input"]["resolution"])

    def status(self, task: Task | str) -> Flow[Task]:
        """Poll once; repeat transient errors."""
        task = _known(task)
        request = _request(self.settings, "status", task.id)
        _, data = yield from self._ask(request, is_transient)
        return read_task(data, task)

    def balance(self) -> Flow[Decimal]:
        """Ask for the balance."""
        request = _request(self.settings, "balance")
        response, data = yield from self._ask(request, is_transient)
        if isinstance(data, int | Decimal) and not isinstance(data, bool):
            balance = Decimal(data)
            # A few characters of JSON can stand for a number that fills the memory when printed.
            if abs(balance.adjusted()) <= _MOST_DIGITS:
                return balance
        raise unexpected(response, "The response holds no balance")

    def upscale(
        self,
        image: str | os.PathLike[str],
        resolution: str | None,
        output_format: str | None,
        timeout: float | None,
        on_progress: OnProgress | None,
    ) -> Flow[Task]:
        """Submit and wait, together within ``timeout``."""
        started = self.timing.monotonic()
        task = yield from self.submit(image, resolution, output_format, timeout=timeout)
        if on_progress is not None:
            on_progress(task)
        return (yield from self.wait(task, timeout, on_progress, started))

    def wait(
        self,
        task: Task | str,
        timeout: float | None,
        on_progress: OnProgress | None,
        started: float | None = None,
    ) -> Flow[Task]:
        """Poll until the task has succeeded; a task fresh from a submit is first given time.

        A poll in progress when the time is over is still completed. The time is counted from ``started``.
        """
        # A server that was there before may be restarting; another one is simply missing.
        was_there, task = _is_fresh(task), _known(task)
        request = _request(self.settings, "status", task.id)
        pace = self.pace or Pace.recommended(task.resolution or terms().defaults["resolution"])
        pause = self._pick(pace.first_s) if was_there else 0.0
        started, slept = self.timing.monotonic() if started is None else started, 0.0
        error: ApixoError | None = None
        failures, is_last = 0, False
        while not task.is_final:
            if timeout is not None:
                # The sum of the pauses counts where a test has frozen the clock.
                left = timeout - max(self.timing.monotonic() - started, slept)
                # The last moment is used for one more poll, but a pause after an error, which the
                # service may have asked for, is not cut short. A clock may be a little behind then.
                if pause > left and (left <= 0 or is_last or error is not None):
                    raise _timed_out(task, timeout) from error
                is_last = pause > left
                pause = min(pause, left)
            if pause > 0:
                yield Sleep(pause)
                slept += pause
            try:
                _, data = yield from self._once(request)
            except ApixoError as failed:
                failed.task, error, failures = task, failed, failures + 1
                may_repeat = is_transient if was_there else _is_worth_repeating
                pause = self._pause(failed, failures, may_repeat)
                continue
            task, error, failures, was_there = read_task(data, task), None, 0, True
            if on_progress is not None:
                on_progress(task)
            pause = self._pick(pace.interval_s)
        return _succeeded(task, request)

    def _ask(
        self, request: httpx.Request, may_repeat: MayRepeat, timeout: float | None = None
    ) -> Flow[tuple[httpx.Response, Any]]:
        end = math.inf if timeout is None else self.timing.monotonic() + timeout
        failures = 0
        while True:
            try:
                return (yield from self._once(request))
            except ApixoError as error:
                if is_server_missing(error):
                    raise
                failures += 1
                pause = self._pause(error, failures, may_repeat)
                if self.timing.monotonic() + pause > end:
                    raise
            yield Sleep(pause)

    def _once(self, request: httpx.Request) -> Flow[tuple[httpx.Response, Any]]:
        content = bytearray()
        deadline = Deadline(self.exchange_s + len(request.content) / _SLOWEST_UPLOAD)
        receive = partial(Body, write=content.extend, most=MAX_RESPONSE_BYTES, deadline=deadline)
        try:
            response = yield Fetch(request, receive, deadline)
        except httpx.RequestError as error:
            raise transport_error(error, request) from error
        secret, now = self.settings.api_key, self.timing.wall()
        return response, read_data(response, bytes(content), secret=secret, now=now)

    def _pause(self, error: ApixoError, failures: int, may_repeat: MayRepeat) -> float:
        """Return the seconds until the next attempt, or raise the error if there is to be none."""
        asked = error.retry_after or 0.0
        if (
            failures >= self.retry.attempts
            or asked > self.retry.max_retry_after_s
            or not may_repeat(error)
        ):
            raise error
        # Jitter on top of what was asked, so that many clients do not come back at once.
        return asked + backoff(failures, self.retry, self.timing.rng)

    def _pick(self, seconds: tuple[float, float]) -> float:
        return self.timing.rng.uniform(*seconds)


def _is_worth_repeating(error: ApixoError) -> bool:
    return is_transient(error) and not is_server_missing(error)


def _timed_out(task: Task, timeout: float) -> WaitTimeout:
    return WaitTimeout(
        f"Task {task.id} is still {task.state or 'running'} after {timeout:g} s. "
        "It goes on: wait for it again.",
        task=task,
    )


def _succeeded(task: Task, request: httpx.Request) -> Task:
    if task.state == TaskState.FAILED:
        raise task_failed(task, request)
    if not task.result_urls:
        raise InvalidResponseError(
            f"Task {task.id} has succeeded, but the response holds no result URL. "
            "It is not as documented; ask the support with the task's id.",
            request=request,
            status=int(httpx.codes.OK),
            task=task,
        )
    return task


def _known(task: Task | str) -> Task:
    return Task(task) if isinstance(task, str) else task


def _is_fresh(task: Task | str) -> bool:
    # Only the response to a poll holds the time of creation.
    return isinstance(task, Task) and task.state == TaskState.PENDING and task.create_time is None


def download(url: str, path: str | os.PathLike[str]) -> Flow[Path]:
    """Write a result to a file, complete or not at all. Its server gets no API key."""
    file = AtomicFile(path)
    request = None
    deadline = Deadline(RESULT_S)
    receive = partial(_result_body, write=file.write, deadline=deadline)
    try:
        request = httpx.Request("GET", url, headers=_HEADERS)
        # Redirects are followed here because httpx reads their bodies without a bound.
        for _ in range(_MOST_REDIRECTS):
            check_host(request.url)
            response: httpx.Response = yield Fetch(request, receive, deadline)
            if response.next_request is None:
                # To the disk, which may take long.
                done: Path = yield file.commit
                return done
            request = response.next_request
        raise httpx.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects")
    except (httpx.RequestError, httpx.InvalidURL, UnicodeError) as error:
        reason = str(error) or type(error).__name__
        raise DownloadError(
            f"The result at {url[:200]} was not downloaded: {reason}", request=request
        ) from error
    finally:
        file.discard()


def _result_body(
    head: httpx.Response, *, write: Callable[[bytes], object], deadline: Deadline
) -> Body | None:
    if head.next_request is not None:
        return None
    if not head.is_success:
        raise api_error(head, missing="result_not_found")
    if head.status_code != httpx.codes.OK:
        # Only 200 says that the body is the whole file; no part was asked for.
        raise httpx.RemoteProtocolError(
            f"a picture was expected with status 200, the server sent {head.status_code}"
        )
    kind = head.headers.get("content-type", "")
    if _NO_PICTURE.match(kind):
        raise httpx.RemoteProtocolError(f"a picture was expected, the server sent {kind}")
    return Body(head, write, least=1, most=MAX_RESULT_BYTES, deadline=deadline)
