"""The control API's OpenAPI document describes what its operations take and return, and no less."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import validator_for
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.process import AUTH, Running, running

RULE = {
    "name": "a rule",
    "scenario": ["slow-2", "callback-duplicate"],
    "times": 2,
    "match": {"image_url": "*", "call": [1, 2], "headers": {"x-test": "*"}},
    "plan": {"outcome": "success"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("document")
    (folder / "apixo-emulator.toml").write_text(
        '[[account]]\nkey = "sk-limited-01234567"\nconcurrency = 2\n'
    )
    with running("--ephemeral", "--rate", "0", cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def document(server: Running) -> Any:
    return httpx.get(f"{server.origin}/_emulator/openapi.json").json()


def closed(schema: Any) -> Any:
    """The same schema, without room for what it does not describe."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(part) for name, part in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


class Walk:
    """Calls operations by their id, and holds each answer against the document."""

    def __init__(self, server: Running, document: Any) -> None:
        self._origin = server.origin
        self._components = closed(document["components"])
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        self.called: set[str] = set()

    def __call__(self, operation_id: str, body: Any = None, query: Any = None, **path: Any) -> Any:
        method, template, operation = self.operations[operation_id]
        url = f"{self._origin}{template.format(**path)}"
        answer = httpx.request(method.upper(), url, json=body, params=query)
        assert answer.status_code == 200, (operation_id, answer.text)
        self.called.add(operation_id)
        content = operation["responses"]["200"]["content"]
        media_type = answer.headers["content-type"].partition(";")[0]
        if media_type not in {"application/json", "application/schema+json"}:
            assert media_type in content
            return answer.text
        schema = {**closed(content["application/json"]["schema"]), "components": self._components}
        validator_for(schema).validate(answer.json())
        return answer.json()


def test_every_answer_is_described_in_full(server: Running, document: Any) -> None:
    walk = Walk(server, document)
    for name in ("getHealth", "getOpenapi", "listSchemas", "getConfig", "listWorlds", "getClock"):
        walk(name)
    walk("getSchema", name="status-response.json")
    rule = walk("addScenario", RULE)
    inbox = f"{server.origin}/_emulator/inbox"
    task = server.submitted(headers={"X-Test": "1"}, request_type="callback", callback_url=inbox)
    other = server.submitted(headers={"X-Test": "1"})
    httpx.post(f"{server.base_url}/generateTask/image-upscaler", json={}, headers=AUTH)
    httpx.post(f"{server.base_url}/generateTask/image-upscaler", content=b"\xff", headers=AUTH)
    walk("listScenarios")
    walk("setClock", {"rate": 0})
    walk("finishTask", {"failCode": "Timeout"}, task_id=other)
    walk("listTasks", query={"state": "failed", "limit": 5})
    walk("getTask", task_id=task)
    walk("advanceClock", {"ms": 100_000})
    while walk("getDelivery", task_id=task)["state"] != "delivered":
        pass  # each poll is a round trip to the process that delivers
    walk("redeliver", task_id=task)
    walk("getTask", task_id=task)
    walk("listDeliveries")
    journal = walk("listRequests", query={"call": "submit", "status": 200})
    walk("getRequest", number=journal["requests"][0]["number"])
    walk("listRequests")
    walk("exportHar")
    walk("verifyRequests", {"call": "submit", "count": 9, "resolution": "8k"})
    walk("listAccounts")
    walk("topUp", {"key": "sk-test-0123456789abcd", "amount": "5.00"})
    walk("getMetrics")
    walk("removeScenario", rule_id=rule["id"])
    walk("clearScenarios")
    walk("reset", {"seed": 7})
    assert walk.operations.keys() - walk.called == {"streamEvents"}


def test_the_document_is_valid(document: Any) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {"frozen": True, "rate": 2}),
        ("clock/advance", {"ms": 253_402_300_799_000}),
        ("scenarios", {"scenario": ["http-401", "http-402"]}),
        ("requests/verify", {"count": {"at_least": 2, "at_most": 1}}),
    ],
)
def test_a_body_that_contradicts_itself_is_a_conflict(
    server: Running, path: str, body: Any
) -> None:
    answer = httpx.post(f"{server.origin}/_emulator/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, 409)
