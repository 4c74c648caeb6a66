"""The ASGI receiver: what it answers, hands over, drops and keeps."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from apixo_client import CallbackReceiver, Task
from apixo_schemas import document

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SUCCESS: dict[str, Any] = document("callback.json")["examples"][0]
URL = "http://receiver.example/webhooks/apixo"


def raw(payload: Any) -> bytes:
    return json.dumps(payload).encode()


def callback(task_id: str, state: str = "success") -> bytes:
    return raw({"data": {"taskId": task_id, "state": state}})


async def post(app: Any, *bodies: bytes, query: str = "", method: str = "POST") -> list[Any]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        answers = [await client.request(method, URL + query, content=body) for body in bodies]
    if isinstance(app, CallbackReceiver):
        await app.drain()
    return answers


def statuses(app: Any, *bodies: bytes, **options: Any) -> list[int]:
    return [answer.status_code for answer in asyncio.run(post(app, *bodies, **options))]


class Handlers:
    """Handlers of every kind; each notes its tasks."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.threads: set[threading.Thread] = set()

    def function(self, task: Task) -> None:
        self.got.append(task.id)
        self.threads.add(threading.current_thread())

    async def coroutine(self, task: Task) -> None:
        self.function(task)

    def awaitable(self, task: Task) -> Coroutine[Any, Any, None]:
        return self.coroutine(task)

    async def __call__(self, task: Task) -> None:
        self.function(task)


@pytest.mark.parametrize("kind", ["function", "coroutine", "awaitable", "__call__"])
def test_each_task_is_handed_over_once(kind: str) -> None:
    handlers = Handlers()
    receiver = CallbackReceiver(handlers if kind == "__call__" else getattr(handlers, kind))
    assert statuses(receiver, raw(SUCCESS), raw(SUCCESS), callback("t2", "failed")) == [200] * 3
    assert sorted(handlers.got) == ["t2", "task_12345678"]
    # A function may block: it must not hold up the loop.
    assert (threading.main_thread() in handlers.threads) is (kind != "function")


def test_it_answers_before_the_handler_is_done() -> None:
    async def run() -> None:
        release, begun = asyncio.Event(), asyncio.Event()

        async def slow(_task: Task) -> None:
            begun.set()
            await release.wait()

        receiver = CallbackReceiver(slow)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=receiver)) as client:
            answer = await client.post(URL, content=raw(SUCCESS))
        assert answer.status_code == 200
        await begun.wait()
        release.set()
        await receiver.drain()

    asyncio.run(run())


# A future cannot carry a StopIteration out of its thread.
@pytest.mark.parametrize("error", [RuntimeError, StopIteration])
def test_what_a_handler_failed_on_is_handed_over_again(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def broken(_task: Task) -> None:
        nonlocal calls
        calls += 1
        raise error("no database")

    receiver = CallbackReceiver(broken)
    assert [statuses(receiver, callback("a\nb")) for _ in range(2)] == [[200], [200]]
    assert calls == 2
    assert "the handler failed on the callback of task a\\nb" in caplog.text
    assert "no database" in caplog.text


def test_an_end_is_not_taken_for_a_repetition_of_what_came_before_it() -> None:
    came: list[Task] = []
    states = ["processing_r2", "processing_r2", "success", "processing_r2", "success"]
    bodies = [callback("t", state) for state in states]
    assert statuses(CallbackReceiver(came.append), *bodies) == [200] * 5
    assert {task.state for task in came} == {"processing_r2", "success"}
    assert len(came) == 2


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    came: list[str] = []

    async def keep(task: Task) -> None:
        came.append(task.id)

    ids = [f"t{number}" for number in range(10_001)]
    asyncio.run(deliver(CallbackReceiver(keep), [*ids, ids[-1], ids[0]]))
    # The first was forgotten by the time that it came again.
    assert came == [*ids, ids[0]]


async def deliver(receiver: CallbackReceiver, ids: list[str]) -> None:
    async def send(_message: Any) -> None:
        """Ignore the answers."""

    for task_id in ids:
        await receiver(scope(), coming({"type": "http.request", "body": callback(task_id)}), send)
    await receiver.drain()


def scope(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "path": "/", "query_string": b"", **more}


def coming(*messages: Any) -> Callable[[], Coroutine[Any, Any, Any]]:
    left = iter(messages)

    async def receive() -> Any:
        return next(left)

    return receive


@pytest.mark.parametrize(
    ("method", "body", "query", "status"),
    [
        ("GET", b"", "?secret=s%C3%A9", 405),
        ("POST", b"{", "?secret=s%C3%A9", 400),
        ("POST", b" " * (1024 * 1024 + 1), "?secret=s%C3%A9", 413),
        ("POST", raw(SUCCESS), "", 403),
        ("POST", raw(SUCCESS), "?secret=", 403),
        ("POST", raw(SUCCESS), "?secret=other", 403),
        ("POST", raw(SUCCESS), "?secret=s%C3%A9", 200),
    ],
)
def test_the_receiver_says_what_it_does_not_take(
    method: str, body: bytes, query: str, status: int
) -> None:
    came: list[Task] = []
    receiver = CallbackReceiver(came.append, secret="sé")
    (answer,) = asyncio.run(post(receiver, body, query=query, method=method))
    assert answer.status_code == status
    assert answer.text == "ok" if status == 200 else answer.text.startswith("expected")
    assert answer.headers.get("Allow") == ("POST" if status == 405 else None)
    assert len(came) == (status == 200)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="a secret was expected"):
        CallbackReceiver(print, secret="")


@pytest.mark.parametrize(
    ("kind", "messages", "answers"),
    [
        (
            "lifespan",
            ["lifespan.startup", "lifespan.shutdown"],
            ["lifespan.startup.complete", "lifespan.shutdown.complete"],
        ),
        ("http", ["http.request", "http.disconnect"], []),
        ("websocket", [], []),
    ],
)
def test_the_receiver_follows_a_server(kind: str, messages: list[str], answers: list[str]) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    request = coming(*({"type": each, "more_body": True} for each in messages))
    asyncio.run(CallbackReceiver(print)(scope(type=kind), request, send))
    assert sent == answers
