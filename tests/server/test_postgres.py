"""Emulators on PostgreSQL: submits are committed together; two emulators of two workers share a store.

The second is the topology of compose.yaml as plain processes.
"""

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
import psycopg
import pytest
from support.postgres import Server
from support.process import Running, children, running
from support.receivers import Receiver, receiving

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
pytestmark = pytest.mark.slow

CLIENTS = 24
SPOILT = "https://spoilt.example/input.jpg"
# The database refuses one task, as a full disk or a broken index would.
REFUSE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON tasks FOR EACH ROW
    WHEN (NEW.image_url = '{SPOILT}'::bytea) EXECUTE FUNCTION refuse();
"""


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
    tmp_path: Path, postgres_url: str
) -> None:
    with receiving() as receiver, ExitStack() as stack:
        first = start(stack, tmp_path / "1", postgres_url)
        second = start(stack, tmp_path / "2", postgres_url)
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


def test_a_lost_database_gives_500_at_once_and_comes_back(
    tmp_path: Path, postgres_server: Server, postgres_url: str
) -> None:
    with ExitStack() as stack:
        emulator = start(stack, tmp_path / "1", postgres_url, workers=1)
        url = f"{emulator.base_url}/apikeys/current-balance"
        assert httpx.get(url, headers=AUTH).status_code == 200
        postgres_server.stop()
        answer = httpx.get(url, headers=AUTH, timeout=15)
        assert (answer.status_code, answer.json()["code"]) == (500, 500)
        assert httpx.get(f"{emulator.origin}/_emulator/health").status_code == 200
        postgres_server.start()
        while httpx.get(url, headers=AUTH, timeout=15).status_code != 200:
            pass
        with receiving() as receiver:
            task_id = submit(emulator.base_url, receiver.url)
            assert json.loads(receiver.next().body)["data"]["taskId"] == task_id


# Submits that arrive together


@pytest.fixture
def server(postgres_url: str, tmp_path: Path) -> Iterator[Running]:
    with running(
        "--store", postgres_url, "--latency", "0", "--balance", "1", cwd=tmp_path
    ) as server:
        yield server


def submit_as(client: httpx.Client, key: str, url: str) -> httpx.Response:
    return client.post(
        "/api/v1/generateTask/image-upscaler",
        json={"input": {"image_urls": [url]}},
        headers={"Authorization": f"Bearer {key}"},
    )


def at_once(server: Running, asked: list[tuple[str, str]]) -> list[httpx.Response]:
    with httpx.Client(base_url=server.origin) as client, ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda one: submit_as(client, *one), asked))


def balance(server: Running, key: str) -> float:
    url = f"{server.base_url}/apikeys/current-balance"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"})
    return float(answer.json()["data"])


def test_one_that_cannot_be_kept_takes_no_other_with_it(server: Running, postgres_url: str) -> None:
    good = "https://example.com/input.jpg"
    assert at_once(server, [("sk-1", good)])[0].status_code == 200
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(REFUSE.encode())
    asked = [("sk-1", SPOILT if number % 8 == 3 else good) for number in range(80)]
    answers = at_once(server, asked)
    assert [answer.status_code for answer in answers] == [
        500 if url == SPOILT else 200 for _, url in asked
    ]
    ids = {answer.json()["data"]["taskId"] for answer in answers if answer.is_success}
    assert len(ids) == 70
    assert balance(server, "sk-1") == pytest.approx(1 - 0.71)


def test_each_account_pays_for_what_it_can(server: Running) -> None:
    """Of accounts that run out within one batch, and never more than they have."""
    keys = ("sk-1", "sk-2", "sk-3")
    asked = [
        (key, f"https://example.com/{number % 5}.jpg") for number in range(110) for key in keys
    ]
    answers = at_once(server, asked)
    for key in keys:
        codes = [
            answer.status_code
            for answer, (who, _) in zip(answers, asked, strict=True)
            if who == key
        ]
        assert codes.count(200) == 100
        assert codes.count(402) == 10
        assert balance(server, key) == 0
