"""Any number in the body of a control call gets an answer in words, and changes nothing it should not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.process import Running, running

from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.http.openapi import control_document, schema_document

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
# As JSON writes them; Python has no name for some.
NUMBERS = (
    *(
        "1",
        "1.0",
        "7.0",
        "1e2",
        "1.5",
        "0",
        "-0.0",
        "-1",
        "-1.0",
        "true",
        "null",
        '"1"',
        "[]",
        "{}",
    ),
    *("2e12", "9007199254740993", "9223372036854775808", "18446744073709551616", "1e300", "-1e300"),
    *("5e-324", "1" + "0" * 400, "1e400", "NaN"),
)
# All else in answers counts something, or is an instant.
NO_INTEGERS = {"rate", "probability", "median_ms", "sigma"}
READ = ("clock", "worlds", "config", "tasks", "scenarios", "requests", "accounts", "metrics")

Path_ = tuple[str, ...]


def bodies() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The schemas of all bodies, by the operation's path."""
    for path, methods in control_document("")["paths"].items():
        if "requestBody" in methods.get("post", {}):
            yield path, methods["post"]["requestBody"]["content"]["application/json"]["schema"]


def places(schema: Mapping[str, Any], path: Path_ = ()) -> Iterator[Path_]:
    """Where a schema has something: every value may come as a wrong number."""
    if path:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from places(inner, (*path, name))


def sample(schema: Mapping[str, Any]) -> Any:
    return schema["enum"][0] if "enum" in schema else schema.get("minimum", "1")


def document(schema: Mapping[str, Any], path: Path_) -> Any:
    """A document with ``NUMBER`` at a place, and what is required beside it."""
    if not path:
        return "NUMBER"
    beside = {
        name: sample(schema["properties"][name])
        for name in schema.get("required", ())
        if name != path[0]
    }
    return {**beside, path[0]: document(schema["properties"][path[0]], path[1:])}


def templates() -> Iterator[tuple[str, str]]:
    rule = schema_document("scenarios.json")["properties"]["rule"]["items"]
    known = {
        "/_emulator/scenarios": rule,
        "/_emulator/requests/verify": schema_document("expectation.json"),
    }
    for path, schema in bodies():
        for place in places(known.get(path, schema)):
            found = document(known.get(path, schema), place)
            if path.endswith("/scenarios") and place[0] not in ("plan", "scenario"):
                found["scenario"] = "stuck"
            yield path, json.dumps(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("numbers")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    with running("--rate", "0", "--ephemeral", cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.origin, headers=AUTH) as client:
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


@pytest.mark.parametrize(("path", "template"), list(templates()))
def test_no_number_breaks_the_emulator(client: httpx.Client, path: str, template: str) -> None:
    url = path.replace("{task_id}", "0" * 32)
    for number in NUMBERS:
        answer = client.post(url, content=template.replace('"NUMBER"', number))
        assert answer.status_code < 500, (number, answer.text)
        assert len(answer.text) < 3000
        assert set(floats(answer.json())) <= NO_INTEGERS, (number, answer.text)
    for name in READ:
        read = client.get(f"/_emulator/{name}")
        assert read.status_code == 200
        if name != "metrics":
            assert set(floats(read.json())) <= NO_INTEGERS
    assert client.post("/_emulator/reset").status_code == 200


@pytest.mark.parametrize(
    "number", ["1" * 5000, "-1", "1.0", "1_0", "%C2%B2", "%D9%A3", "1e3", "", "%00", "%FF"]
)
def test_no_number_of_a_query_does_either(client: httpx.Client, number: str) -> None:
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
    client: httpx.Client, path: str, body: str, at: str, value: int
) -> None:
    client.post("/_emulator/reset")
    found = client.post(f"/_emulator/{path}", content=body).json()[at]
    assert found == value
    assert isinstance(found, int)


def test_a_count_may_be_spelt_so_too(client: httpx.Client) -> None:
    found = client.post("/_emulator/requests/verify", content='{"count": {"at_least": 1.0}}')
    assert found.json()["words"].startswith("expected at least 1 call,")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("reset", '{"seed": 7.5}', "seed: expected an integer from 0 to"),
        ("reset", '{"seed": 1e18}', "found 1e+18"),
        ("reset", '{"seed": -1}', "found -1"),
        ("reset", f'{{"seed": {LARGEST_SEED + 1}}}', f"found {LARGEST_SEED + 1}"),
        ("clock", '{"now": 1e300}', "now: expected an instant in Unix ms"),
        ("clock", '{"rate": 1e7}', "rate: expected a number from 0 to"),
        ("clock", '{"frozen": 1}', "frozen: expected true or false; found 1"),
        ("clock/advance", "{}", "ms is missing"),
    ],
)
def test_a_number_out_of_range_is_told_what_was_expected(
    client: httpx.Client, path: str, body: str, words: str
) -> None:
    answer = client.post(f"/_emulator/{path}", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
