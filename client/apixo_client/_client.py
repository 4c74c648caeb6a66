"""The sync client."""

from __future__ import annotations

import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from apixo_client._base import (
    HTTP_TIMEOUT_S,
    WAIT_TIMEOUT_S,
    BaseClient,
    only_one,
    usable_environment,
)
from apixo_client._download import download
from apixo_client._drivers import drive
from apixo_client._images import image_url
from apixo_client._models import Result, Task

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from decimal import Decimal

    from apixo_client._flows import OnProgress
    from apixo_client._retry import RetryPolicy
    from apixo_client._timing import Pace, Timing


class Apixo(BaseClient):
    """APIXO's Image Upscaler; a context manager, and safe to share between threads.

    What talks to the service raises `ApiError` if it refuses, 429 and 5xx only after all attempts,
    and `TransportError` if no attempt reaches it. Without a usable key and base URL there is no
    client but a `ConfigurationError`.

    Args:
        api_key: The key; by default from the environment variable `APIXO_API_KEY`.
        base_url: The API, with or without `/api/v1`; by default `APIXO_BASE_URL`, else the live one.
        http_timeout: Seconds that connecting, and each read or write, may take.
        retry: How often and how fast failed requests are repeated.
        pace: When to poll; by default as the documentation recommends for the task's tier.
        transport: An httpx transport of your own.
        http_client: An httpx client of your own, with its own timeouts; `close` leaves it open.
        timing, sleep: Clocks, chance and waiting, for tests.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        http_timeout: float = HTTP_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
        http_client: httpx.Client | None = None,
        timing: Timing | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(api_key, base_url, retry=retry, pace=pace, timing=timing)
        only_one(transport, http_client)
        self._sleep = sleep or _sleep
        with usable_environment():
            self._http = http_client or httpx.Client(transport=transport, timeout=http_timeout)
        # A client that is dropped, as in `Apixo().upscale(…)`, leaves no socket open.
        self._close = weakref.finalize(self, self._http.close)
        if http_client is not None:
            self._close.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of an `http_client` handed in."""
        self._close()

    def submit(
        self,
        image: str | Path,
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        callback_url: str | None = None,
    ) -> Task:
        """Submit a picture and give the task. This costs money, whatever becomes of the task.

        Args:
            image: A public URL, or the `Path` of a local file, which is sent along.
            resolution: `2k`, `4k` or `8k`; by default the service's default, 4k.
            output_format: `jpg`, `png` or `webp`; by default the service's default, jpg.
            callback_url: Where the service is to post the final answer, a public HTTPS URL.

        Raises:
            UncertainSubmitError: The answer was lost; the task may have been accepted.
            ImageFileError: The local file's suffix names none of the documented formats.
            OSError: The local file cannot be read.
        """
        flow = self._flows.submit(
            image_url(image),
            resolution=resolution,
            output_format=output_format,
            callback_url=callback_url,
        )
        return drive(flow, self._http, self._sleep)

    def status(self, task: Task | str) -> Task:
        """Ask once how a task, or the task of an id, is doing. A failed task is no error here."""
        return drive(self._flows.status(task), self._http, self._sleep)

    def wait(
        self,
        task: Task | str,
        *,
        timeout: float | None = WAIT_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Poll until a task, or the task of an id, has succeeded.

        Args:
            task: A task fresh from `submit` is given time before the first poll; others are not.
            timeout: Seconds to wait at most; None for no limit.
            on_progress: Called with the task after each poll.

        Raises:
            TaskFailed: It has failed.
            WaitTimeout: It still runs; wait again with the error's `task`.
        """
        flow = self._flows.wait(task, timeout=timeout, on_progress=on_progress)
        done = drive(flow, self._http, self._sleep)
        return Result(done.result_urls[0], done, self.download)

    def upscale(
        self,
        image: str | Path,
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        timeout: float | None = WAIT_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Submit a picture and wait for its result; see `submit` and `wait`.

        `on_progress` is first called right after the submit, so that the task's id is not lost.
        """
        task = self.submit(image, resolution=resolution, output_format=output_format)
        if on_progress is not None:
            on_progress(task)
        return self.wait(task, timeout=timeout, on_progress=on_progress)

    def balance(self) -> Decimal:
        """Ask for the key's remaining balance, in USD."""
        return drive(self._flows.balance(), self._http, self._sleep)

    def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `Result.download`."""
        return download(self._http, url, path)


def _sleep(seconds: float) -> None:
    """Sleep by whatever `time.sleep` is now: tests put something else there."""
    time.sleep(seconds)
