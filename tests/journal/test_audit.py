"""What calls leave behind: money spent twice, results lost, callbacks not taken, pauses cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import apixo_emulator
from apixo_emulator.testing import InProcess

API = "https://api.apixo.ai/api/v1"
HOOK = "https://your-server.com/hook"


@pytest.fixture
def emulator() -> Iterator[InProcess]:
    with apixo_emulator.intercept() as emulator:
        yield emulator


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": "Bearer k"}) as client:
        yield client


def submit(client: httpx.Client, image: str = "in.jpg", **more: Any) -> httpx.Response:
    asked = {"image_urls": [f"https://example.com/{image}"], "resolution": "2k"}
    body = {"input": asked | more.pop("input", {}), **more}
    return client.post(f"{API}/generateTask/image-upscaler", json=body)


def submitted(client: httpx.Client, image: str = "in.jpg", **more: Any) -> str:
    return str(submit(client, image, **more).json()["data"]["taskId"])


def poll(client: httpx.Client, task_id: str) -> Any:
    query = {"taskId": task_id}
    return client.get(f"{API}/statusTask/image-upscaler", params=query).json()["data"]


def download(client: httpx.Client, task_id: str) -> None:
    (url,) = json.loads(poll(client, task_id)["resultJson"])["resultUrls"]
    client.get(url).raise_for_status()


def found(emulator: InProcess) -> list[str]:
    return [finding.kind.value for finding in emulator.audit()]


def test_nothing_is_left_behind(emulator: InProcess, client: httpx.Client) -> None:
    assert emulator.audit() == []
    task_id = submitted(client)
    emulator.settle()
    download(client, task_id)
    assert emulator.audit() == []


def test_a_task_is_not_followed_to_its_end(emulator: InProcess, client: httpx.Client) -> None:
    task_id = submitted(client)
    poll(client, task_id)
    (finding,) = emulator.audit()
    assert finding.kind == "not-followed"
    assert finding.tasks == (task_id,)
    assert str(finding) == (
        f"task {task_id} (https://example.com/in.jpg) was neither polled to its end nor called back"
    )


def test_a_poll_whose_response_is_lost_tells_nothing(
    emulator: InProcess, client: httpx.Client
) -> None:
    task_id = submitted(client, "emulate/status-reset.jpg")
    emulator.settle()
    with pytest.raises(httpx.ReadError):
        poll(client, task_id)
    assert found(emulator) == ["not-followed"]


def test_a_result_is_not_downloaded(emulator: InProcess, client: httpx.Client) -> None:
    task_id = submitted(client)
    emulator.settle()
    (url,) = json.loads(poll(client, task_id)["resultJson"])["resultUrls"]
    client.head(url)
    assert found(emulator) == ["not-downloaded"]
    client.get(url, headers={"Range": "bytes=0-9"})
    assert found(emulator) == []


@pytest.mark.parametrize("scenario", ["SensitiveContent", "stuck"])
def test_a_task_without_a_result_needs_no_download(
    emulator: InProcess, client: httpx.Client, scenario: str
) -> None:
    task_id = submitted(client, f"emulate/{scenario}.jpg")
    emulator.settle()
    poll(client, task_id)
    assert emulator.audit() == []


def test_a_callback_that_is_accepted_replaces_polling(
    emulator: InProcess, client: httpx.Client
) -> None:
    emulator.receiver(HOOK)
    submitted(client, request_type="callback", callback_url=HOOK)
    emulator.settle()
    assert found(emulator) == ["not-downloaded"]


def test_a_callback_is_not_accepted(emulator: InProcess, client: httpx.Client) -> None:
    emulator.receiver(HOOK, lambda _: 500)
    task_id = submitted(client, request_type="callback", callback_url=HOOK)
    emulator.settle()
    assert found(emulator) == ["not-followed", "callback-not-accepted"]
    download(client, task_id)
    (finding,) = emulator.audit()
    assert finding.text.endswith("received 500")


def test_the_same_picture_is_paid_twice(emulator: InProcess, client: httpx.Client) -> None:
    ids = [submitted(client), submitted(client, input={"output_format": "jpg"})]
    submitted(client, input={"resolution": "4k"})
    submitted(client, "other.jpg")
    (finding,) = [one for one in emulator.audit() if one.kind == "paid-twice"]
    assert finding.tasks == tuple(ids)
    assert finding.calls == (1, 2)
    assert finding.text.startswith("https://example.com/in.jpg in 2k jpg was paid 2 times: ")


def test_a_picture_is_paid_again_after_a_failure(emulator: InProcess, client: httpx.Client) -> None:
    emulator.scenario("Timeout", times=1)
    first = submitted(client)
    emulator.settle()
    assert poll(client, first)["state"] == "failed"
    second = submitted(client)
    emulator.settle()
    download(client, second)
    assert emulator.audit() == []


@pytest.mark.parametrize("length", [100, 100_000])
def test_pictures_with_long_addresses_are_told_apart(
    emulator: InProcess, client: httpx.Client, length: int
) -> None:
    first, second = (f"in.jpg?{'x' * length}{last}" for last in "ab")
    for image in (first, second):
        submitted(client, image)
    assert "paid-twice" not in found(emulator)
    submitted(client, first)
    assert found(emulator).count("paid-twice") == 1


@pytest.mark.parametrize("pause", [0, 1.9, 2])
def test_a_call_is_repeated_too_early(
    emulator: InProcess, client: httpx.Client, pause: float
) -> None:
    emulator.scenario("http-429", times=1)
    assert submit(client).headers["retry-after"] == "2"
    emulator.advance(seconds=pause)
    submit(client)
    early = [one for one in emulator.audit() if one.kind == "repeated-too-early"]
    assert bool(early) == (pause < 2)
    if early:
        assert early[0].calls == (1, 2)
        assert (
            f"repeats call 1 too early, {2 - pause:g} s before its Retry-After has passed"
            in early[0].text
        )


def test_another_call_need_not_wait(emulator: InProcess, client: httpx.Client) -> None:
    emulator.scenario("http-429", times=1)
    submit(client)
    submit(client, "other.jpg")
    assert "repeated-too-early" not in found(emulator)
