"""The collections of ``docs/collections`` work against an emulator."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import nodejs
from support.api_collections import FOLDER
from support.process import Running, running

KEY = "sk-local"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("collections")
    with running("--ephemeral", "--latency", "0", cwd=folder) as server:
        yield server


def test_each_request_of_the_postman_collection_is_accepted(server: Running) -> None:
    collection = json.loads((FOLDER / "apixo.postman_collection.json").read_text())
    values = {"baseUrl": server.base_url, "apiKey": KEY}

    def filled(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        return text

    for item in collection["item"]:
        request = item["request"]
        answer = httpx.request(
            request["method"],
            filled(request["url"]),
            content=request.get("body", {}).get("raw", ""),
            headers={"Authorization": f"Bearer {KEY}"} if "auth" not in request else {},
            timeout=60,
        )
        assert answer.status_code == 200, (item["name"], answer.text)
        # What the scripts of the collection keep.
        data = answer.json()["data"] if answer.headers["content-type"] == "application/json" else 0
        if isinstance(data, dict):
            values["taskId"] = data["taskId"]
            values["resultUrl"] = json.loads(data.get("resultJson", '{"resultUrls":[""]}'))[
                "resultUrls"
            ][0]


def test_bruno_has_the_same_requests_as_postman() -> None:
    collection = json.loads((FOLDER / "apixo.postman_collection.json").read_text())
    for item in collection["item"]:
        text = (FOLDER / "bruno" / f"{item['name'].replace(':', '')}.bru").read_text()
        assert f"url: {item['request']['url']}\n" in text
        if "body" in item["request"]:
            body = text.partition("body:json {\n")[2].partition("\n}\n")[0]
            assert json.loads(body) == json.loads(item["request"]["body"]["raw"])


@pytest.mark.slow
def test_the_arazzo_workflows_are_valid_and_run(server: Running, tmp_path: Path) -> None:
    names = ("apixo.arazzo.json", "files.openapi.json")
    linted = nodejs.run("redocly", "lint", *(FOLDER / name for name in names), cwd=tmp_path)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    inputs = {
        "apiKey": KEY,
        "imageUrl": "https://example.com/input.jpg",
        "callbackUrl": f"{server.origin}/_emulator/inbox",
    }
    done = nodejs.run(
        "redocly",
        "respect",
        FOLDER / "apixo.arazzo.json",
        "--workflow=upscaleByCallback",
        f"--server=apixo={server.base_url}",
        *(f"--input={name}={value}" for name, value in inputs.items()),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
