"""The sync and the async client. They carry out the flows of `_core` and do all I/O."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from apixo_client._core import (
    Fetch,
    Flow,
    Flows,
    OnProgress,
    Sleep,
    T,
    default_timing,
    download,
)
from apixo_client.errors import ConfigurationError
from apixo_client.models import AsyncResult, Pace, Result, RetryPolicy, Task, Timing
from apixo_client.settings import Settings, resolve_settings

# What connecting, and each read or write, may take.
HTTP_TIMEOUT_S = 30.0
# The slowest tasks that were seen take about a minute.
WAIT_TIMEOUT_S = 600.0
# Neither the credentials of an httpx client nor a redirect come in between.
_PLAIN: dict[str, Any] = {"auth": None, "stream": True, "follow_redirects": False}

H = TypeVar("H", httpx.Client, httpx.AsyncClient)


class _BaseClient:
    """Settings, retries, pace and timing of a client."""

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
        self._timing = timing
        self._exchange_s = 2 * http_timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._settings.base_url}>"

    @property
    def _clocks(self) -> Timing:
        # Read at each call, so that a fixture can set the timing of clients that exist already.
        return self._timing or default_timing()

    @property
    def _flows(self) -> Flows:
        return Flows(self._settings, self._retry, self._pace, self._clocks, self._exchange_s)


def _http_client(
    kind: Callable[..., H],
    direct: Callable[[], object],
    settings: Settings,
    timeout: float,
    transport: Any,
) -> H:
    """Return an httpx client; an API on this machine is called without the proxies of the environment.

    Raises:
        ConfigurationError: The environment names a proxy that cannot be used.
    """
    if transport is None and settings.is_loopback:
        transport = direct()
    try:
        return kind(timeout=timeout, transport=transport)
    except (httpx.InvalidURL, ImportError, ValueError) as error:
        raise ConfigurationError(
            f"The proxy that the environment names cannot be used: {error}. A URL such as "
            "http://127.0.0.1:3128 was expected. Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."
        ) from error


def _check_one(transport: object, http_client: object) -> None:
    if transport is not None and http_client is not None:
        raise ConfigurationError(
            "Both transport=… and http_client=… were given, at most one was expected. "
            "Give the transport to your httpx client."
        )


class Apixo(_BaseClient):
    """A client of APIXO's Image Upscaler; a context manager, and safe to share between threads.

    Every call of the service raises `ApiError` if the service refuses it, for 429 and 5xx only after
    all attempts, and `TransportError` if no complete response arrives. A refused connection to this
    machine fails at once.

    Args:
        api_key: The key; by default from the environment variable `APIXO_API_KEY`.
        base_url: The API, with or without `/api/v1`; by default `APIXO_BASE_URL`, else the live one.
        http_timeout: Seconds that connecting, and each read or write, may take. A call of the API may
            take twice that from its start to the end of the response, and a second more for each
            16 KiB that it sends. Only `AsyncApixo` interrupts a call at that time: `Apixo` checks it
            when a piece of the body arrives, so the head of a response may take longer if it
            arrives in small pieces.
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
        _check_one(transport, http_client)
        self._http = http_client or _http_client(
            httpx.Client, httpx.HTTPTransport, self._settings, http_timeout, transport
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
        return self._run(self._flows.submit(image, resolution, output_format, callback_url))

    def status(self, task: Task | str) -> Task:
        """Poll a task, or the task of an id, once. A failed task is no error here."""
        return self._run(self._flows.status(task))

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
        done = self._run(self._flows.wait(task, timeout, on_progress))
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
        flow = self._flows.upscale(image, resolution, output_format, timeout, on_progress)
        done = self._run(flow)
        return Result(done.result_urls[0], done, self.download)

    def balance(self) -> Decimal:
        """Return the key's remaining balance, in USD."""
        return self._run(self._flows.balance())

    def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `Result.download`."""
        return self._run(download(url, path))

    def _run(self, flow: Flow[T]) -> T:
        timing = self._clocks
        try:
            step = next(flow)
            while True:
                try:
                    done = self._do(step, timing)
                except BaseException as error:  # noqa: BLE001 - the flow decides, and cleans up
                    step = flow.throw(error)
                else:
                    step = flow.send(done)
        except StopIteration as ended:
            result: T = ended.value
            return result

    def _do(self, step: Sleep | Fetch | Callable[[], Any], timing: Timing) -> Any:
        if isinstance(step, Sleep):
            return timing.sleep(step.seconds)
        if not isinstance(step, Fetch):
            return step()
        response = self._http.send(step.request, **_PLAIN)
        try:
            body = step.receive(response)
            if body is not None:
                for piece in _pieces(response):
                    body.take(piece)
                body.check_complete()
        finally:
            response.close()
        return response


def _pieces(response: httpx.Response) -> Iterable[bytes]:
    return [response.content] if response.is_stream_consumed else response.iter_raw()


class AsyncApixo(_BaseClient):
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
        _check_one(transport, http_client)
        self._http = http_client or _http_client(
            httpx.AsyncClient, httpx.AsyncHTTPTransport, self._settings, http_timeout, transport
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
        return await self._run(self._flows.submit(image, resolution, output_format, callback_url))

    async def status(self, task: Task | str) -> Task:
        """Poll a task, or the task of an id, once; see `Apixo.status`."""
        return await self._run(self._flows.status(task))

    async def wait(
        self,
        task: Task | str,
        *,
        timeout: float | None = WAIT_TIMEOUT_S,  # noqa: ASYNC109 - as in `Apixo`
        on_progress: OnProgress | None = None,
    ) -> AsyncResult:
        """Poll until a task, or the task of an id, has succeeded; see `Apixo.wait`."""
        done = await self._run(self._flows.wait(task, timeout, on_progress))
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
        flow = self._flows.upscale(image, resolution, output_format, timeout, on_progress)
        done = await self._run(flow)
        return AsyncResult(done.result_urls[0], done, self.download)

    async def balance(self) -> Decimal:
        """Return the key's remaining balance, in USD; see `Apixo.balance`."""
        return await self._run(self._flows.balance())

    async def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `AsyncResult.download`."""
        return await self._run(download(url, path))

    async def _run(self, flow: Flow[T]) -> T:
        timing = self._clocks
        try:
            step = next(flow)
            while True:
                try:
                    done = await self._do(step, timing)
                except BaseException as error:  # noqa: BLE001 - the flow decides, and cleans up
                    step = flow.throw(error)
                else:
                    step = flow.send(done)
        except StopIteration as ended:
            result: T = ended.value
            return result

    async def _do(self, step: Sleep | Fetch | Callable[[], Any], timing: Timing) -> Any:
        if isinstance(step, Sleep):
            return await timing.asleep(step.seconds)
        from anyio import move_on_after, to_thread

        if not isinstance(step, Fetch):
            return await to_thread.run_sync(step)
        with move_on_after(step.deadline.left):
            return await self._exchange(step)
        raise step.deadline.error()

    async def _exchange(self, step: Fetch) -> httpx.Response:
        response = await self._http.send(step.request, **_PLAIN)
        try:
            body = step.receive(response)
            if body is not None:
                async for piece in _apieces(response):
                    body.take(piece)
                body.check_complete()
        finally:
            await response.aclose()
        return response


async def _apieces(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.is_stream_consumed:
        yield response.content
        return
    async for piece in response.aiter_raw():
        yield piece
