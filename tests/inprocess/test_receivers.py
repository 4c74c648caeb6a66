"""Callbacks are made in process when their time comes, with retries on the emulator's clock."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import flask
import httpx
import pytest
from fastapi import FastAPI, Request

import apixo_emulator
from apixo_client import CallbackReceiver, Task
from apixo_emulator.testing import Callback, InProcess

URL = "https://your-server.com/webhooks/apixo"
CALLED_BACK = {"request_type": "callback", "callback_url": URL}


def attempts(emulator: Any) -> list[tuple[float, str]]:
    start_ms = emulator.tasks[0]["createTime"]
    (delivery,) = emulator.deliveries
    return [
        ((entry["time"] - start_ms) / 1000, entry["error"] or str(entry["status"]))
        for entry in delivery["attempts"]
    ]


def test_a_callback_comes_when_its_time_has_come(app: Any, emulator: InProcess) -> None:
    hook = emulator.receiver(URL)
    task_id = app.submitted(**CALLED_BACK)
    emulator.advance(seconds=39)
    assert hook.received == []
    emulator.advance(seconds=1)
    (callback,) = hook.received
    assert (callback.task["taskId"], callback.task["state"]) == (task_id, "success")
    assert callback.url == URL
    assert callback.task == app.poll(task_id)


def test_a_refused_callback_is_made_again_on_the_emulator_s_clock(
    app: Any, emulator: InProcess
) -> None:
    answers = iter([500, 404, 200])
    emulator.receiver(URL, lambda _: next(answers))
    app.submitted(**CALLED_BACK)
    emulator.advance(hours=1)
    assert attempts(emulator) == [
        (40, "expected the status 200, received 500"),
        (70, "expected the status 200, received 404"),
        (190, "200"),
    ]
    assert "+70.000s attempt 2: expected the status 200, received 404" in emulator.journal()


def test_without_a_receiver_nothing_is_called_and_words_say_so(app: Any) -> None:
    with apixo_emulator.intercept(callback_retries="30", block_network=True) as emulator:
        app.submitted(**CALLED_BACK)
        emulator.settle()
        assert [at for at, _ in attempts(emulator)] == [40, 70]
        assert (
            "emulator.receiver('https://your-server.com/webhooks/apixo'" in attempts(emulator)[0][1]
        )
        assert emulator.deliveries[0]["state"] == "exhausted"


def test_an_asgi_app_receives(app: Any, emulator: InProcess) -> None:
    server = FastAPI()
    seen: list[str] = []

    @server.post("/webhooks/apixo")
    async def _receive(request: Request) -> None:
        await asyncio.sleep(0)
        seen.append((await request.json())["data"]["state"])

    emulator.receiver("https://your-server.com", server)
    app.submitted(**CALLED_BACK)
    emulator.advance(seconds=41)
    assert (seen, attempts(emulator)) == (["success"], [(40, "200")])


def test_an_asgi_app_receives_in_the_test_s_own_event_loop() -> None:
    came: asyncio.Queue[Task] = asyncio.Queue()
    receiver = CallbackReceiver(came.put)
    body = {"input": {"image_urls": ["https://example.com/in.jpg"]}, **CALLED_BACK}
    submit = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"

    async def run() -> str:
        async with apixo_emulator.intercept() as emulator, httpx.AsyncClient() as client:
            emulator.receiver(URL, receiver)
            await client.post(submit, json=body, headers={"Authorization": "Bearer k"})
            await emulator.aadvance(seconds=41)
            return str((await asyncio.wait_for(came.get(), timeout=60)).state)

    assert asyncio.run(run()) == "success"


def test_a_sync_advance_in_async_code_has_a_loop_of_its_own_for_an_asgi_app() -> None:
    loops: list[object] = []
    body = {"input": {"image_urls": ["https://example.com/in.jpg"]}, **CALLED_BACK}
    submit = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"

    async def receive(callback: Callback) -> None:
        assert callback.task["state"] == "success"
        loops.append(asyncio.get_running_loop())

    async def run() -> None:
        with apixo_emulator.intercept() as emulator:
            emulator.receiver(URL, receive)
            async with httpx.AsyncClient() as client:
                await client.post(submit, json=body, headers={"Authorization": "Bearer k"})
            emulator.advance(seconds=41)
            assert loops
            assert loops[0] is not asyncio.get_running_loop()

    asyncio.run(run())


def test_a_wsgi_app_receives(app: Any, emulator: InProcess) -> None:
    server = flask.Flask("receiver")
    seen: list[str] = []

    @server.post("/webhooks/apixo")
    def _receive() -> str:
        seen.append(flask.request.get_json()["data"]["state"])
        return "ok"

    emulator.receiver(URL, server)
    app.submitted(**CALLED_BACK)
    emulator.advance(seconds=41)
    assert (seen, attempts(emulator)) == (["success"], [(40, "200")])


def test_a_receiver_that_raises_has_answered_500(
    app: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with apixo_emulator.intercept(callback_retries="") as emulator:
        emulator.receiver(URL, Mock(side_effect=KeyError("no such order")))
        app.submitted(**CALLED_BACK)
        emulator.advance(seconds=41)
        assert attempts(emulator) == [(40, "the receiver raised KeyError: 'no such order'")]
        assert emulator.deliveries[0]["attempts"][0]["status"] == 500
        assert "KeyError: 'no such order'" in caplog.text


def test_a_receiver_may_play_one_that_answers_too_late(app: Any) -> None:
    with apixo_emulator.intercept(callback_retries="") as emulator:
        emulator.receiver(URL, Mock(side_effect=TimeoutError))
        app.submitted(**CALLED_BACK)
        emulator.advance(seconds=41)
        assert attempts(emulator) == [(40, f"{URL} did not answer within 30 s")]


def test_a_receiver_may_call_the_api(app: Any, emulator: InProcess) -> None:
    states: list[str] = []
    emulator.receiver(URL, lambda callback: states.append(app.state(callback.task["taskId"])))
    app.submitted(**CALLED_BACK)
    emulator.advance(seconds=41)
    assert states == ["success"]


def test_the_end_of_a_task_by_hand_calls_back_at_once(app: Any, emulator: InProcess) -> None:
    hook = emulator.receiver(URL)
    task_id = app.submitted(**CALLED_BACK)
    emulator.finish(task_id, fail_code="Timeout")
    assert hook.received[0].task["failCode"] == "Timeout"
    emulator.redeliver(task_id)
    assert len(hook.received) == 2


def test_a_receiver_takes_its_url_and_what_is_below(app: Any, emulator: InProcess) -> None:
    hook = emulator.receiver(URL)
    for url in (URL, f"{URL}/more?secret=1", f"{URL}2", URL.replace("https", "http")):
        app.submitted(**{**CALLED_BACK, "callback_url": url})
    emulator.advance(seconds=41)
    assert [callback.url for callback in hook.received] == [URL, f"{URL}/more?secret=1"]


@pytest.mark.parametrize(
    ("url", "app_given", "words"),
    [
        ("your-server.com", None, "expected http"),
        (URL, lambda a, b, c, d: (a, b, c, d), "takes 4 arguments"),
    ],
)
def test_what_is_no_receiver_is_refused(url: str, app_given: Any, words: str) -> None:
    with apixo_emulator.intercept() as emulator, pytest.raises(ValueError, match=words):
        emulator.receiver(url, app_given)
