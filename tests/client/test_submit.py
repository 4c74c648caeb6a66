"""What a submit sends, and when it is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from apixo_client import (
    ApiError,
    ImageFileError,
    InvalidResponseError,
    ServerError,
    TaskState,
    UncertainSubmitError,
)
from apixo_schemas import document

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "https://example.com/input.jpg"
UNCERTAIN = (
    "may have been accepted and charged, so the submit was not repeated; compare the balance"
)


def test_the_smallest_submit_is_the_documented_example(service: Any) -> None:
    service.accept("task_12345678")
    task = service.call("submit", IMAGE)
    assert (task.id, task.state, task.is_final) == ("task_12345678", TaskState.PENDING, False)
    assert service.bodies == [document("submit-request.json")["examples"][0]]
    request = service.requests[0]
    assert (request.method, request.url.path) == ("POST", "/api/v1/generateTask/image-upscaler")
    assert request.headers["Authorization"] == "Bearer sk-live-0123456789"
    assert request.headers["Content-Type"] == "application/json"


def test_a_callback_url_asks_for_delivery(service: Any) -> None:
    service.accept()
    service.call("submit", IMAGE, callback_url="https://me.example/hook")
    body = service.bodies[0]
    assert (body["request_type"], body["callback_url"]) == ("callback", "https://me.example/hook")


def test_a_local_file_of_an_unknown_format_costs_nothing(service: Any, tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"\.jpg, \.png, \.webp, \.jpeg"):
        service.call("submit", tmp_path / "in.gif")
    with pytest.raises(FileNotFoundError):
        service.call("submit", tmp_path / "missing.png")
    assert service.requests == []


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.ConnectError("Connection refused"),
        httpx.ConnectTimeout("too slow"),
        httpx.Response(429),
        httpx.Response(200, json={"code": 429, "message": "slow down", "data": None}),
    ],
    ids=["refused", "not connected", "429", "429 in the envelope"],
)
def test_what_was_surely_not_accepted_is_sent_again(service: Any, refusal: Any) -> None:
    service.answer(refusal, refusal)
    service.accept()
    assert service.call("submit", IMAGE).id == "task_1"
    assert len(service.requests) == 3
    assert len(service.slept) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507])
def test_a_server_error_is_not_paid_for_twice(service: Any, status: int) -> None:
    service.refuse(status)
    with pytest.raises(ServerError, match=UNCERTAIN) as caught:
        service.call("submit", IMAGE)
    assert (caught.value.status, len(service.requests)) == (status, 1)
    assert "Retry" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 200}, InvalidResponseError),
        ({"status_code": 202, "content": b"<html>"}, InvalidResponseError),
        ({"status_code": 200, "json": {"code": 500, "message": "m"}}, ServerError),
        ({"status_code": 200, "json": {"code": 0, "message": "m"}}, ApiError),
    ],
)
def test_the_error_of_a_submit_that_may_run_says_so(
    service: Any, answer: dict[str, Any], kind: type[ApiError]
) -> None:
    service.answer(httpx.Response(**answer))
    with pytest.raises(kind, match=UNCERTAIN):
        service.call("submit", IMAGE)
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [307, 400, 401, 402, 409])
def test_the_error_of_a_submit_that_was_refused_does_not(service: Any, status: int) -> None:
    service.refuse(status)
    with pytest.raises(ApiError) as caught:
        service.call("submit", IMAGE)
    assert "accepted" not in str(caught.value)


@pytest.mark.parametrize("lost", [httpx.ReadTimeout(""), httpx.RemoteProtocolError("Cut off.")])
def test_a_lost_answer_is_told_apart_and_not_paid_for_twice(service: Any, lost: Exception) -> None:
    service.answer(lost)
    with pytest.raises(UncertainSubmitError, match=UNCERTAIN) as caught:
        service.call("submit", IMAGE)
    assert ".." not in str(caught.value)
    assert caught.value.__cause__ is lost
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "data", [None, {}, {"taskId": ""}, {"taskId": " "}, {"taskId": 5}, ["task_1"], "task_1"]
)
def test_an_accepted_submit_without_a_task_is_an_error(service: Any, data: Any) -> None:
    service.data(data)
    with pytest.raises(InvalidResponseError, match="names no task") as caught:
        service.call("submit", IMAGE)
    assert UNCERTAIN in str(caught.value)
    assert (caught.value.status, caught.value.code) == (200, 200)


def test_a_redirect_does_not_carry_the_key_away(service: Any) -> None:
    service.answer(httpx.Response(307, headers={"Location": "https://evil.test/"}))
    with pytest.raises(ApiError, match=r"307: Redirected to https://evil\.test/") as caught:
        service.call("submit", IMAGE)
    assert (caught.value.status, len(service.requests)) == (307, 1)


@pytest.mark.parametrize("image", ["photos/input.jpg", "", "C:\\photos\\input.jpg", ":"])
def test_a_text_that_is_no_url_is_not_sent_since_it_would_be_charged(
    service: Any, image: str
) -> None:
    with pytest.raises(ImageFileError, match=r"pass pathlib\.Path"):
        service.call("submit", image)
    assert service.requests == []


def test_an_empty_text_is_not_taken_for_the_default(service: Any) -> None:
    service.refuse(400)
    with pytest.raises(ApiError):
        service.call("submit", IMAGE, resolution="", output_format="", callback_url="")
    body = service.bodies[0]
    assert (body["input"]["resolution"], body["input"]["output_format"]) == ("", "")
    assert (body["request_type"], body["callback_url"]) == ("callback", "")
