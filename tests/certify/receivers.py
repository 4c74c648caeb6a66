"""A correct receiver, and receivers that have one realistic defect each."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from apixo_client import CallbackError, parse_callback
from apixo_schemas import contract

_MOST_BYTES = 1024 * 1024
_POLL_S = 0.05
_STATUS = "/statusTask/image-upscaler"


class Receiver:
    """Stores the task's id, responds, and lets a thread ask the API and download the result once."""

    # The case that names the defect, and the verdict that it gets.
    case: ClassVar[str] = ""
    verdict: ClassVar[str] = "fail"
    # What the certifier takes for a slow response; only one receiver is judged by the time it takes.
    slow_s: ClassVar[float] = 30.0
    methods: ClassVar[list[str]] = ["POST"]
    threads: ClassVar[int] = 1

    def __init__(self, base_url: str) -> None:
        self.api = httpx.Client(
            base_url=base_url,
            headers={"Authorization": "Bearer application"},
            timeout=60,
            trust_env=False,
        )
        self.inbox: queue.Queue[str | None] = queue.Queue()
        self.taken: set[str] = set()
        self.workers = [threading.Thread(target=self.work) for _ in range(self.threads)]
        for worker in self.workers:
            worker.start()

    def close(self) -> None:
        for _ in self.workers:
            self.inbox.put(None)
        for worker in self.workers:
            worker.join()
        self.api.close()

    # In the request

    async def hook(self, request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BYTES:
                return PlainTextResponse("too large", 413, headers={"Connection": "close"})
        return self.respond(request, body)

    def respond(self, _request: Request, body: bytes) -> Response:
        try:
            self.receive(body)
        except CallbackError as error:
            return PlainTextResponse(str(error), 400)
        return PlainTextResponse("ok")

    def receive(self, body: bytes) -> None:
        self.inbox.put(parse_callback(body).id)

    # In the thread

    def work(self) -> None:
        while (task_id := self.inbox.get()) is not None:
            try:
                self.take(task_id)
            finally:
                self.inbox.task_done()

    def take(self, task_id: str) -> None:
        data = self.ask(task_id)
        if data is None:
            return
        if data["state"] not in {"success", "failed"}:
            time.sleep(_POLL_S)
            self.inbox.put(task_id)
        elif data["state"] == "success" and task_id not in self.taken:
            self.taken.add(task_id)
            self.download(data)

    def ask(self, task_id: str) -> dict[str, Any] | None:
        response = self.api.get(_STATUS, params={"taskId": task_id})
        if response.status_code == 503:
            return {"state": "not known now"}
        return response.json()["data"] if response.status_code == 200 else None

    def download(self, data: dict[str, Any]) -> None:
        for url in json.loads(data["resultJson"])["resultUrls"]:
            self.api.get(url)


class WorksLater(Receiver):
    """Correct, with a queue that pauses for longer than the certifier waits at least."""

    def take(self, task_id: str) -> None:
        time.sleep(0.9)
        super().take(task_id)


class AsksForTheHeadersFirst(Receiver):
    """Correct, and downloads in parts."""

    def download(self, data: dict[str, Any]) -> None:
        for url in json.loads(data["resultJson"])["resultUrls"]:
            self.api.head(url)
            for part in ("bytes=0-99", "bytes=100-"):
                self.api.get(url, headers={"Range": part}).raise_for_status()


class TrustsEveryBody(Receiver):
    case = "forged.unknown"

    def receive(self, body: bytes) -> None:
        task = parse_callback(body)
        if task.state == "success" and task.id not in self.taken:
            self.taken.add(task.id)
            self.download(json.loads(body)["data"])


class ComparesASecret(TrustsEveryBody):
    """Correct: the callback URL has a secret in its query."""

    def respond(self, request: Request, body: bytes) -> Response:
        if request.query_params.get("secret") != "word":
            return PlainTextResponse("forbidden", 403)
        return super().respond(request, body)


class TrustsAnyOutcomeOfAKnownTask(TrustsEveryBody):
    case = "forged.outcome"

    def receive(self, body: bytes) -> None:
        if self.ask(parse_callback(body).id) is not None:
            super().receive(body)


class TakesInEveryDelivery(Receiver):
    case = "duplicate.twice"

    def take(self, task_id: str) -> None:
        self.taken.clear()
        super().take(task_id)


class TakesInEveryDeliveryLater(WorksLater, TakesInEveryDelivery):
    pass


class TakesInTwiceMuchLater(Receiver):
    """Takes a task in again when the next one comes."""

    again = ""

    def take(self, task_id: str) -> None:
        if self.again and task_id != self.again:
            self.taken.clear()
            super().take(self.again)
            self.again = ""
        if task_id in self.taken:
            self.again = task_id
        super().take(task_id)


class ChecksBeforeItStores(Receiver):
    case = "duplicate.together"
    threads = 2

    def __init__(self, base_url: str) -> None:
        self.checked = threading.Barrier(self.threads)
        super().__init__(base_url)

    def take(self, task_id: str) -> None:
        if task_id in self.taken:
            return
        # The race is the defect: another thread checks before this one stores.
        with suppress(threading.BrokenBarrierError):
            self.checked.wait(2)
        self.checked.reset()
        data = self.ask(task_id)
        if data is not None and data["state"] == "success":
            self.taken.add(task_id)
            self.download(data)


class MarksBeforeItStores(Receiver):
    """Works in the request; a retry after its own 500 is taken for a repetition."""

    case = "retry.error"

    def respond(self, request: Request, body: bytes) -> Response:
        try:
            task_id = parse_callback(body).id
            if task_id in self.taken:
                return PlainTextResponse("known")
            self.taken.add(task_id)
            self.api.get(_STATUS, params={"taskId": task_id}).raise_for_status()
        except httpx.HTTPError as error:
            return PlainTextResponse(str(error), 500)
        except CallbackError:
            return super().respond(request, body)
        self.taken.discard(task_id)
        return super().respond(request, body)


class StaysBrokenAfterAnError(Receiver):
    case = "malformed.text"
    broken = False

    def respond(self, request: Request, body: bytes) -> Response:
        response = super().respond(request, body)
        self.broken = self.broken or response.status_code == 400
        return PlainTextResponse("broken", 400) if self.broken else response


def defect(case: str, name: str, **changes: Any) -> type[Receiver]:
    """Return a receiver that differs from a correct one by these methods, and fails the case."""
    return type(name, (Receiver,), {"case": case, **changes})


def responds(
    case: str, name: str, status: int, condition: Callable[[Receiver, Request], bool], **more: Any
) -> type[Receiver]:
    """Return a receiver that responds so to requests that meet a condition."""

    async def hook(self: Receiver, request: Request) -> Response:
        if condition(self, request):
            return Response(status_code=status, headers={"Location": f"{request.url.path}/"})
        return await Receiver.hook(self, request)

    return defect(case, name, hook=hook, **more)


def careless(case: str, name: str, read: Callable[[bytes], object]) -> type[Receiver]:
    """Return a receiver that reads the body so first; what that does not expect becomes a 500."""

    def receive(self: Receiver, body: bytes) -> None:
        read(body)
        self.inbox.put(_lenient(body).get("taskId"))

    return defect(case, name, receive=receive)


# What receivers with one defect do


def take_the_last_task_only(self: Receiver, task_id: str) -> None:
    if task_id not in self.taken:
        self.taken.clear()
    Receiver.take(self, task_id)


def download_twice(self: Receiver, data: dict[str, Any]) -> None:
    Receiver.download(self, data)
    Receiver.download(self, data)


def take_if_it_has_ended(self: Receiver, task_id: str) -> None:
    data = self.ask(task_id)
    if data is not None and data["state"] == "success":
        Receiver.take(self, task_id)


def ask_without_repetition(self: Receiver, task_id: str) -> dict[str, Any] | None:
    response = self.api.get(_STATUS, params={"taskId": task_id})
    return response.json()["data"] if response.status_code == 200 else None


def receive_in_time(self: Receiver, body: bytes) -> None:
    clock = self.api.get(str(self.api.base_url).replace("/api/v1/", "/_emulator/clock")).json()
    if clock["now"] - json.loads(body)["data"]["completeTime"] > 30 * 60 * 1000:
        raise CallbackError("the callback is too old")
    Receiver.receive(self, body)


def respond_with_no_content(self: Receiver, request: Request, body: bytes) -> Response:
    response = Receiver.respond(self, request, body)
    return Response(status_code=204) if response.status_code == 200 else response


async def hook_slowly(self: Receiver, request: Request) -> Response:
    await asyncio.sleep(0.3)  # the slow response is the defect
    return await Receiver.hook(self, request)


def take_slowly(self: Receiver, task_id: str) -> None:
    time.sleep(0.2)  # longer than the next delivery takes to arrive
    Receiver.take(self, task_id)


async def hook_of_a_length(self: Receiver, request: Request) -> Response:
    if "content-length" not in request.headers:
        return self.respond(request, b"")
    return await Receiver.hook(self, request)


def _plain(body: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(body)["data"]
    return data


def _lenient(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise CallbackError("no JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("data"), dict):
        raise CallbackError("no callback")
    data: dict[str, Any] = found["data"]
    return data


def _any_json(body: bytes) -> None:
    """Read JSON however deeply it is nested, and what is no JSON as nothing."""
    with suppress(ValueError):
        {**json.loads(body)["data"]}


def _first_url(data: dict[str, Any]) -> object:
    return json.loads(data["resultJson"])["resultUrls"][0]


def _url_of_success(body: bytes) -> object:
    data = _lenient(body)
    return data.get("state") == "success" and _first_url(data)


def _known_code(body: bytes) -> None:
    data = _lenient(body)
    known = {failure.code for failure in contract().failures.values()}
    assert data.get("state") != "failed" or data["failCode"] in known


def _known_fields(body: bytes) -> None:
    known = "taskId state resultJson failCode failMsg createTime completeTime costTime"
    assert set(_lenient(body)) <= set(known.split())


def _known_state(body: bytes) -> None:
    state = _lenient(body).get("state", "failed")
    assert state in {"pending", "processing", "success", "failed"}


def _with_cost(body: bytes) -> None:
    data = _lenient(body)
    assert data.get("state") != "success" or data["costTime"] > 0


def _by_text(body: bytes) -> None:
    assert _lenient(body)
    assert b'"taskId":"' in body


DEFECTIVE: list[type[Receiver]] = [
    TakesInEveryDelivery, ChecksBeforeItStores, TrustsEveryBody, TrustsAnyOutcomeOfAKnownTask,
    MarksBeforeItStores, StaysBrokenAfterAnError,
    defect("interleaved", "RemembersTheLastTaskOnly", take=take_the_last_task_only),
    defect("success", "DownloadsForEveryUse", download=download_twice),
    defect("early.processing", "DropsCallbacksThatComeEarly", take=take_if_it_has_ended),
    defect("retry.error", "AcceptsAndForgets", ask=ask_without_repetition, verdict="warn"),
    defect("late.hour", "RefusesLateCallbacks", receive=receive_in_time),
    defect("success", "RespondsWithNoContent", respond=respond_with_no_content),
    defect("success", "WorksInsideTheRequest", hook=hook_slowly, verdict="warn", slow_s=0.2),
    defect("transport.chunked", "TakesNoLengthForEmpty", hook=hook_of_a_length),
    responds("success", "RedirectsToASlash", 307, lambda *_: True),
    responds("fifty", "ServesTenAtOnce", 503, lambda self, _: self.inbox.qsize() > 3, take=take_slowly),
    responds(
        "malformed.get", "AnswersGet", 200, lambda _, request: request.method == "GET",
        verdict="warn", methods=["GET", "POST"],
    ),
    responds(
        "transport.chunked", "DemandsALength", 411, lambda _, request: "content-length" not in request.headers,
        verdict="warn",
    ),
    responds(
        "transport.http-1-0", "SpeaksHttp11Only", 505, lambda _, request: request.scope["http_version"] == "1.0"
    ),
    responds("transport.expect-continue", "RefusesExpect", 417, lambda _, request: "expect" in request.headers),
    careless("malformed.half", "FailsOnHalfAJson", _plain),
    careless("malformed.text", "FailsOnText", _plain),
    careless("malformed.empty", "FailsOnNothing", _plain),
    careless("malformed.array", "FailsOnAnArray", _any_json),
    careless("malformed.nested", "FailsOnNesting", _any_json),
    careless("malformed.utf8", "FailsOnInvalidText", bytes.decode),
    careless("content.no-data", "FailsOnNoData", _any_json),
    careless("failed.SensitiveContent", "NeedsAResultOfEveryTask", lambda body: _first_url(_lenient(body))),
    careless("content.no-state", "NeedsAState", lambda body: _lenient(body)["state"]),
    careless("content.no-urls", "TakesTheFirstUrl", _url_of_success),
    careless("content.bad-result", "ReadsBrokenResults", _url_of_success),
    careless("content.result-object", "ReadsResultsAsText", _url_of_success),
    careless("content.unknown-code", "KnowsFiveCodes", _known_code),
    careless("content.more-fields", "KnowsItsFields", _known_fields),
    careless("content.unknown-state", "KnowsFourStates", _known_state),
    careless("content.no-cost-time", "NeedsACostTime", _with_cost),
    careless("content.escaped", "LooksForText", _by_text),
]  # fmt: skip


@contextmanager
def serving_asgi(app: Any, certificate: Path | None = None) -> Iterator[str]:
    """Serve an ASGI application on a free port, by TLS if there is a certificate, and yield the origin."""
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", ws="none", ssl_certfile=certificate
    )
    server = uvicorn.Server(config)
    # Bound before the thread starts, so that no request comes too early.
    listener = config.bind_socket()
    listener.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def serving(receivers: Sequence[Receiver], certificate: Path | None = None) -> Iterator[str]:
    """Serve receivers, each at the name of its class, and yield the origin."""
    routes = [
        Route(f"/{type(each).__name__}", each.hook, methods=each.methods) for each in receivers
    ]
    try:
        with serving_asgi(Starlette(routes=routes), certificate) as origin:
            yield origin
    finally:
        for receiver in receivers:
            receiver.close()
