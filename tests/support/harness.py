"""An emulator in process, on a clock that the test moves, spoken to as an application would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apixo_emulator.domain.accounts import AccountTerms
from apixo_emulator.domain.pictures import FetchMode, Verdict, quick_verdict
from apixo_emulator.domain.tasks import Latency
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator, Options, WorldOptions
from apixo_emulator.service.control import WorldControl
from apixo_emulator.storage import SqliteStore, Store

PREFIX = "/api/v1"
SUBMIT = f"{PREFIX}/generateTask/image-upscaler"
STATUS = f"{PREFIX}/statusTask/image-upscaler"
BALANCE = f"{PREFIX}/apikeys/current-balance"
KEY = "sk-test-0123456789abcd"
START_MS = 1_767_965_610_929


def body(**given: Any) -> dict[str, Any]:
    """A valid submit body; keyword arguments replace or add parameters of ``input``."""
    asked = {"image_urls": ["https://example.com/input.jpg"], **given}
    return {"request_type": "async", "input": asked}


class Sources:
    """The sources of an offline machine: nothing but what a URL itself tells is known."""

    def __init__(self, verdict: Verdict = Verdict.ABSENT) -> None:
        self.verdict = verdict

    def quick_verdict(self, image_url: str) -> Verdict | None:
        return quick_verdict(image_url, fetch=FetchMode.LOOPBACK, has_folder=False)

    def check(self, task_id: str, image_url: str) -> Verdict:
        assert task_id
        assert image_url
        return self.verdict


@dataclass
class Clock:
    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class Harness:
    emulator: Emulator
    clock: Clock
    base_url: str = "http://127.0.0.1:8787"
    key: str | None = KEY
    extra: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def operator(self) -> WorldControl:
        """The control operations of the default world."""
        return WorldControl(self.emulator)

    def handle(self, request: HttpRequest) -> HttpResponse:
        return self.emulator.handle(request)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        raw: bytes = b"",
        key: str | None = "",
        authorization: str | None = None,
    ) -> Answer:
        headers = list(self.extra)
        used = self.key if key == "" else key
        if authorization is None and used is not None:
            authorization = f"Bearer {used}"
        if authorization is not None:
            headers.append((b"authorization", authorization.encode("latin-1")))
        request = HttpRequest(method, path, query.encode(), headers, raw, self.base_url)
        response = self.handle(request)
        answered = {name.decode(): value.decode() for name, value in response.headers}
        return Answer(response.status, answered, response.body)

    def submit(self, payload: Any = None, **options: Any) -> Answer:
        raw = json.dumps(body() if payload is None else payload).encode()
        return self.call("POST", SUBMIT, raw=raw, **options)

    def submitted(self, payload: Any = None, **options: Any) -> str:
        answer = self.submit(payload, **options)
        assert answer.status == 200, answer.json
        return str(answer.data["taskId"])

    def status(self, task_id: str, **options: Any) -> Answer:
        return self.call("GET", STATUS, query=f"taskId={task_id}", **options)

    def balance(self, **options: Any) -> Answer:
        return self.call("GET", BALANCE, **options)


OPEN: list[Emulator] = []


def close_all() -> None:
    """Close what a test has opened; called after each test."""
    while OPEN:
        OPEN.pop().close()


def make_harness(
    *,
    store: Store | None = None,
    duration_ms: int | None = 1000,
    balance_micros: int = 100_000_000,
    api_keys: frozenset[str] | None = None,
    seed: int | None = 7,
    sources: Sources | None = None,
    clock: Clock | None = None,
    accounts: Mapping[str, AccountTerms] | None = None,
    **worlds: Any,
) -> Harness:
    clock = clock or Clock()
    options = Options(
        latency=Latency(duration_ms),
        balance_micros=balance_micros,
        api_keys=api_keys,
        worlds=WorldOptions(seed=seed, **worlds),
        accounts=accounts or {},
    )
    store = store or SqliteStore(None)
    emulator = Emulator(store, sources or Sources(), options, clock)
    OPEN.append(emulator)
    return Harness(emulator, clock)
