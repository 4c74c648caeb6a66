"""Numbers in control calls: any spelling of an integer is read, and a wrong one is told in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from apixo_emulator import create_app
from apixo_emulator.domain.randomness import LARGEST_SEED


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(ephemeral=True, rate=0)
    with TestClient(app, "http://127.0.0.1:8787", client=("127.0.0.1", 50_000)) as client:
        yield client


@pytest.mark.parametrize("number", ["1" * 5000, "-1", "1.0", "1_0", "%C2%B2", "", "%00", "%FF"])
def test_a_wrong_number_in_a_query_is_told(client: TestClient, number: str) -> None:
    for query in ("requests?after=", "tasks?limit=", "tasks?before=", "deliveries?offset="):
        answer = client.get(f"/_emulator/{query}{number}")
        assert answer.status_code == 400
        assert "expected an integer from" in answer.json()["message"]
    assert client.get(f"/_emulator/requests/x{number}").status_code == 404
    assert client.get(f"/_emulator/requests?status={number}").status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "at", "value"),
    [
        ("reset", '{"seed": 7.0}', "seed", 7),
        ("clock", '{"now": 2e12}', "now", 2_000_000_000_000),
        ("clock", '{"now": 253402300799000}', "now", 253_402_300_799_000),
        ("reset", f'{{"seed": {LARGEST_SEED}}}', "seed", LARGEST_SEED),
        ("scenarios", '{"scenario": "stuck", "times": 2.0}', "times", 2),
    ],
)
def test_another_spelling_of_an_integer_is_one(
    client: TestClient, path: str, body: str, at: str, value: int
) -> None:
    client.post("/_emulator/reset")
    found = client.post(f"/_emulator/{path}", content=body).json()[at]
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("reset", '{"seed": 7.5}', "seed: expected an integer from 0 to"),
        ("reset", '{"seed": 1e18}', "found 1e+18"),
        ("reset", f'{{"seed": {LARGEST_SEED + 1}}}', f"found {LARGEST_SEED + 1}"),
        ("reset", "[1]", "expected an object with seed"),
        ("clock", '{"now": 1e300}', "now: expected an instant in Unix ms"),
        ("clock", '{"rate": 1e400}', "expected JSON"),
        ("clock", '{"rate": NaN}', "expected JSON"),
        ("clock/advance", f'{{"ms": {10**400}}}', "expected"),
        ("clock", '{"rate": 1e7}', "rate: expected a number from 0 to"),
        ("clock", '{"frozen": 1}', "frozen: expected true or false; found 1"),
        ("clock", '{"speed": 1}', "expected one of the keys now, rate, frozen"),
        ("clock/advance", "{}", "ms is missing"),
        ("clock/advance", "{ms: 1", "expected JSON"),
        ("clock/advance", '{"ms": "41s"}', "milliseconds to advance"),
        ("accounts/top-up", '{"key": "sk-x", "amount": "much"}', "an amount in USD"),
        ("scenarios", '{"scenario": "SensitveContent"}', "SensitiveContent"),
    ],
)
def test_a_wrong_body_is_told_what_was_expected(
    client: TestClient, path: str, body: str, words: str
) -> None:
    answer = client.post(f"/_emulator/{path}", content=body)
    assert answer.status_code == answer.json()["code"] == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tasks?state=done", "expected one of"),
        ("tasks?limit=0", "limit"),
        ("tasks?nope=1", "expected: world"),
    ],
)
def test_a_wrong_query_is_told_what_was_expected(
    client: TestClient, query: str, words: str
) -> None:
    answer = client.get(f"/_emulator/{query}")
    assert answer.status_code == 400
    assert words in answer.json()["message"]
