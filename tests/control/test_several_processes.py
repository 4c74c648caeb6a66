"""Several processes on one store agree on the clock, the rules and the journal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.process import Running, running

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running("--workers", "2", "--rate", "0", "--latency", "1000", cwd=tmp_path) as server:
        yield server


def submit(server: Running, number: int) -> Any:
    """Submit on a connection of its own: any of the processes may take it."""
    url = f"{server.base_url}/generateTask/image-upscaler"
    body = {"input": {"image_urls": [f"https://example.com/{number}.jpg"]}}
    return httpx.post(url, json=body, headers=AUTH)


def status(server: Running, task_id: str) -> Any:
    url = f"{server.base_url}/statusTask/image-upscaler"
    return httpx.get(url, params={"taskId": task_id}, headers=AUTH).json()["data"]


def test_all_obey_one_clock(server: Running) -> None:
    ids = [submit(server, number).json()["data"]["taskId"] for number in range(10)]
    assert {status(server, task_id)["state"] for task_id in ids} == {"pending"}
    httpx.post(f"{server.origin}/_emulator/clock/advance", json={"ms": 1000}).raise_for_status()
    assert {status(server, task_id)["state"] for task_id in ids} == {"success"}


def test_a_rule_is_used_as_often_as_it_says_and_the_journal_has_every_call(
    server: Running,
) -> None:
    rule = {"scenario": "http-503", "times": 5}
    httpx.post(f"{server.origin}/_emulator/scenarios", json=rule).raise_for_status()
    answers = [submit(server, number).status_code for number in range(20)]
    assert sorted(answers) == [200] * 15 + [503] * 5
    listed = httpx.get(f"{server.origin}/_emulator/requests").json()["requests"]
    assert sorted(entry["response"]["status"] for entry in listed) == sorted(answers)
    httpx.post(f"{server.origin}/_emulator/reset").raise_for_status()
    assert httpx.get(f"{server.origin}/_emulator/tasks").json() == {"tasks": []}
    assert submit(server, 1).status_code == 200


def test_what_one_changes_all_say_at_once_though_they_have_said_otherwise(server: Running) -> None:
    (ended, gone) = (submit(server, number).json()["data"]["taskId"] for number in (1, 2))

    def states(task_id: str) -> set[str | None]:
        """Ask on connections of their own, often enough for each process to have answered."""
        answers = [status(server, task_id) for _ in range(20)]
        return {answer and answer["state"] for answer in answers}

    assert states(ended) == states(gone) == {"pending"}
    httpx.post(f"{server.origin}/_emulator/tasks/{ended}/finish", json={}).raise_for_status()
    assert states(ended) == {"success"}
    httpx.post(f"{server.origin}/_emulator/reset").raise_for_status()
    assert states(ended) == states(gone) == {None}
