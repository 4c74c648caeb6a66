"""The topology of compose.yaml as plain processes: two emulators of two workers on one PostgreSQL."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from queue import Empty

import httpx
import pytest
from support.postgres import any_server, empty_schema, own_server
from support.process import Running, children, running
from support.receivers import Receiver, receiving

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
pytestmark = pytest.mark.slow


@pytest.fixture
def store() -> Iterator[str]:
    with any_server() as url, empty_schema(url) as schema_url:
        yield schema_url


def options(store: str) -> tuple[str, ...]:
    return ("--store", store, "--latency", "200", "--callback-retries", "0.2,0.2,0.2")


def start(stack: ExitStack, folder: Path, store: str, workers: int = 2) -> Running:
    folder.mkdir()
    arguments = (*options(store), "--workers", str(workers))
    return stack.enter_context(running(*arguments, cwd=folder))


def submit(base_url: str, callback_url: str) -> str | None:
    body = {
        "request_type": "callback",
        "callback_url": callback_url,
        "input": {"image_urls": ["https://example.com/input.jpg"]},
    }
    try:
        answer = httpx.post(f"{base_url}/generateTask/image-upscaler", json=body, headers=AUTH)
    except httpx.TransportError:
        return None  # killed meanwhile: not acknowledged
    return str(answer.json()["data"]["taskId"])


def state(base_url: str, task_id: str) -> str:
    url = f"{base_url}/statusTask/image-upscaler"
    answer = httpx.get(url, params={"taskId": task_id}, headers=AUTH)
    return str(answer.json()["data"]["state"])


def arrivals(receiver: Receiver, wanted: set[str], *, longest_s: float) -> Counter[str]:
    """Count callbacks by task until all wanted have come."""
    seen: Counter[str] = Counter()
    while not wanted <= set(seen):
        try:
            received = receiver.received.get(timeout=longest_s)
        except Empty:
            raise AssertionError(f"missing callbacks: {wanted - set(seen)}") from None
        seen[json.loads(received.body)["data"]["taskId"]] += 1
    return seen


def test_two_emulators_share_everything_and_one_may_be_killed_under_load(
    tmp_path: Path, store: str
) -> None:
    with receiving() as receiver, ExitStack() as stack:
        first = start(stack, tmp_path / "1", store)
        second = start(stack, tmp_path / "2", store)
        balancer = cycle([first.base_url, second.base_url])

        def load(number: int) -> str | None:
            if number == 60:
                for pid in (first.process.pid, *children(first.process.pid)):
                    os.kill(pid, signal.SIGKILL)
            return submit(next(balancer), receiver.url)

        with ThreadPoolExecutor(8) as pool:
            acknowledged = {task_id for task_id in pool.map(load, range(160)) if task_id}
        assert len(acknowledged) >= 100
        # What the killed one held under a lease is taken over when the lease ends: after 45 s.
        seen = arrivals(receiver, acknowledged, longest_s=90)
        assert all(state(second.base_url, task_id) == "success" for task_id in acknowledged)
        balance = httpx.get(f"{second.base_url}/apikeys/current-balance", headers=AUTH).json()
        spent = round((100 - balance["data"]) * 100)
        # A submit whose answer the kill cut off may have been accepted, too.
        assert len(acknowledged) <= spent <= 160
        assert len(seen) <= spent


def test_a_lost_database_gives_500_at_once_and_comes_back(tmp_path: Path) -> None:
    with own_server() as server, ExitStack() as stack:
        emulator = start(stack, tmp_path / "1", server.url, workers=1)
        url = f"{emulator.base_url}/apikeys/current-balance"
        assert httpx.get(url, headers=AUTH).status_code == 200
        server.stop()
        answer = httpx.get(url, headers=AUTH, timeout=15)
        assert (answer.status_code, answer.json()["code"]) == (500, 500)
        assert httpx.get(f"{emulator.origin}/_emulator/health").status_code == 200
        server.start()
        while httpx.get(url, headers=AUTH, timeout=15).status_code != 200:
            pass
        with receiving() as receiver:
            task_id = submit(emulator.base_url, receiver.url)
            assert json.loads(receiver.next().body)["data"]["taskId"] == task_id
