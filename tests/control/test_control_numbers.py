"""Any number in the body of a control call gets an answer in words, and changes nothing it should not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from apixo_emulator import create_app
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.http.openapi import control_document, schema_document

# As JSON writes them; Python has no name for some.
NUMBERS = (
    *("1", "1e2", "1.5", "-0.0", "-1", "null", "[]", "9007199254740993", "18446744073709551616"),
    *("1e300", "5e-324", "1" + "0" * 400, "1e400", "NaN"),
)
# All else in answers counts something, or is an instant.
NO_INTEGERS = {"rate", "probability", "median_ms", "sigma"}
READ = ("clock", "worlds", "config", "tasks", "scenarios", "requests", "accounts")

Place = tuple[str, ...]


def places(schema: Mapping[str, Any], path: Place = ()) -> Iterator[Place]:
    """Where a schema has something: every value may come as a wrong number."""
    if path:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*path, name))


def document(schema: Mapping[str, Any], path: Place) -> Any:
    """A document with ``NUMBER`` at a place, and what is required beside it."""
    if not path:
        return "NUMBER"
    properties = schema["properties"]
    beside = {
        name: properties[name].get("enum", [properties[name].get("minimum", "1")])[0]
        for name in schema.get("required", ())
        if name != path[0]
    }
    return {**beside, path[0]: document(properties[path[0]], path[1:])}


def bodies() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schemas of all bodies, by the operation's path."""
    own = {
        "/_emulator/scenarios": schema_document("scenarios.json")["properties"]["rule"]["items"],
        "/_emulator/requests/verify": schema_document("expectation.json"),
    }
    for path, methods in control_document("")["paths"].items():
        if "requestBody" in methods.get("post", {}):
            content = methods["post"]["requestBody"]["content"]
            yield path, own.get(path, content["application/json"]["schema"])


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(ephemeral=True, rate=0)
    with TestClient(app, "http://127.0.0.1:8787", client=("127.0.0.1", 50_000)) as client:
        yield client


def floats(answer: Any, name: str = "") -> Iterator[str]:
    match answer:
        case dict():
            for key, value in answer.items():
                yield from floats(value, key)
        case list():
            for value in answer:
                yield from floats(value, name)
        case float():
            yield name


@pytest.mark.slow
@pytest.mark.parametrize(("path", "schema"), list(bodies()), ids=lambda part: str(part)[:40])
def test_no_number_breaks_the_emulator(
    client: TestClient, path: str, schema: Mapping[str, Any]
) -> None:
    url = path.replace("{task_id}", "0" * 32)
    for place in places(schema):
        found = document(schema, place)
        if path.endswith("/scenarios") and place[0] not in ("plan", "scenario"):
            found["scenario"] = "stuck"
        for number in NUMBERS:
            answer = client.post(url, content=json.dumps(found).replace('"NUMBER"', number))
            assert answer.status_code < 500, (place, number, answer.text)
            assert len(answer.text) < 3000
            assert set(floats(answer.json())) <= NO_INTEGERS, (place, number, answer.text)
        for name in READ:
            read = client.get(f"/_emulator/{name}")
            assert read.status_code == 200, (place, name)
            assert set(floats(read.json())) <= NO_INTEGERS, (place, name)
        assert client.post("/_emulator/reset").status_code == 200


@pytest.mark.parametrize("number", ["1" * 5000, "-1", "1.0", "1_0", "%C2%B2", "", "%00", "%FF"])
def test_no_number_of_a_query_does_either(client: TestClient, number: str) -> None:
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
