"""Arazzo workflows, a Postman and a Bruno collection, made from the OpenAPI document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from apixo_schemas import contract, document, openapi_document
from support.documents import ROOT, text_of

FOLDER = ROOT / "docs/collections"
EMULATOR = "http://127.0.0.1:8787/api/v1"
_DOCUMENT = openapi_document()
_TITLE = _DOCUMENT["info"]["title"]
_IMAGE = "https://example.com/input.jpg"
_KEEP_TASK_ID = '{set}("taskId", {body}.data.taskId);'
_KEEP_RESULT = (
    'if ({body}.data.state === "success") '
    '{set}("resultUrl", JSON.parse({body}.data.resultJson).resultUrls[0]);'
)


@dataclass(frozen=True, slots=True)
class Call:
    """A request of a collection; ``script`` keeps a part of its answer for the next ones."""

    name: str
    method: str
    url: str
    about: str
    body: Any = None
    script: str = ""
    needs_key: bool = True


def calls() -> list[Call]:
    """Return the requests in the order in which a person sends them."""
    found = []
    for path, operations in _DOCUMENT["paths"].items():
        for method, operation in operations.items():
            found += _calls(path, method, operation)
    about = "The upscaled image; the address comes from `resultJson`, and needs no key."
    return [*found, Call("Fetch the result", "get", "{{resultUrl}}", about, needs_key=False)]


def _calls(path: str, method: str, operation: dict[str, Any]) -> list[Call]:
    query = [parameter["name"] for parameter in operation.get("parameters", ())]
    url = f"{{{{baseUrl}}}}{path}" + "".join(f"?{name}={{{{{name}}}}}" for name in query)
    name, about = operation["summary"], operation["description"]
    if "requestBody" not in operation:
        script = _KEEP_RESULT if query else ""
        return [Call(name, method, url, about, script=script)]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return [
        Call(f"{name}: {example}", method, url, about, found["value"], _KEEP_TASK_ID)
        for example, found in examples.items()
    ]


# --- Postman ---------------------------------------------------------------------------------


def postman() -> dict[str, Any]:
    """Return a collection in Postman's format 2.1."""
    variables = {"baseUrl": EMULATOR, "apiKey": "sk-local", "taskId": "", "resultUrl": ""}
    return {
        "info": {
            "name": _TITLE,
            "description": "Set `baseUrl` and `apiKey`; the defaults are a local emulator's.",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [_variable("token", "{{apiKey}}")]},
        "variable": [_variable(name, value) for name, value in variables.items()],
        "item": [_postman_item(call) for call in calls()],
    }


def _variable(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value, "type": "string"}


def _postman_item(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": call.method.upper(),
        "description": call.about,
        "url": call.url,
        "header": [],
    }
    if not call.needs_key:
        request["auth"] = {"type": "noauth"}
    if call.body is not None:
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        raw = json.dumps(call.body, indent=2)
        request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    item: dict[str, Any] = {"name": call.name, "request": request}
    if call.script:
        line = _script(call, "pm.collectionVariables.set", "pm.response.json()")
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": [line]}}]
    return item


def _script(call: Call, setter: str, body: str) -> str:
    return call.script.replace("{set}", setter).replace("{body}", body)


# --- Bruno -----------------------------------------------------------------------------------


def bruno() -> dict[str, str]:
    """Return the files of a collection for Bruno, by their names."""
    head = {"version": "1", "name": _TITLE, "type": "collection", "ignore": []}
    addresses = {"emulator": EMULATOR, "live": contract().live_base_url}
    return {
        "bruno.json": text_of(head),
        "collection.bru": "auth {\n  mode: bearer\n}\n\nauth:bearer {\n  token: {{apiKey}}\n}\n",
        **{
            f"environments/{name}.bru": _environment(
                address, "sk-local" if name == "emulator" else ""
            )
            for name, address in addresses.items()
        },
        **{
            f"{call.name.replace(':', '')}.bru": _bruno_request(number, call)
            for number, call in enumerate(calls(), 1)
        },
    }


def _environment(address: str, key: str) -> str:
    return f"vars {{\n  baseUrl: {address}\n  apiKey: {key}\n}}\n"


def _bruno_request(number: int, call: Call) -> str:
    _, _, query = call.url.partition("?")
    blocks = {
        "meta": f"name: {call.name}\ntype: http\nseq: {number}",
        call.method: f"url: {call.url}\nbody: {'json' if call.body else 'none'}\n"
        f"auth: {'inherit' if call.needs_key else 'none'}",
    }
    if query:
        blocks["params:query"] = query.replace("=", ": ")
    if call.body is not None:
        blocks["body:json"] = json.dumps(call.body, indent=2)
    if call.script:
        blocks["script:post-response"] = _script(call, "bru.setVar", "res.body")
    blocks["docs"] = call.about
    return "\n".join(f"{name} {{\n{_indented(text)}\n}}\n" for name, text in blocks.items())


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


# --- Arazzo ----------------------------------------------------------------------------------

_KEY = {"name": "Authorization", "in": "header", "value": "Bearer {$inputs.apiKey}"}


def arazzo() -> dict[str, Any]:
    """Return the two workflows of the API as an Arazzo 1.0 document."""
    return {
        "arazzo": "1.0.1",
        "info": {
            "title": f"{_TITLE}: workflows",
            "version": _DOCUMENT["info"]["version"],
            "summary": "Upscale an image, by polling or by callback.",
        },
        "sourceDescriptions": [
            {
                "name": "apixo",
                "url": "../../schemas/apixo_schemas/v1/openapi.json",
                "type": "openapi",
            },
            {"name": "files", "url": "./files.openapi.json", "type": "openapi"},
        ],
        "workflows": [_by_polling(), _by_callback()],
    }


def _by_polling() -> dict[str, Any]:
    return {
        "workflowId": "upscaleByPolling",
        "summary": "Submit an image, poll its task to the end, fetch the result.",
        "inputs": _inputs(imageUrl=_IMAGE, apiKey="sk-local"),
        "steps": [_submit({}), _poll(), _fetch()],
        "outputs": {"resultJson": "$steps.poll.outputs.resultJson"},
    }


def _by_callback() -> dict[str, Any]:
    given = {"request_type": "callback", "callback_url": "$inputs.callbackUrl"}
    submit = _submit(given)
    submit["description"] += (
        f" The API then posts the final answer to `callbackUrl`; the receiver answers"
        f" {contract().callbacks.success_status}."
    )
    return {
        "workflowId": "upscaleByCallback",
        "summary": "Submit an image; the final answer is posted to a callback URL.",
        "inputs": _inputs(
            imageUrl=_IMAGE, apiKey="sk-local", callbackUrl="https://your-server.com/webhooks/apixo"
        ),
        "steps": [submit],
        "outputs": {"taskId": "$steps.submit.outputs.taskId"},
    }


def _inputs(**examples: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(examples),
        "properties": {
            name: {"type": "string", "examples": [example]} for name, example in examples.items()
        },
    }


def _submit(given: dict[str, Any]) -> dict[str, Any]:
    body = document("submit-request.json")["examples"][0]
    payload = {**body, **given, "input": {**body["input"], "image_urls": ["$inputs.imageUrl"]}}
    return {
        "stepId": "submit",
        "description": "Submit the image; the answer holds the id of the task.",
        "operationId": "$sourceDescriptions.apixo.submit",
        "parameters": [_KEY],
        "requestBody": {"contentType": "application/json", "payload": payload},
        "successCriteria": [{"condition": "$statusCode == 200"}],
        "outputs": {"taskId": "$response.body#/data/taskId"},
    }


def _poll() -> dict[str, Any]:
    pace = contract().polling.normal
    running = [
        {
            "name": f"still-{state}",
            "type": "retry",
            "retryAfter": pace.interval_ms[0] // 1000,
            "retryLimit": 60,
            "criteria": [{"condition": f"$response.body#/data/state == '{state}'"}],
        }
        for state in ("pending", "processing")
    ]
    return {
        "stepId": "poll",
        "description": f"Poll first {pace.first_ms[0] // 1000} s after the submit, until the end.",
        "operationId": "$sourceDescriptions.apixo.status",
        "parameters": [
            _KEY,
            {"name": "taskId", "in": "query", "value": "$steps.submit.outputs.taskId"},
        ],
        "successCriteria": [
            {"condition": "$statusCode == 200"},
            {"condition": "$response.body#/data/state == 'success'"},
        ],
        "onFailure": running,
        "outputs": {"resultJson": "$response.body#/data/resultJson"},
    }


def _fetch() -> dict[str, Any]:
    return {
        "stepId": "fetch",
        "description": (
            "Fetch the URL in `resultUrls` of `resultJson`. That is a JSON text, and Arazzo 1.0 has no"
            " expression for what it holds: the program parses it."
        ),
        "operationId": "$sourceDescriptions.files.result",
        "parameters": [{"name": "file", "in": "path", "value": "$steps.poll.outputs.resultJson"}],
        "successCriteria": [{"condition": "$statusCode == 200"}],
    }


def files_document() -> dict[str, Any]:
    """Return the server of result files as an OpenAPI document, which Arazzo refers to."""
    info = {name: _DOCUMENT["info"][name] for name in ("version", "contact", "license")}
    hours = contract().result_ttl_ms // 3_600_000
    error = contract().errors["result_not_found"]
    file = {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "The path of the URL in `resultUrls`.",
        "schema": {"type": "string", "minLength": 1},
    }
    images: dict[str, Any] = {
        found.media_type: {"schema": {}} for found in contract().formats.values()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{_TITLE}: result files", "description": "Needs no key.", **info},
        "servers": [{"url": "https://file.apixo.ai", "description": "Of the live API"}],
        "tags": [{"name": "files", "description": "Upscaled images."}],
        "paths": {
            "/{file}": {
                "get": {
                    "operationId": "result",
                    "summary": "Fetch a result file",
                    "description": f"It expires {hours} hours after completion.",
                    "tags": ["files"],
                    "security": [],
                    "parameters": [file],
                    "responses": {
                        "200": {"description": "The upscaled image", "content": images},
                        str(error.status): {"description": error.meaning},
                    },
                }
            }
        },
    }


def collections() -> dict[str, str]:
    """Return every file of ``docs/collections``, by its path there."""
    return {
        "apixo.arazzo.json": text_of(arazzo()),
        "files.openapi.json": text_of(files_document()),
        "apixo.postman_collection.json": text_of(postman()),
        **{f"bruno/{name}": text for name, text in bruno().items()},
    }
