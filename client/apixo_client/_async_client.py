"""The async client: the sync one, awaited."""

from __future__ import annotations

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
from apixo_client._download import adownload
from apixo_client._drivers import adrive
from apixo_client._images import image_url
from apixo_client._models import AsyncResult, Task

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable
    from decimal import Decimal

    from apixo_client._flows import OnProgress
    from apixo_client._retry import RetryPolicy
    from apixo_client._timing import Pace, Timing


class AsyncApixo(BaseClient):
    """APIXO's Image Upscaler for asyncio and trio; an async context manager. Takes what `Apixo` takes."""

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
        super().__init__(api_key, base_url, retry=retry, pace=pace, timing=timing)
        only_one(transport, http_client)
        self._sleep = sleep or _sleep
        with usable_environment():
            self._http = http_client or httpx.AsyncClient(transport=transport, timeout=http_timeout)
        self._owns_http = http_client is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, unless they are those of an `http_client` handed in."""
        if self._owns_http:
            await self._http.aclose()

    async def submit(
        self,
        image: str | Path,
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        callback_url: str | None = None,
    ) -> Task:
        """Submit a picture and give the task; see `Apixo.submit`."""
        flow = self._flows.submit(
            await _image_url(image),
            resolution=resolution,
            output_format=output_format,
            callback_url=callback_url,
        )
        return await adrive(flow, self._http, self._sleep)

    async def status(self, task: Task | str) -> Task:
        """Ask once how a task, or the task of an id, is doing; see `Apixo.status`."""
        return await adrive(self._flows.status(task), self._http, self._sleep)

    async def wait(
        self,
        task: Task | str,
        *,
        timeout: float | None = WAIT_TIMEOUT_S,  # noqa: ASYNC109 - as in `Apixo`
        on_progress: OnProgress | None = None,
    ) -> AsyncResult:
        """Poll until a task, or the task of an id, has succeeded; see `Apixo.wait`."""
        flow = self._flows.wait(task, timeout=timeout, on_progress=on_progress)
        done = await adrive(flow, self._http, self._sleep)
        return AsyncResult(done.result_urls[0], done, self.download)

    async def upscale(
        self,
        image: str | Path,
        *,
        resolution: str | None = None,
        output_format: str | None = None,
        timeout: float | None = WAIT_TIMEOUT_S,  # noqa: ASYNC109 - as in `Apixo`
        on_progress: OnProgress | None = None,
    ) -> AsyncResult:
        """Submit a picture and wait for its result; see `Apixo.upscale`."""
        task = await self.submit(image, resolution=resolution, output_format=output_format)
        if on_progress is not None:
            on_progress(task)
        return await self.wait(task, timeout=timeout, on_progress=on_progress)

    async def balance(self) -> Decimal:
        """Ask for the key's remaining balance, in USD; see `Apixo.balance`."""
        return await adrive(self._flows.balance(), self._http, self._sleep)

    async def download(self, url: str, path: str | os.PathLike[str]) -> Path:
        """Write the result behind a URL to a file; see `AsyncResult.download`."""
        return await adownload(self._http, url, path)


async def _image_url(image: str | Path) -> str:
    if isinstance(image, str):
        return image_url(image)
    from anyio import to_thread

    return await to_thread.run_sync(image_url, image)


async def _sleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)
