"""The clock stands; it is moved by hand, by polls in vain, and by sleeping."""

from __future__ import annotations

import asyncio
import json
import time
from time import sleep
from typing import Any

import httpx
import pytest

import apixo_emulator
from apixo_client import Apixo, WaitTimeout
from apixo_emulator.testing import InProcess, WaitedInVainError

IMAGE = "https://example.com/in.jpg"


def test_the_clock_stands_until_it_is_advanced(app: Any) -> None:
    with apixo_emulator.intercept(auto_advance=False) as emulator:
        task_id = app.submitted()
        assert [app.state(task_id) for _ in range(5)] == ["pending"] * 5
        emulator.advance(seconds=39)
        assert app.state(task_id) == "processing"
        emulator.advance(seconds=1)
        assert app.state(task_id) == "success"
        assert app.poll(task_id)["costTime"] == 40_000


def test_polling_in_vain_moves_the_clock_from_event_to_event(app: Any) -> None:
    with apixo_emulator.intercept():
        task_id = app.submitted()
        assert [app.state(task_id) for _ in range(3)] == ["pending", "processing", "success"]


def test_polling_is_not_in_vain_where_time_has_gone_by(app: Any, emulator: InProcess) -> None:
    task_id = app.submitted()
    app.state(task_id)
    for _ in range(3):
        emulator.advance(seconds=10)
        assert app.state(task_id) == "processing"


def test_a_stuck_task_polled_without_end_is_an_error_and_no_endless_loop(app: Any) -> None:
    with apixo_emulator.intercept(scenario="stuck") as emulator:
        task_id = app.submitted()
        poll = f"https://api.apixo.ai/api/v1/statusTask/image-upscaler?taskId={task_id}"
        headers = {"Authorization": "Bearer k"}
        with httpx.Client() as client, pytest.raises(WaitedInVainError, match=task_id):  # noqa: PT012 - it is the loop that ends
            while True:
                client.get(poll, headers=headers)
        emulator.settle()  # nothing will change any more
        assert emulator.task(task_id)["state"] == "processing"


def poll_until_done(app: Any, task_id: str) -> str:
    while (state := app.state(task_id)) in ("pending", "processing"):
        time.sleep(5)
    return str(state)


def test_sleeping_of_a_caller_is_the_emulator_s_time(app: Any, emulator: InProcess) -> None:
    start_ms = emulator.now_ms
    assert poll_until_done(app, app.submitted()) == "success"
    assert emulator.now_ms - start_ms == 40_000


def test_sleeping_of_other_code_is_real(emulator: InProcess) -> None:
    start_ms = emulator.now_ms
    time.sleep(0.001)
    asyncio.run(asyncio.sleep(0.001))
    assert emulator.now_ms == start_ms


def test_sleep_is_the_emulator_s_time_after_a_block_in_which_a_mock_replaced_it(app: Any) -> None:
    with pytest.MonkeyPatch.context() as mock, apixo_emulator.intercept():
        mock.setattr(time, "sleep", lambda _: None)
    with apixo_emulator.intercept() as emulator:
        app.balance()
        start_ms = emulator.now_ms
        sleep(0.002)  # as it was imported by its name
        time.sleep(0.002)
        assert emulator.now_ms - start_ms == 4


def test_a_result_expires_while_its_caller_sleeps(app: Any) -> None:
    with apixo_emulator.intercept():
        task_id = app.submitted()
        assert poll_until_done(app, task_id) == "success"
        (url,) = json.loads(app.poll(task_id)["resultJson"])["resultUrls"]
        time.sleep(23 * 3600)
        assert app.get(url).status == 200
        time.sleep(2 * 3600)
        assert app.get(url).status == 404


def test_sleeping_for_what_never_comes_is_an_error(app: Any) -> None:
    with (  # noqa: PT012 - it is the loop that ends
        apixo_emulator.intercept(scenario="stuck"),
        pytest.raises(WaitedInVainError, match=r"is processing \(stuck\)"),
    ):
        task_id = app.submitted()
        while app.state(task_id) != "success":
            time.sleep(3600)


def test_sleeping_for_a_stuck_task_is_an_error_after_an_hour(app: Any) -> None:
    with apixo_emulator.intercept(scenario="stuck") as emulator:
        start_ms = emulator.now_ms
        task_id = app.submitted()
        with pytest.raises(WaitedInVainError, match=rf"{task_id} is processing \(stuck\)"):  # noqa: PT012 - it is the loop that ends
            while app.state(task_id) != "success":
                time.sleep(30)
        assert emulator.now_ms - start_ms == 3_600_000
        emulator.finish(task_id)
        emulator.advance(hours=1)
        for _ in range(200):  # nothing is stuck
            time.sleep(30)


def test_the_client_s_time_limit_passes_in_the_emulator_s_time() -> None:
    with apixo_emulator.intercept(scenario="stuck") as emulator, Apixo(api_key="k") as apixo:
        start_ms = emulator.now_ms
        with pytest.raises(WaitTimeout):
            apixo.upscale(IMAGE, timeout=20)
        assert emulator.now_ms - start_ms == 20_000


def test_a_date_in_retry_after_is_on_the_emulator_s_clock() -> None:
    with apixo_emulator.intercept() as emulator, Apixo(api_key="k") as apixo:
        emulator.scenario("http-429-date", times=1)
        apixo.submit(IMAGE)
        assert emulator.requests[1].at_ms - emulator.requests[0].at_ms < 60_000


def test_the_same_calls_give_the_same_bytes(app: Any) -> None:
    def run() -> list[bytes]:
        with apixo_emulator.intercept(latency="realistic") as emulator:
            task_id = app.submitted()
            emulator.settle()
            app.poll(task_id)
            return [call.response_body for call in emulator.requests]

    assert run() == run()
