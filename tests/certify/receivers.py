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
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from apixo_client import CallbackError, parse_callback

_MOST_BYTES = 1024 * 1024
_POLL_S = 0.05


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
        response = self.api.get("/statusTask/image-upscaler", params={"taskId": task_id})
        if response.status_code == 503:
            return {"state": "not known now"}
        return response.json()["data"] if response.status_code == 200 else None

    def download(self, data: dict[str, Any]) -> None:
        for url in json.loads(data["resultJson"])["resultUrls"]:
            self.api.get(url)


class _Careless(Receiver):
    """Reads the body itself, in a way that a subclass gets wrong."""

    def receive(self, body: bytes) -> None:
        data = self.read(body)
        if data is not None:
            self.inbox.put(data["taskId"])

    def read(self, body: bytes) -> dict[str, Any] | None:
        return _as_callback(body)


class TakesInEveryDelivery(Receiver):
    case = "duplicate.twice"

    def take(self, task_id: str) -> None:
        self.taken.clear()
        super().take(task_id)


class WorksLater(Receiver):
    """Correct, with a queue that pauses for longer than the certifier waits at least."""

    def take(self, task_id: str) -> None:
        time.sleep(0.9)
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


class AsksForTheHeadersFirst(Receiver):
    """Correct, and downloads in parts."""

    def download(self, data: dict[str, Any]) -> None:
        for url in json.loads(data["resultJson"])["resultUrls"]:
            self.api.head(url)
            for part in ("bytes=0-99", "bytes=100-"):
                self.api.get(url, headers={"Range": part}).raise_for_status()


class RemembersTheLastTaskOnly(Receiver):
    case = "interleaved"

    def take(self, task_id: str) -> None:
        if task_id not in self.taken:
            self.taken.clear()
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


class DownloadsForEveryUse(Receiver):
    case = "success"

    def download(self, data: dict[str, Any]) -> None:
        super().download(data)
        super().download(data)


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


class DropsCallbacksThatComeEarly(Receiver):
    case = "early.processing"

    def take(self, task_id: str) -> None:
        data = self.ask(task_id)
        if data is not None and data["state"] == "success":
            super().take(task_id)


class RefusesLateCallbacks(Receiver):
    case = "late.hour"

    def receive(self, body: bytes) -> None:
        data = json.loads(body)["data"] if parse_callback(body) else {}
        now = self.api.get("/statusTask/image-upscaler?taskId=x", headers={}).headers["date"]
        assert now
        clock = self.api.get(str(self.api.base_url).replace("/api/v1/", "/_emulator/clock")).json()
        if clock["now"] - data["completeTime"] > 30 * 60 * 1000:
            raise CallbackError("the callback is too old")
        super().receive(body)


class RespondsWithNoContent(Receiver):
    case = "success"

    def respond(self, request: Request, body: bytes) -> Response:
        response = super().respond(request, body)
        return Response(status_code=204) if response.status_code == 200 else response


class RedirectsToASlash(Receiver):
    case = "success"

    def respond(self, request: Request, _body: bytes) -> Response:
        return RedirectResponse(f"{request.url.path}/", 307)


class WorksInsideTheRequest(Receiver):
    case = "success"
    verdict = "warn"
    slow_s = 0.2

    async def hook(self, request: Request) -> Response:
        await asyncio.sleep(0.3)  # the slow response is the defect
        return await super().hook(request)


class ServesTenAtOnce(Receiver):
    case = "fifty"

    async def hook(self, request: Request) -> Response:
        if self.inbox.qsize() > 3:
            return PlainTextResponse("busy", 503)
        return await super().hook(request)

    def take(self, task_id: str) -> None:
        time.sleep(0.2)  # longer than the next delivery takes to arrive
        super().take(task_id)


class MarksBeforeItStores(Receiver):
    """Works in the request; a retry after its own 500 is taken for a repetition."""

    case = "retry.error"

    def respond(self, request: Request, body: bytes) -> Response:
        try:
            task_id = parse_callback(body).id
            if task_id in self.taken:
                return PlainTextResponse("known")
            self.taken.add(task_id)
            self.api.get(
                "/statusTask/image-upscaler", params={"taskId": task_id}
            ).raise_for_status()
        except httpx.HTTPError as error:
            return PlainTextResponse(str(error), 500)
        except CallbackError:
            return super().respond(request, body)
        self.taken.discard(task_id)
        return super().respond(request, body)


class AcceptsAndForgets(Receiver):
    """Accepts the delivery, and drops the task when its poll fails."""

    case = "retry.error"
    verdict = "warn"

    def ask(self, task_id: str) -> dict[str, Any] | None:
        response = self.api.get("/statusTask/image-upscaler", params={"taskId": task_id})
        return response.json()["data"] if response.status_code == 200 else None


class AnswersGet(Receiver):
    case = "malformed.get"
    verdict = "warn"
    methods: ClassVar[list[str]] = ["GET", "POST"]

    def respond(self, request: Request, body: bytes) -> Response:
        return (
            PlainTextResponse("alive")
            if request.method == "GET"
            else super().respond(request, body)
        )


class TakesNoLengthForEmpty(Receiver):
    case = "transport.chunked"

    async def hook(self, request: Request) -> Response:
        if "content-length" not in request.headers:
            return self.respond(request, b"")
        return await super().hook(request)


class DemandsALength(Receiver):
    case = "transport.chunked"
    verdict = "warn"

    async def hook(self, request: Request) -> Response:
        if "content-length" not in request.headers:
            return PlainTextResponse("length required", 411)
        return await super().hook(request)


class SpeaksHttp11Only(Receiver):
    case = "transport.http-1-0"

    async def hook(self, request: Request) -> Response:
        if request.scope["http_version"] == "1.0":
            return PlainTextResponse("HTTP/1.1 only", 505)
        return await super().hook(request)


class RefusesExpect(Receiver):
    case = "transport.expect-continue"

    async def hook(self, request: Request) -> Response:
        if "expect" in request.headers:
            return PlainTextResponse("no expectations", 417)
        return await super().hook(request)


class StaysBrokenAfterAnError(Receiver):
    case = "malformed.text"
    broken = False

    def respond(self, request: Request, body: bytes) -> Response:
        response = super().respond(request, body)
        self.broken = self.broken or response.status_code == 400
        return PlainTextResponse("broken", 400) if self.broken else response


def careless(
    name: str, case: str, read: Callable[[bytes], dict[str, Any] | None]
) -> type[Receiver]:
    """A receiver that reads the body so; what it does not expect becomes a 500."""
    return type(name, (_Careless,), {"case": case, "read": staticmethod(read)})


def _plain(body: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(body)["data"]
    return data


def _as_callback(body: bytes) -> dict[str, Any]:
    parse_callback(body)
    return _plain(body)


def _with_result(body: bytes) -> dict[str, Any]:
    return {**_as_callback(body), "url": json.loads(_plain(body)["resultJson"])["resultUrls"][0]}


def _success_with_result(body: bytes) -> dict[str, Any] | None:
    data = _lenient(body)
    if data.get("state") == "success":
        json.loads(data["resultJson"])["resultUrls"][0]
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


def _known_code(body: bytes) -> dict[str, Any]:
    data = _lenient(body)
    if data.get("state") == "failed":
        {"ImageFormatIncorrect": 1, "SensitiveContent": 2, "RateLimited": 3, "Timeout": 4, "Unknown error": 5}[data["failCode"]]  # fmt: skip
    return data


def _known_fields(body: bytes) -> dict[str, Any]:
    data = _lenient(body)
    known = {
        "taskId",
        "state",
        "resultJson",
        "failCode",
        "failMsg",
        "createTime",
        "completeTime",
        "costTime",
    }
    assert set(data) <= known
    return data


def _known_state(body: bytes) -> dict[str, Any]:
    data = _lenient(body)
    assert data.get("state", "failed") in {"pending", "processing", "success", "failed"}
    return data


def _with_cost(body: bytes) -> dict[str, Any]:
    data = _lenient(body)
    assert data.get("state") != "success" or data["costTime"] > 0
    return data


def _by_text(body: bytes) -> dict[str, Any]:
    data = _lenient(body)
    assert b'"taskId":"' in body
    return data


def _any_json(body: bytes) -> dict[str, Any]:
    """Read JSON however deeply it is nested, and what is no JSON as nothing."""
    try:
        return {**json.loads(body)["data"]}
    except ValueError:
        raise CallbackError("no JSON") from None


def _decoded(body: bytes) -> dict[str, Any]:
    text = body.decode()
    data: dict[str, Any] = _lenient(text.encode())
    return data


CARELESS = [
    careless("FailsOnHalfAJson", "malformed.half", _plain),
    careless("FailsOnText", "malformed.text", _plain),
    careless("FailsOnNothing", "malformed.empty", _plain),
    careless("FailsOnAnArray", "malformed.array", _any_json),
    careless("FailsOnNesting", "malformed.nested", _any_json),
    careless("FailsOnInvalidText", "malformed.utf8", _decoded),
    careless("FailsOnNoData", "content.no-data", _any_json),
    careless("NeedsAResultOfEveryTask", "failed.SensitiveContent", _with_result),
    careless(
        "NeedsAState",
        "content.no-state",
        lambda body: {**_lenient(body), "is": _lenient(body)["state"]},
    ),
    careless("TakesTheFirstUrl", "content.no-urls", _success_with_result),
    careless("ReadsBrokenResults", "content.bad-result", _success_with_result),
    careless("ReadsResultsAsText", "content.result-object", _success_with_result),
    careless("KnowsFiveCodes", "content.unknown-code", _known_code),
    careless("KnowsItsFields", "content.more-fields", _known_fields),
    careless("KnowsFourStates", "content.unknown-state", _known_state),
    careless("NeedsACostTime", "content.no-cost-time", _with_cost),
    careless("LooksForText", "content.escaped", _by_text),
]
DEFECTIVE: list[type[Receiver]] = [
    TakesInEveryDelivery, RemembersTheLastTaskOnly, ChecksBeforeItStores, DownloadsForEveryUse,
    TrustsEveryBody, TrustsAnyOutcomeOfAKnownTask, DropsCallbacksThatComeEarly,
    RefusesLateCallbacks, RespondsWithNoContent, RedirectsToASlash,
    WorksInsideTheRequest, ServesTenAtOnce, AnswersGet, TakesNoLengthForEmpty, DemandsALength, MarksBeforeItStores,
    AcceptsAndForgets, SpeaksHttp11Only,
    RefusesExpect, StaysBrokenAfterAnError, *CARELESS,
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
