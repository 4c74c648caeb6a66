"""Polling: its pace, its patience, and what ends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from apixo_client import (
    ImageFormatIncorrectError,
    InvalidResponseError,
    Pace,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    Task,
    TaskFailed,
    TaskState,
    TaskTimeoutError,
    UnknownFailureError,
    WaitTimeout,
)
from apixo_schemas import contract

IMAGE = "https://example.com/input.jpg"


def within(seconds: float, bounds_ms: tuple[int, int]) -> bool:
    return bounds_ms[0] / 1000 <= seconds <= bounds_ms[1] / 1000


@pytest.mark.parametrize(
    ("resolution", "poll"),
    [
        (None, contract().polling.normal),
        ("2k", contract().polling.normal),
        ("8K", contract().polling.heavy),
    ],
)
def test_upscale_polls_as_documented(service: Any, resolution: str | None, poll: Any) -> None:
    seen: list[Task] = []
    service.accept()
    service.state("pending")
    service.state("processing")
    service.succeed()
    result = service.call("upscale", IMAGE, resolution=resolution, on_progress=seen.append)
    assert result.url == "https://files.test/out.webp"
    assert within(service.slept[0], poll.first_ms)
    assert [within(pause, poll.interval_ms) for pause in service.slept[1:]] == [True, True]
    assert len(set(service.slept)) == 3
    assert [task.state for task in seen] == ["pending", "pending", "processing", "success"]
    assert service.requests[1].url.params["taskId"] == "task_1"


def test_a_result_tells_of_its_task(service: Any) -> None:
    service.accept()
    service.succeed()
    task = service.call("upscale", IMAGE).task
    assert (task.id, task.state, task.is_final) == ("task_1", TaskState.SUCCESS, True)
    assert task.created_at == datetime(2026, 1, 9, 13, 33, 30, 929000, tzinfo=UTC)
    assert task.completed_at == datetime(2026, 1, 9, 13, 34, 12, 317000, tzinfo=UTC)
    assert task.cost_time == 41388
    # Beyond the calendar
    assert Task("t", create_time=10**30).created_at is None


def test_a_pace_of_ones_own(service: Any) -> None:
    service.accept()
    service.state("processing")
    service.succeed()
    service.call("upscale", IMAGE, client={"pace": Pace.every(0.25)})
    assert service.slept == [0.25, 0.25]


def test_a_task_of_old_is_asked_for_at_once(service: Any) -> None:
    service.succeed()
    service.call("wait", "task_1")
    assert service.slept == []


def test_a_finished_task_is_not_asked_for_again(service: Any) -> None:
    done = Task("t", TaskState.SUCCESS, result_urls=("https://files.test/x.jpg",))
    assert service.call("wait", done).url == "https://files.test/x.jpg"
    assert service.requests == []


def test_the_case_of_a_state_does_not_matter(service: Any) -> None:
    service.state("Processing")
    assert service.call("status", "task_1").state is TaskState.PROCESSING


@pytest.mark.parametrize(
    ("code", "kind"),
    [("Timeout", TaskTimeoutError), ("Brand New", UnknownFailureError), (3, UnknownFailureError)],
)
def test_a_failed_task_has_its_exception(service: Any, code: Any, kind: type[TaskFailed]) -> None:
    service.accept()
    service.state("failed", failCode=code, failMsg="told by the service")
    with pytest.raises(kind) as caught:
        service.call("upscale", IMAGE)
    error = caught.value
    assert error.code == (code if isinstance(code, str) else None)
    assert error.message == "told by the service"
    assert error.task is not None
    assert (error.task.id, error.task.state) == ("task_1", TaskState.FAILED)
    assert error.request is not None


def test_a_failure_without_a_message_is_explained_by_the_contract(service: Any) -> None:
    service.state("failed", failCode="ImageFormatIncorrect")
    known = contract().failures["ImageFormatIncorrect"]
    with pytest.raises(ImageFormatIncorrectError) as caught:
        service.call("wait", "task_1")
    assert caught.value.message == known.meaning
    assert known.advice in str(caught.value)


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(429),
        httpx.Response(502, html="<html>Bad Gateway</html>"),
        httpx.Response(200, html="<html>maintenance</html>"),
        httpx.Response(200, json={"code": 502, "message": "upstream", "data": None}),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("reset"),
        httpx.DecodingError("bad gzip"),
    ],
    ids=str,
)
def test_trouble_in_passing_is_survived(service: Any, trouble: Any) -> None:
    service.accept()
    service.answer(trouble, trouble)
    service.state("processing")
    service.succeed()
    assert service.call("upscale", IMAGE).task.is_final
    assert service.calls.count("statusTask") == 4


def test_lasting_trouble_is_told_with_the_task(service: Any) -> None:
    service.accept()
    for _ in range(3):
        service.refuse(502)
    with pytest.raises(ServerError) as caught:
        service.call("upscale", IMAGE, client={"retry": RetryPolicy(attempts=3)})
    assert caught.value.task is not None
    assert caught.value.task.id == "task_1"


def test_the_time_to_wait_ends_after_a_last_poll(service: Any) -> None:
    service.accept()
    for _ in range(9):
        service.state("processing")
    started = service.now
    with pytest.raises(WaitTimeout, match="still processing") as caught:
        service.call("upscale", IMAGE, timeout=22)
    assert service.now == started + 22
    assert caught.value.task is not None
    assert caught.value.task.state is TaskState.PROCESSING
    assert service.requests[-1].url.path.startswith("/api/v1/statusTask")


def test_the_timeout_bounds_the_submit_too(service: Any) -> None:
    service.refuse(429, Retry_After="14")
    service.refuse(429, Retry_After="14")
    with pytest.raises(RateLimitedError):
        service.call("upscale", IMAGE, timeout=15)
    assert len(service.slept) == 1
    service.refuse(429, Retry_After="14")
    service.accept()
    service.state("processing")
    started = service.now
    with pytest.raises(WaitTimeout, match="after 20 s"):
        service.call("upscale", IMAGE, timeout=20)
    assert service.now == started + 20


@pytest.mark.parametrize("result", [None, "", "{", "[]", "{}", {"resultUrls": [7, ""]}, [], 5])
def test_success_without_a_result_is_an_error_that_keeps_the_task(
    service: Any, result: Any
) -> None:
    service.state("success", resultJson=result)
    with pytest.raises(InvalidResponseError, match="no result URL") as caught:
        service.call("wait", "task_1")
    assert caught.value.task is not None
    assert caught.value.task.id == "task_1"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "message": "success", "data": None},
        {"code": 200, "message": "success"},
        {"code": "200", "data": []},
        {"data": {"state": None}},
    ],
)
def test_a_poll_without_data_is_still_running(service: Any, body: Any) -> None:
    service.answer(httpx.Response(200, json=body))
    task = service.call("status", "task_1")
    assert (task.id, task.state, task.is_final) == ("task_1", "", False)


def test_what_on_progress_raises_comes_through(service: Any) -> None:
    def stop(_task: Task) -> None:
        raise ZeroDivisionError

    service.accept()
    with pytest.raises(ZeroDivisionError):
        service.call("upscale", IMAGE, on_progress=stop)


def test_a_wait_ends_where_a_test_has_frozen_the_clock(service: Any) -> None:
    for _ in range(9):
        service.state("processing")
    service.sleep = service.slept.append
    with pytest.raises(WaitTimeout):
        service.call("wait", "task_1", timeout=22)
    assert sum(service.slept) == pytest.approx(22)


def test_a_pause_that_was_asked_for_is_not_cut_short_by_the_deadline(service: Any) -> None:
    service.refuse(429, Retry_After="60")
    with pytest.raises(WaitTimeout) as caught:
        service.call("wait", "task_1", timeout=30)
    assert service.slept == []
    assert isinstance(caught.value.__cause__, RateLimitedError)


def test_a_good_answer_renews_the_patience(service: Any) -> None:
    for _ in range(4):
        service.refuse(502)
        service.state("processing")
    service.succeed()
    assert service.call("wait", "task_1", client={"retry": RetryPolicy(attempts=2)}).url
