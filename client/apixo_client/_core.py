"""What both clients do, written once: requests, pauses, and the order of calls.

`BaseClient` does no I/O. `Apixo` and `AsyncApixo` add three methods that do, and public methods that
are not repeated here. The I/O of `Apixo` blocks, so that its calls end without ever being suspended.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import httpx

from apixo_client._responses import Body, read_data, unexpected
from apixo_client.errors import (
    ApixoError,
    DownloadError,
    InvalidResponseError,
    TransportError,
    UncertainSubmitError,
    WaitTimeout,
    is_server_missing,
    is_surely_refused,
    is_transient,
    submit_advice,
    task_failed,
    transport_error,
)
from apixo_client.images import AtomicFile, ResultBody, image_url
from apixo_client.models import (
    Pace,
    RetryPolicy,
    Task,
    TaskState,
    Timing,
    check_host,
    read_task,
    read_task_id,
    resolve_settings,
)
from apixo_schemas import contract, document

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[Task], object]
MayRepeat: TypeAlias = Callable[[ApixoError], bool]

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "apixo-client"}
# Of an amount of money, before or after the point.
_MOST_DIGITS = 100
_MOST_REDIRECTS = 20
# Bytes per second. A submit that carries a picture gets more time, as a second attempt may cost twice.
_SLOWEST_UPLOAD = 16 * 1024
# Beyond this many doublings every cap is reached; it keeps huge numbers out of floats.
_MOST_DOUBLINGS = 64

_default_timing = Timing()


def set_default_timing(timing: Timing | None) -> Timing:
    """Set the timing of every client that was not given one, and return the one before.

    This is for test fixtures: with the clock of an emulator, ``Apixo().upscale(timeout=20)`` waits
    in the emulator's time. Existing clients use it from their next call on. None restores the real
    clocks.
    """
    global _default_timing
    before, _default_timing = _default_timing, timing or Timing()
    return before


class BaseClient:
    """Settings, retries, pace and timing of a client, and its calls."""

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None,
        *,
        retry: RetryPolicy | None,
        pace: Pace | None,
        timing: Timing | None,
        http_timeout: float,
    ) -> None:
        self._settings = resolve_settings(api_key, base_url)
        self._retry = retry or RetryPolicy()
        self._pace = pace
        self._own_timing = timing
        # Seconds from the start of a small request to the end of its response.
        self._exchange_s = 2 * http_timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.base_url}>"

    @property
    def _timing(self) -> Timing:
        # Read at each call, so that a fixture can set the timing of clients that exist already.
        return self._own_timing or _default_timing

    # I/O

    async def _exchange(self, request: httpx.Request, body: Body) -> httpx.Response:
        """Send a request, follow no redirect, and let ``body`` take the response."""
        raise NotImplementedError

    async def _sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def _blocking(self, function: Callable[[], T]) -> T:
        """Return what a function returns that may block."""
        raise NotImplementedError

    # Calls

    async def _submit(
        self,
        image: str | os.PathLike[str],
        resolution: str | None,
        output_format: str | None,
        callback_url: str | None = None,
        within: float | None = None,
    ) -> Task:
        """Submit a picture; repeat, ``within`` so many seconds, only what was certainly not accepted."""
        is_text = isinstance(image, str)
        url = image_url(image) if is_text else await self._blocking(partial(image_url, image))
        body = _submit_body(url, resolution, output_format, callback_url)
        request = self._request("submit", body=body)
        try:
            response, data = await self._ask(request, is_surely_refused, within)
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

    async def _status(self, task: Task | str) -> Task:
        task = _known(task)
        _, data = await self._ask(self._request("status", task.id), is_transient)
        return read_task(data, task)

    async def _balance(self) -> Decimal:
        response, data = await self._ask(self._request("balance"), is_transient)
        if isinstance(data, int | Decimal) and not isinstance(data, bool):
            balance = Decimal(data)
            # A few characters of JSON can stand for a number that fills the memory when printed.
            if abs(balance.adjusted()) <= _MOST_DIGITS:
                return balance
        raise unexpected(response, "The response holds no balance")

    async def _upscale(
        self,
        image: str | os.PathLike[str],
        resolution: str | None,
        output_format: str | None,
        within: float | None,
        on_progress: OnProgress | None,
    ) -> Task:
        started = self._timing.monotonic()
        task = await self._submit(image, resolution, output_format, within=within)
        if on_progress is not None:
            on_progress(task)
        return await self._wait(task, within, on_progress, started)

    async def _wait(
        self,
        task: Task | str,
        within: float | None,
        on_progress: OnProgress | None,
        started: float | None = None,
    ) -> Task:
        """Poll until the task has succeeded; a task fresh from a submit is first given time.

        A poll in progress when the time is over is still completed. The time is counted from ``started``.
        """
        clock = self._timing.monotonic
        # A server that was there before may be restarting; another one is simply missing.
        was_there, task = _is_fresh(task), _known(task)
        request = self._request("status", task.id)
        tier = task.resolution or contract().defaults["resolution"]
        pace = self._pace or Pace.recommended(tier)
        pause = self._pick(pace.first_s) if was_there else 0.0
        started, slept = clock() if started is None else started, 0.0
        error: ApixoError | None = None
        failures, is_last = 0, False
        while not task.is_final:
            if within is not None:
                # The sum of the pauses counts where a test has frozen the clock.
                left = within - max(clock() - started, slept)
                # The last moment is used for one more poll, but a pause after an error, which the
                # service may have asked for, is not cut short. A clock may be a little behind then.
                if pause > left and (left <= 0 or is_last or error is not None):
                    raise _timed_out(task, within) from error
                is_last = pause > left
                pause = min(pause, left)
            if pause > 0:
                await self._sleep(pause)
                slept += pause
            try:
                _, data = await self._once(request)
            except ApixoError as failed:
                failed.task, error, failures = task, failed, failures + 1
                if is_server_missing(failed) and not was_there:
                    raise
                pause = self._pause_after(failed, failures, is_transient)
                continue
            task, error, failures, was_there = read_task(data, task), None, 0, True
            if on_progress is not None:
                on_progress(task)
            pause = self._pick(pace.interval_s)
        return _succeeded(task, request)

    async def _download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write a result to a file, complete or not at all. Its server gets no API key."""
        request = None
        with AtomicFile(path) as file:
            body = ResultBody(file.write)
            try:
                request = httpx.Request("GET", url, headers=_HEADERS)
                # Redirects are followed here because httpx reads their bodies without a bound.
                for _ in range(_MOST_REDIRECTS):
                    check_host(request.url)
                    response = await self._exchange(request, body)
                    if response.next_request is None:
                        # To the disk, which may take long.
                        return await self._blocking(file.commit)
                    request = response.next_request
                raise httpx.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects")
            except (httpx.RequestError, httpx.InvalidURL, UnicodeError) as error:
                reason = str(error) or type(error).__name__
                raise DownloadError(
                    f"The result at {url[:200]} was not downloaded: {reason}", request=request
                ) from error

    # One request

    def _request(self, name: str, argument: str | None = None, body: Any = None) -> httpx.Request:
        """Return a call of the endpoint ``submit``, ``status`` or ``balance``."""
        endpoint = document("model.json")["api"][name]
        return httpx.Request(
            endpoint["method"],
            self._settings.base_url + endpoint["path"].replace("{model}", contract().model),
            params=None if argument is None else {endpoint["query"]: argument},
            json=body,
            headers=_HEADERS | {"Authorization": f"Bearer {self._settings.api_key}"},
        )

    async def _ask(
        self, request: httpx.Request, may_repeat: MayRepeat, within: float | None = None
    ) -> tuple[httpx.Response, Any]:
        """Return a response and the ``data`` of its envelope; repeat what may be repeated."""
        clock = self._timing.monotonic
        end = math.inf if within is None else clock() + within
        failures = 0
        while True:
            try:
                return await self._once(request)
            except ApixoError as error:
                if is_server_missing(error):
                    raise
                failures += 1
                pause = self._pause_after(error, failures, may_repeat)
                if clock() + pause > end:
                    raise
            await self._sleep(pause)

    async def _once(self, request: httpx.Request) -> tuple[httpx.Response, Any]:
        content = bytearray()
        seconds = self._exchange_s + len(request.content) / _SLOWEST_UPLOAD
        try:
            response = await self._exchange(request, Body(content.extend, seconds=seconds))
        except httpx.RequestError as error:
            raise transport_error(error, request) from error
        secret, now = self._settings.api_key, self._timing.wall()
        return response, read_data(response, bytes(content), secret=secret, now=now)

    def _pause_after(self, error: ApixoError, failures: int, may_repeat: MayRepeat) -> float:
        """Return the seconds until the next attempt, or raise the error if there is to be none."""
        asked = error.retry_after or 0.0
        policy = self._retry
        if failures >= policy.attempts or asked > policy.max_retry_after_s or not may_repeat(error):
            raise error
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        most = min(policy.cap_s, policy.base_s * 2.0**doublings)
        # Jitter on top of what was asked, so that many clients do not come back at once.
        return asked + self._timing.rng.uniform(0.0, most)

    def _pick(self, seconds: tuple[float, float]) -> float:
        return self._timing.rng.uniform(*seconds)


def _submit_body(
    url: str, resolution: str | None, output_format: str | None, callback_url: str | None
) -> dict[str, Any]:
    defaults = contract().defaults
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
