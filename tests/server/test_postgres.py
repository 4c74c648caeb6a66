"""An emulator on PostgreSQL: submits are committed together; the database may go and come back."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from support.postgres import Server
from support.process import Running, running
from support.receivers import receiving

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


def test_a_lost_database_gives_500_at_once_and_comes_back(
    tmp_path: Path, postgres_server: Server, postgres_url: str
) -> None:
    options = ("--store", postgres_url, "--latency", "200", "--callback-retries", "0.2,0.2,0.2")
    with running(*options, cwd=tmp_path) as emulator, receiving() as receiver:
        url = f"{emulator.base_url}/apikeys/current-balance"
        assert httpx.get(url, headers=AUTH).status_code == 200
        postgres_server.stop()
        answer = httpx.get(url, headers=AUTH, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (500, 500)
        assert httpx.get(f"{emulator.origin}/_emulator/health").status_code == 200
        postgres_server.start()
        while httpx.get(url, headers=AUTH, timeout=60).status_code != 200:
            pass
        body = {
            "request_type": "callback",
            "callback_url": receiver.url,
            "input": {"image_urls": ["https://example.com/input.jpg"]},
        }
        submit = f"{emulator.base_url}/generateTask/image-upscaler"
        task_id = httpx.post(submit, json=body, headers=AUTH).json()["data"]["taskId"]
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
