"""The sync and the async client: the public methods, and all I/O."""

from __future__ import annotations

import os
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from apixo_client._core import BaseClient, OnProgress, T
from apixo_client._responses import Body
from apixo_client.errors import ConfigurationError
from apixo_client.models import (
    AsyncResult,
    Pace,
    Result,
    RetryPolicy,
    Task,
    Timing,
)

# What connecting, and each read or write, may take.
HTTP_TIMEOUT_S = 30.0
# The slowest tasks that were seen take about a minute.
WAIT_TIMEOUT_S = 600.0
# Neither the credentials of an httpx client nor a redirect come in between.
_PLAIN: dict[str, Any] = {"auth": None, "stream": True, "follow_redirects": False}

H = TypeVar("H", httpx.Client, httpx.AsyncClient)


def _http_client(
    kind: Callable[..., H],
    direct: Callable[[], object],
    given: H | None,
    transport: Any,
    *,
    is_loopback: bool,
    timeout: float,
) -> H:
    """Return the httpx client given, or a new one.

    An API on this machine is called without the proxies of the environment.

    Raises:
        ConfigurationError: Both a client and a transport are given, or the environment names a
            proxy that cannot be used.
    """
    if given is not None:
        if transport is not None:
            raise ConfigurationError(
                "Both transport=… and http_client=… were given, at most one was expected. "
                "Give the transport to your httpx client."
            )
        return given
    if transport is None and is_loopback:
        transport = direct()
    try:
        return kind(timeout=timeout, transport=transport)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The proxy that the environment names cannot be used: {error}. A URL such as "
            "http://127.0.0.1:3128 was expected. Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."
        ) from error


def _finished(call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a call whose I/O blocks, so that it is never suspended."""
    try:
        call.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise RuntimeError("a call of the sync client was suspended")


class Apixo(BaseClient):
    """A client of APIXO's Image Upscaler; a context manager, and safe to share between threads.

    Every call of the service raises `ApiError` if the service refuses it, for 429 and 5xx only after
    all attempts, and `TransportError` if no complete response arrives. A refused connection to this
    machine fails at once.

    Args:
        api_key: The key; by default from the environment variable `APIXO_API_KEY`.
        base_url: The API, with or without `/api/v1`; by default `APIXO_BASE_URL`, else the live one.
        http_timeout: Seconds that connecting, and each read or write, may take. A call of the API may
            take twice that, and a second more for each 16 KiB that it sends. `AsyncApixo`
            interrupts a call at that time, `Apixo` when the next piece of the body arrives.
        retry: How often and how fast failed requests are repeated.
        pace: When to poll; by default as the documentation recommends for the task's tier.
        transport: An httpx transport of your own.
        http_client: An httpx client of your own, with its own timeouts; `close` leaves it open.
        timing: Clocks, random numbers and the way to wait, for tests; see `set_default_timing`.
        sleep: Replaces the timing's way to wait.

    Raises:
        ConfigurationError: There is no usable key or base URL, or both `transport` and
            `http_client` are given.
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
        if sleep is not None:
            timing = replace(timing or Timing(), sleep=sleep)
        super().__init__(
            api_key, base_url, retry=retry, pace=pace, timing=timing, http_timeout=http_timeout
        )
        self._http = _http_client(
            httpx.Client,
            httpx.HTTPTransport,
            http_client,
            transport,
            is_loopback=self._settings.is_loopback,
            timeout=http_timeout,
        )
        # A client that is dropped, as in `Apixo().upscale(…)`, leaves no socket open.
        self._close = weakref.finalize(self, self._http.close)
        if http_client is not None:
            self._close.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of an `http_client` given."""
        self._close()

    def submit(
        self,
        image: str | os.PathLike[str],
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        callback_url: str | None = None,
    ) -> Task:
        """Submit a picture and return the task. This costs money, even if the task fails.

        Args:
            image: A public URL, or the `Path` of a local file, which is sent along.
            resolution: `2k`, `4k` or `8k`; by default the service's default, 4k.
            output_format: `jpg`, `png` or `webp`; by default the service's default, jpg.
            callback_url: Where the service is to post the final result, a public HTTPS URL.

        Raises:
            UncertainSubmitError: The response was lost; the task may have been accepted.
            ImageFileError: The text is no URL, or the file's suffix is that of no documented format.
            OSError: The local file cannot be read.
        """
        return _finished(self._submit(image, resolution, output_format, callback_url))

    def status(self, task: Task | str) -> Task:
        """Poll a task, or the task of an id, once. A failed task is no error here."""
        return _finished(self._status(task))

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
        done = _finished(self._wait(task, timeout, on_progress))
        return Result(done.result_urls[0], done, self.download)

    def upscale(
        self,
        image: str | os.PathLike[str],
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        timeout: float | None = WAIT_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Result:
        """Submit a picture and wait for its result; see `submit` and `wait`.

        `timeout` bounds the whole call: a submit that is refused for the moment (429, no connection) is repeated
        within it, and the wait gets what is left. `on_progress` is first called right after the submit, so that the
        task's id is not lost.
        """
        done = _finished(self._upscale(image, resolution, output_format, timeout, on_progress))
        return Result(done.result_urls[0], done, self.download)

    def balance(self) -> Decimal:
        """Return the key's remaining balance, in USD."""
        return _finished(self._balance())

    def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `Result.download`."""
        return _finished(self._download(url, path))

    async def _exchange(self, request: httpx.Request, body: Body) -> httpx.Response:
        response = self._http.send(request, **_PLAIN)
        try:
            if body.begin(response):
                # A response made in memory, as by transports for tests, has no more to read.
                pieces = [response.content] if response.is_stream_consumed else response.iter_raw()
                for piece in pieces:
                    body.take(piece)
                body.end()
        finally:
            response.close()
        return response

    async def _sleep(self, seconds: float) -> None:
        self._timing.sleep(seconds)

    async def _blocking(self, function: Callable[[], T]) -> T:
        return function()


class AsyncApixo(BaseClient):
    """A client of APIXO's Image Upscaler for asyncio and trio; an async context manager.

    Arguments and errors are those of `Apixo`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        http_timeout: float = HTTP_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        pace: Pace | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
    ) -> None:
        if sleep is not None:
            timing = replace(timing or Timing(), asleep=sleep)
        super().__init__(
            api_key, base_url, retry=retry, pace=pace, timing=timing, http_timeout=http_timeout
        )
        self._http = _http_client(
            httpx.AsyncClient,
            httpx.AsyncHTTPTransport,
            http_client,
            transport,
            is_loopback=self._settings.is_loopback,
            timeout=http_timeout,
        )
        self._owns_http = http_client is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of an `http_client` given."""
        if self._owns_http:
            await self._http.aclose()

    async def submit(
        self,
        image: str | os.PathLike[str],
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        callback_url: str | None = None,
    ) -> Task:
        """Submit a picture and return the task; see `Apixo.submit`."""
        return await self._submit(image, resolution, output_format, callback_url)

    async def status(self, task: Task | str) -> Task:
        """Poll a task, or the task of an id, once; see `Apixo.status`."""
        return await self._status(task)

    async def wait(
        self,
        task: Task | str,
        *,
        timeout: float | None = WAIT_TIMEOUT_S,  # noqa: ASYNC109 - as in `Apixo`
        on_progress: OnProgress | None = None,
    ) -> AsyncResult:
        """Poll until a task, or the task of an id, has succeeded; see `Apixo.wait`."""
        done = await self._wait(task, timeout, on_progress)
        return AsyncResult(done.result_urls[0], done, self.download)

    async def upscale(
        self,
        image: str | os.PathLike[str],
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        timeout: float | None = WAIT_TIMEOUT_S,  # noqa: ASYNC109 - as in `Apixo`
        on_progress: OnProgress | None = None,
    ) -> AsyncResult:
        """Submit a picture and wait for its result; see `Apixo.upscale`."""
        done = await self._upscale(image, resolution, output_format, timeout, on_progress)
        return AsyncResult(done.result_urls[0], done, self.download)

    async def balance(self) -> Decimal:
        """Return the key's remaining balance, in USD; see `Apixo.balance`."""
        return await self._balance()

    async def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `AsyncResult.download`."""
        return await self._download(url, path)

    async def _exchange(self, request: httpx.Request, body: Body) -> httpx.Response:
        from anyio import move_on_after

        with move_on_after(body.seconds_left):
            response = await self._http.send(request, **_PLAIN)
            try:
                if body.begin(response):
                    if response.is_stream_consumed:
                        body.take(response.content)
                    else:
                        async for piece in response.aiter_raw():
                            body.take(piece)
                    body.end()
            finally:
                await response.aclose()
            return response
        raise body.too_slow()

    async def _sleep(self, seconds: float) -> None:
        await self._timing.asleep(seconds)

    async def _blocking(self, function: Callable[[], T]) -> T:
        from anyio import to_thread

        return await to_thread.run_sync(function)
