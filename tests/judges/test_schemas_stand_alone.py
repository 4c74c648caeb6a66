"""Each published schema works on its own, in the tools that people use: from its file and its URL."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from judges.ajv import judging
from support.process import Running, environment, running

AUTH = {"Authorization": "Bearer sk-schemas-0123456789"}
IMAGE = "https://example.com/input.jpg"
FAILING = "https://example.com/emulate/Timeout.jpg"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("schemas")
    with running("--ephemeral", "--latency", "1000", "--rate", "0", cwd=folder) as server:
        yield server


def submitted(server: Running, image: str) -> str:
    url = f"{server.base_url}/generateTask/image-upscaler"
    answer = httpx.post(url, json={"input": {"image_urls": [image]}}, headers=AUTH)
    task_id: str = answer.json()["data"]["taskId"]
    return task_id


@pytest.fixture(scope="module")
def answers(server: Running) -> list[Any]:
    """Status answers in all four states."""
    tasks = [submitted(server, IMAGE), submitted(server, FAILING)]
    url = f"{server.base_url}/statusTask/image-upscaler"

    def polled() -> list[Any]:
        return [httpx.get(url, params={"taskId": task}, headers=AUTH).json() for task in tasks]

    found = polled()
    for ms in (500, 10_000):
        httpx.post(f"{server.origin}/_emulator/clock/advance", json={"ms": ms}).raise_for_status()
        found += polled()
    states = {answer["data"]["state"] for answer in found}
    assert states == {"pending", "processing", "success", "failed"}
    return found


def names(server: Running) -> list[str]:
    listed: list[str] = httpx.get(f"{server.origin}/_emulator/schemas").json()["schemas"]
    return listed


def test_every_schema_is_served_whole_and_contacts_no_other_host(server: Running) -> None:
    for name in names(server):
        answer = httpx.get(f"{server.origin}/_emulator/schemas/{name}")
        found = answer.json()
        assert ".invalid/" not in answer.text
        if "$schema" not in found:
            assert answer.headers["content-type"] == "application/json"
            continue
        assert answer.headers["content-type"] == "application/schema+json"
        assert found["$id"] == name
        Draft202012Validator.check_schema(found)
        # Without a registry: nothing outside the document is needed.
        for example in found.get("examples", ()):
            Draft202012Validator(found).validate(example)


def test_the_command_prints_what_is_served(server: Running) -> None:
    for name, served in (("status", "status-response.json"), ("scenarios", "scenarios.json")):
        command = [sys.executable, "-m", "apixo_emulator", "schema", name]
        printed = subprocess.run(command, capture_output=True, env=environment(), check=True).stdout
        url = f"{server.origin}/_emulator/schemas/{served}"
        assert json.loads(printed) == httpx.get(url).json()


def test_the_openapi_document_is_served_in_two_places(server: Running) -> None:
    one = httpx.get(f"{server.origin}/openapi.json")
    other = httpx.get(f"{server.origin}/_emulator/schemas/openapi.json")
    assert one.content == other.content
    assert one.headers["content-type"] == other.headers["content-type"] == "application/json"
    assert one.json()["servers"][0]["url"] == server.base_url


@pytest.mark.parametrize("place", ["file", "url"])
def test_check_jsonschema_validates_real_answers(
    server: Running, answers: list[Any], place: str, tmp_path: Path
) -> None:
    schema = {
        "file": str(files("apixo_schemas") / "v1" / "status-response.json"),
        "url": f"{server.origin}/_emulator/schemas/status-response.json",
    }[place]
    paths = []
    for number, answer in enumerate(answers):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(answer))
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", schema]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    paths[0].write_text(json.dumps({**answers[0], "data": {"state": "done"}}))
    done = subprocess.run([*command, paths[0]], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr


def test_ajv_validates_real_answers(answers: list[Any]) -> None:
    schema = Path(str(files("apixo_schemas") / "v1" / "status-response.json"))
    with judging(schema) as judge:
        assert [judge.judge(answer).valid for answer in answers] == [True] * len(answers)
        assert not judge.judge({**answers[0], "data": {}}).valid
