"""A scripted service behind respx: responses are queued, time is virtual, both clients alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

import httpx
import pytest
import respx

from apixo_client import Apixo, AsyncApixo, Timing, set_default_timing

KEY = "sk-live-0123456789"
# A new one takes 30 ms, for the certificates.
HTTP = {"sync": httpx.Client(), "async": httpx.AsyncClient()}
BASE = "https://api.test"


class Service:
    """Plays the service and the clock for one kind of client."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.answers: list[httpx.Response | BaseException] = []
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.now = 1000.0

    def answer(self, *answers: httpx.Response | BaseException) -> None:
        self.answers.extend(answers)

    def accept(self, task_id: str = "task_1") -> None:
        self.data({"taskId": task_id})

    def state(self, state: Any, **fields: Any) -> None:
        self.data({"taskId": "task_1", "state": state, "createTime": 1767965610929, **fields})

    def succeed(self, url: str = "https://files.test/out.webp") -> None:
        self.state(
            "success",
            resultJson=json.dumps({"resultUrls": [url]}),
            completeTime=1767965652317,
            costTime=41388,
        )

    def data(self, data: Any) -> None:
        self.answer(httpx.Response(200, json={"code": 200, "message": "success", "data": data}))

    def refuse(self, status: int, message: str = "no", **headers: str) -> None:
        body = {"code": status, "message": message, "data": None}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer(httpx.Response(status, json=body, headers=named))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        if not answer.is_stream_consumed:
            return answer
        # One answer may be queued several times, but httpx uses each up.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]

    @property
    def calls(self) -> list[str]:
        return [request.url.path.split("/")[3] for request in self.requests]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    # Looked up at each call: a test puts another `sleep` into a service.
    def _sleep(self, seconds: float) -> None:
        self.sleep(seconds)

    async def _asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Answer every request of httpx, and let clients wait in virtual time."""
        timing = Timing(
            monotonic=lambda: self.now,
            wall=lambda: self.now,
            rng=Random(7),  # noqa: S311 - jitter
            sleep=self._sleep,
            asleep=self._asleep,
        )
        with ExitStack() as stack:
            stack.callback(set_default_timing, set_default_timing(timing))
            router = stack.enter_context(respx.mock(assert_all_called=False))
            router.route().mock(side_effect=self.handle)
            yield

    def call(self, method: str, *args: Any, client: dict[str, Any] | None = None, **kw: Any) -> Any:
        """Call a method of a new client and return its result."""
        options: dict[str, Any] = {"api_key": KEY, "base_url": BASE, "http_client": HTTP[self.kind]}
        options |= client or {}
        if self.kind == "sync":
            with Apixo(**options) as sync_client:
                return getattr(sync_client, method)(*args, **kw)

        async def run() -> Any:
            async with AsyncApixo(**options) as async_client:
                return await getattr(async_client, method)(*args, **kw)

        return asyncio.run(run())


@pytest.fixture(params=["sync", "async"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    played = Service(request.param)
    with played.playing():
        yield played


@pytest.fixture(scope="session")
def new_service() -> Callable[[str], Service]:
    """For properties, which need a new service for each example."""
    return Service


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APIXO_API_KEY", raising=False)
    monkeypatch.delenv("APIXO_BASE_URL", raising=False)
