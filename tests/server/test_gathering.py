"""Submits of many callers at once where the store is a PostgreSQL: kept together, judged one by one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
from support.postgres import any_server, empty_schema
from support.process import Running, running

pytestmark = pytest.mark.slow

CALLERS = 24
SPOILT = "https://spoilt.example/input.jpg"
# The database refuses one task, as a full disk or a broken index would.
REFUSE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no room'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON tasks FOR EACH ROW
    WHEN (NEW.image_url = '{SPOILT}'::bytea) EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def store() -> Iterator[str]:
    with any_server() as url, empty_schema(url) as schema_url:
        yield schema_url


@pytest.fixture
def server(store: str, tmp_path: Path) -> Iterator[Running]:
    with running("--store", store, "--latency", "0", "--balance", "1", cwd=tmp_path) as server:
        yield server


def submit(client: httpx.Client, key: str, url: str) -> httpx.Response:
    return client.post(
        "/api/v1/generateTask/image-upscaler",
        json={"input": {"image_urls": [url]}},
        headers={"Authorization": f"Bearer {key}"},
    )


def at_once(server: Running, asked: list[tuple[str, str]]) -> list[httpx.Response]:
    with httpx.Client(base_url=server.origin) as client, ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda one: submit(client, *one), asked))


def balance(server: Running, key: str) -> float:
    url = f"{server.base_url}/apikeys/current-balance"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"})
    return float(answer.json()["data"])


def test_one_that_cannot_be_kept_takes_no_other_with_it(server: Running, store: str) -> None:
    good = "https://example.com/input.jpg"
    assert at_once(server, [("sk-1", good)])[0].status_code == 200
    with psycopg.connect(store, autocommit=True) as connection:
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
