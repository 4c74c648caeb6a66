"""Receiving callbacks: the parser, the ASGI receiver, the command, and the README's snippets."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_client import CallbackError, CallbackReceiver, Task, parse_callback
from apixo_schemas import document

README = Path(__file__).parents[2] / "README.md"
SUCCESS: dict[str, Any] = document("status-success.json")["examples"][0]
FAILED: dict[str, Any] = document("status-failed.json")["examples"][0]
BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"{}",
    b'{"data": []}',
    b'{"data": {}}',
    b'{"data": {"taskId": 1}}',
]
URL = "http://receiver.example/webhooks/apixo"


def raw(payload: Any) -> bytes:
    return json.dumps(payload).encode()


def test_a_success_and_a_failure_are_read() -> None:
    done, failed = parse_callback(raw(SUCCESS)), parse_callback(FAILED)
    assert done.result_urls == ("https://file.apixo.ai/upscaled-image.jpg",)
    assert done.cost_time == 41388
    assert (failed.state, failed.fail_code) == ("failed", "Unknown error")


def test_unknown_fields_states_and_codes_are_survived() -> None:
    data = {**FAILED["data"], "failCode": "NEW_CODE", "more": {"x": 1}}
    assert parse_callback({"data": data, "extra": 1}).fail_code == "NEW_CODE"
    odd = parse_callback({"data": {"taskId": "t", "state": "processing_r2"}})
    assert (odd.state, odd.is_final) == ("processing_r2", False)


@pytest.mark.parametrize("body", [*BAD, b" " * (1024 * 1024 + 1)])
def test_what_is_no_callback_is_said_in_words(body: bytes) -> None:
    with pytest.raises(CallbackError, match="expected"):
        parse_callback(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.binary()
    | st.builds(raw, JSON)
    | st.builds(
        lambda d: raw({"data": {"taskId": "t", **d}}),
        st.dictionaries(st.sampled_from(["state", "resultJson", "failCode", "createTime"]), JSON),
    )
)
def test_any_body_is_a_task_or_an_error(body: bytes) -> None:
    with suppress(CallbackError):
        assert isinstance(parse_callback(body), Task)


def receive(
    app: Any, *bodies: bytes, query: str = "", method: str = "POST"
) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            answers = [await client.request(method, URL + query, content=body) for body in bodies]
            if isinstance(app, CallbackReceiver):
                await app.drain()
            return answers

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["function", "coroutine function"])
def test_each_task_is_handed_over_once(kind: str) -> None:
    got: list[Task] = []

    async def later(task: Task) -> None:
        got.append(task)

    receiver = CallbackReceiver(got.append if kind == "function" else later)
    body = raw(SUCCESS)
    assert [answer.status_code for answer in receive(receiver, body, body)] == [200, 200]
    assert [task.id for task in got] == ["task_12345678"]


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


def test_what_a_handler_failed_on_is_handed_over_again(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0

    def broken(_task: Task) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("no database")

    receiver = CallbackReceiver(broken)
    assert receive(receiver, raw(SUCCESS))[0].status_code == 200
    assert receive(receiver, raw(SUCCESS))[0].status_code == 200
    assert calls == 2
    assert "the handler failed on the callback of task task_12345678" in caplog.text


@pytest.mark.parametrize(
    ("method", "body", "query", "status"),
    [
        ("GET", b"", "?secret=s", 405),
        ("POST", b"{", "?secret=s", 400),
        ("POST", b" " * (1024 * 1024 + 1), "?secret=s", 413),
        ("POST", raw(SUCCESS), "", 403),
        ("POST", raw(SUCCESS), "?secret=other", 403),
        ("POST", raw(SUCCESS), "?secret=s", 200),
    ],
)
def test_the_receiver_says_what_it_does_not_take(
    method: str, body: bytes, query: str, status: int
) -> None:
    receiver = CallbackReceiver(lambda _task: None, secret="s")
    assert receive(receiver, body, query=query, method=method)[0].status_code == status


def test_the_receiver_follows_a_server_s_life() -> None:
    sent: list[Any] = []
    came = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def coming() -> Any:
        return next(came)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(CallbackReceiver(print)({"type": "lifespan"}, coming, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def snippet(framework: str) -> dict[str, Any]:
    (code,) = [
        text
        for text in re.findall(
            r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        if framework in text
    ]
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)  # noqa: S102 - the README's own
    return names


def assert_receives(post: Any) -> None:
    answers = [post(body) for body in (raw(SUCCESS), raw(FAILED), raw(SUCCESS), b"{")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400]
    assert "expected" in answers[-1].text


def test_the_receiver_of_the_readme() -> None:
    app = snippet("CallbackReceiver")["app"]
    query = "?secret=put-this-into-the-url"
    assert receive(app, raw(SUCCESS), query=query)[0].status_code == 200


def test_fastapi() -> None:
    app = snippet("fastapi")["app"]
    assert_receives(lambda body: receive(app, body)[0])


def post_wsgi(app: Any) -> Any:
    client = httpx.Client(transport=httpx.WSGITransport(app=app))
    return lambda body: client.post(URL, content=body)


def test_flask() -> None:
    assert_receives(post_wsgi(snippet("flask")["app"]))


def test_django() -> None:
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["receiver.example"], SECRET_KEY="test", ROOT_URLCONF=())
    import django

    django.setup()
    view = snippet("django")["apixo"]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": [path("webhooks/apixo", view)]})
    assert_receives(post_wsgi(WSGIHandler()))


def listening(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apixo_client", "listen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_listen_prints_each_callback_once_and_ends_with_0(number: int) -> None:
    process = listening("--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().rpartition(" ")[2].strip()
    hostile = {"data": {"taskId": "t\x1b[2J", "state": "failed", "failCode": "X", "failMsg": "m"}}
    statuses = [
        httpx.post(url, content=body).status_code
        for body in (raw(SUCCESS), raw(SUCCESS), raw(FAILED), raw(hostile), b"{")
    ]
    assert statuses == [200, 200, 200, 200, 400]
    assert httpx.post(url, content=iter([b"x"])).status_code == 413
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.splitlines() == [
        "success task_12345678 https://file.apixo.ai/upscaled-image.jpg",
        "failed t\\x1b[2J X m",
    ]
    assert "not a callback: expected" in err


def test_a_busy_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = listening("--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "choose another --port" in err
