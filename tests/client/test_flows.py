"""The protocol on its own: what a flow asks for, told by hand what came of it."""

from __future__ import annotations

from random import Random
from typing import Any

import httpx
import pytest

from apixo_client import Pace, RetryPolicy, Task, Timing, WaitTimeout
from apixo_client._config import Settings
from apixo_client._flows import Flows, Send, Sleep


def flows(now: list[float]) -> Flows:
    settings = Settings("key", "https://api.test/api/v1")
    random = Random(1)  # noqa: S311 - jitter
    timing = Timing(monotonic=lambda: now[0], wall=lambda: 0.0, rng=random)
    return Flows(settings, RetryPolicy(), Pace((10, 10), (5, 5)), timing)


def answer(data: Any) -> httpx.Response:
    request = httpx.Request("GET", "https://api.test/")
    body = {"code": 200, "message": "success", "data": data}
    return httpx.Response(200, json=body, request=request)


def test_a_wait_step_by_step() -> None:
    flow = flows([0.0]).wait(Task("t"), timeout=100, on_progress=None)
    assert next(flow) == Sleep(10)
    poll = next(flow)
    assert isinstance(poll, Send)
    assert str(poll.request.url) == "https://api.test/api/v1/statusTask/image-upscaler?taskId=t"
    assert flow.send(answer({"state": "processing"})) == Sleep(5)
    assert isinstance(next(flow), Send)
    pause = flow.throw(httpx.ReadTimeout("slow"))
    assert isinstance(pause, Sleep)
    assert 0 <= pause.seconds <= 1
    assert isinstance(next(flow), Send)
    with pytest.raises(StopIteration) as done:
        flow.send(answer({"state": "success", "resultJson": '{"resultUrls":["https://r.test/"]}'}))
    assert done.value.value.result_urls == ("https://r.test/",)


def test_the_last_pause_is_cut_to_the_deadline() -> None:
    now = [0.0]
    flow = flows(now).wait(Task("t"), timeout=12, on_progress=None)
    assert next(flow) == Sleep(10)
    now[0] = 10.0
    next(flow)
    assert flow.send(answer({"state": "processing"})) == Sleep(2)
    now[0] = 12.0
    assert isinstance(next(flow), Send)
    with pytest.raises(WaitTimeout):
        flow.send(answer({"state": "processing"}))


def test_a_task_id_is_quoted_in_the_query() -> None:
    step = next(flows([0.0]).status(Task("a b&c=ü/?")))
    assert isinstance(step, Send)
    assert step.request.url.params["taskId"] == "a b&c=ü/?"


@pytest.mark.parametrize(
    ("task", "pause"),
    [(Task("t"), 10), (Task("t", create_time=1), 0), (Task("t", ""), 0), ("t", 0)],
)
def test_only_a_task_straight_from_a_submit_is_given_time(task: Task | str, pause: float) -> None:
    flow = flows([0.0]).wait(task, timeout=100, on_progress=None)
    assert next(flow) == Sleep(pause)
