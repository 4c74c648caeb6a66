"""One caller for each HTTP library, so that one test holds for all."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import trio
import urllib3

import apixo_emulator
from apixo_emulator.testing import InProcess

API = "https://api.apixo.ai"
HEADERS = {"Authorization": "Bearer k", "Content-Type": "application/json"}


@dataclass
class Got:
    status: int
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


Send = Callable[[str, str, bytes | None], Got]


_TLS = ssl.create_default_context()  # one: reading certificates takes long


def by_httpx(method: str, url: str, body: bytes | None, library: Any = httpx) -> Got:
    answer = library.request(method, url, content=body, headers=HEADERS, verify=_TLS)
    return Got(answer.status_code, answer.content)


async def _async_httpx(method: str, url: str, body: bytes | None) -> Got:
    async with httpx.AsyncClient(verify=_TLS) as client:
        answer = await client.request(method, url, content=body, headers=HEADERS)
    return Got(answer.status_code, answer.content)


def by_async_httpx(method: str, url: str, body: bytes | None) -> Got:
    return asyncio.run(_async_httpx(method, url, body))


def by_httpx_on_trio(method: str, url: str, body: bytes | None) -> Got:
    return trio.run(_async_httpx, method, url, body)


def by_requests(method: str, url: str, body: bytes | None) -> Got:
    with requests.Session() as session:
        answer = session.request(method, url, data=body, headers=HEADERS, timeout=60)
    return Got(answer.status_code, answer.content)


def by_urllib3(method: str, url: str, body: bytes | None) -> Got:
    with urllib3.PoolManager() as pool:
        answer = pool.request(method, url, body=body, headers=HEADERS, retries=False)
        return Got(answer.status, answer.data)


def by_urllib(method: str, url: str, body: bytes | None) -> Got:
    request = urllib.request.Request(url, data=body, headers=HEADERS, method=method)  # noqa: S310 - the address is ours
    try:
        # `urlopen` would keep an opener with the proxies of its first call.
        with urllib.request.build_opener().open(request) as answer:
            return Got(answer.status, answer.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Got(refused.code, refused.read())


def by_aiohttp(method: str, url: str, body: bytes | None) -> Got:
    async def run() -> Got:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body, headers=HEADERS) as answer,
        ):
            return Got(answer.status, await answer.read())

    return asyncio.run(run())


SENDERS: dict[str, Send] = {
    "httpx": by_httpx,
    "async-httpx": by_async_httpx,
    "httpx-on-trio": by_httpx_on_trio,
    "httpx2": partial(by_httpx, library=httpx2),
    "requests": by_requests,
    "urllib3": by_urllib3,
    "urllib": by_urllib,
    "aiohttp": by_aiohttp,
}


class Caller:
    """An application that calls the API with one library."""

    def __init__(self, send: Send) -> None:
        self.send = send

    def get(self, url: str) -> Got:
        return self.send("GET", url, None)

    def submit(self, image: str = "in.jpg", base: str = API, **more: Any) -> Got:
        asked: dict[str, Any] = {"image_urls": [f"https://example.com/{image}"]}
        asked["resolution"] = "2k"
        body = json.dumps({"input": asked, **more}).encode()
        return self.send("POST", f"{base}/api/v1/generateTask/image-upscaler", body)

    def submitted(self, image: str = "in.jpg", **more: Any) -> str:
        return str(self.submit(image, **more).data["taskId"])

    def state(self, task_id: str) -> str:
        return str(self.poll(task_id)["state"])

    def poll(self, task_id: str) -> Any:
        return self.get(f"{API}/api/v1/statusTask/image-upscaler?taskId={task_id}").data

    def balance(self) -> Any:
        return self.get(f"{API}/api/v1/apikeys/current-balance").data


@pytest.fixture(params=SENDERS)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Any library."""
    return Caller(SENDERS[request.param])


@pytest.fixture
def app() -> Caller:
    """Some library."""
    return Caller(by_httpx)


@pytest.fixture
def emulator() -> Iterator[InProcess]:
    """The emulator of a block with no options."""
    with apixo_emulator.intercept() as emulator:
        yield emulator
