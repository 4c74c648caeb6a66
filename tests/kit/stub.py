"""A small target for the kit: it keeps the contract, in process on a virtual clock or on a port."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

from apixo_contract import Run, Settings, expect, observe, settle
from apixo_schemas import contract

KEY = "sk-kit-0123456789abcdef"
ORIGIN = "http://kit.invalid"
BASE = f"{ORIGIN}/api/v1"
IMAGE = "https://example.com/kit/input.jpg"
FAILING_IMAGE = "https://example.com/kit/no-picture.txt"
_START_S = 1_767_965_610.929


class Clock:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.now_s = _START_S

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Task:
    id: str
    made_s: float
    resolution: str
    output_format: str
    fails: bool


class Stub(httpx.BaseTransport):
    """Answers calls of the API; subclasses bend one method."""

    seconds = 1.5

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.tasks: dict[str, Task] = {}
        self.balance = Decimal(100)
        self.threads: list[Thread] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        path = request.url.path
        if path.startswith("/files/"):
            task_id, _, kind = path.removeprefix("/files/").partition(".")
            return httpx.Response(200, content=picture(kind, self.tasks[task_id].resolution))
        status, body = self.answer(request, path.removeprefix("/api/v1"))
        return httpx.Response(status, json=body)

    def answer(self, request: httpx.Request, path: str) -> tuple[int, dict[str, Any]]:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return refused(401, "Who are you?")
        if path == "/generateTask/image-upscaler":
            return self.submit(request.content)
        if path == "/statusTask/image-upscaler":
            task = self.tasks.get(request.url.params.get("taskId", ""))
            return refused(404, "What task?") if task is None else success(self.shown(task))
        if path == "/apikeys/current-balance":
            return success(float(self.balance))
        return refused(404, "What is that?")

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        try:
            body = json.loads(content)
        except ValueError:
            return refused(400, "That is no JSON.")
        broken = expect(body).broken
        if broken:
            return refused(400, broken[0].message)
        asked = body["input"]
        wanted = asked.get("output_format") or "jpg"
        task = Task(
            id=f"a{len(self.tasks) + 1:031x}",
            made_s=self.clock(),
            resolution=(asked.get("resolution") or "4k").lower(),
            output_format=contract().format_aliases.get(wanted, wanted),
            fails=asked["image_urls"] != [IMAGE],
        )
        self.tasks[task.id] = task
        self.balance -= Decimal("0.01")
        if body.get("request_type") == "callback":
            self.call_back(task, body["callback_url"])
        return success({"taskId": task.id})

    def shown(self, task: Task) -> dict[str, Any]:
        share = (self.clock() - task.made_s) / self.seconds
        made, done = round(task.made_s * 1000), round((task.made_s + self.seconds) * 1000)
        data: dict[str, Any] = {"taskId": task.id, "createTime": made}
        if share < 1:
            return {**data, "state": "pending" if share < 0.1 else "processing"}
        if task.fails:
            failure = {"failCode": "ImageFormatIncorrect", "failMsg": "What picture?"}
            return {**data, "state": "failed", **failure, "completeTime": done}
        url = f"{self.origin}/files/{task.id}.{task.output_format}"
        result = json.dumps({"resultUrls": [url]})
        times = {"completeTime": done, "costTime": done - made}
        return {**data, "state": "success", "resultJson": result, **times}

    def call_back(self, task: Task, url: str) -> None:
        """Post the final answer, from a thread that waits for it."""

        def deliver() -> None:
            time.sleep(self.seconds + 0.01)
            _, body = success(self.shown(task))
            with suppress(httpx.TransportError):  # the run was stopped
                httpx.post(url, json=body, trust_env=False)

        thread = Thread(target=deliver)
        self.threads.append(thread)
        thread.start()

    origin = ORIGIN


def success(data: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"code": 200, "message": "success", "data": data}


def refused(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"code": status, "message": message, "data": None}


def picture(kind: str, resolution: str) -> bytes:
    """The head of a picture three units wide and two high."""
    width = contract().long_edge_px[resolution]
    height = width * 2 // 3
    if kind == "png":
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)
    if kind == "webp":
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + sides
    frame = b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", height, width)
    return b"\xff\xd8\xff\xe0\0\x04ab" + frame + bytes(9)


def settings(**given: Any) -> Settings:
    options = {"image_url": IMAGE, "failing_image_url": FAILING_IMAGE, "seed": 1, "examples": 1}
    return settle(BASE, KEY, {**options, "in_process": True, **given})


def observed(stub: type[Stub] = Stub, **given: Any) -> Run:
    """A run of the kit against a stub, on a virtual clock."""
    clock = Clock()
    return observe(settings(**given), transport=stub(clock), sleep=clock.sleep, clock=clock)


@contextmanager
def serving(stub: type[Stub] = Stub) -> Iterator[str]:
    """Serve a stub on a free port, in real time and quickly; gives its base URL."""
    target = stub(time.time)
    target.seconds = 0.2

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: in two, each answer waits for the other side's system.
        wbufsize = -1

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = list(self.headers.items())
            url = f"{target.origin}{self.path}"
            answer = target.handle_request(
                httpx.Request(self.command, url, headers=headers, content=content)
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_GET  # noqa: N815 - the parent's way of naming

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        target.origin = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{target.origin}/api/v1"
        finally:
            server.shutdown()
            for running in (thread, *target.threads):
                running.join()
