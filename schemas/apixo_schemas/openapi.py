"""The documents that are derived from the contract: OpenAPI, single schemas, the model index.

The rule schema of the submit body decides what is accepted and with which message. Code generators
cannot read it, so `openapi_document` describes the same API with flat types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apixo_schemas.contract import (
    MICROS_PER_USD,
    Contract,
    ErrorEntry,
    contract,
    document,
    published_contract,
)
from apixo_schemas.values import error_body

_DEFAULT_ORIGIN = "http://127.0.0.1:8787"
_INDEX_VERSION = "1.0"
# A constant, so that two emulators publish the same bytes.
_INDEX_DATE = "2026-11-23T00:00:00Z"
# Keywords that types cannot express, or that generators do not support.
_UNTYPED = {"$schema", "$id", "title", "not", "examples", "$defs"}
_LIMITS = ("minItems", "maxItems", "minLength", "pattern")
_NOTES = ("x-grade", "x-source")
_REQUEST_EXAMPLES = ("default-4k-jpg", "8k-webp", "callback-mode")
Node = dict[str, Any]


def openapi_document(origin: str | None = None, terms: Contract | None = None) -> Node:
    """Return the API as a flat, typed OpenAPI 3.1 document.

    Args:
        origin: The emulator that serves the document, e.g. ``http://127.0.0.1:8787``, for the
            first of its servers; None for the document as it is shipped.
        terms: The contract to describe; None for the one in force.
    """
    terms = terms or contract()
    model = document("model.json")
    submit, status, balance = (model["api"][name] for name in ("submit", "status", "balance"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "APIXO Image Upscaler API",
            "version": "1.0.0",
            "summary": "Upscale one image to 2k, 4k or 8k.",
            "description": (
                "The API as documented by APIXO, written down by apixo-emulator, which is not"
                " affiliated with APIXO. `x-grade` and `x-source` say how sure a statement is and"
                " where it comes from."
            ),
            "contact": {"name": "The apixo-emulator maintainers"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": _servers(origin, terms),
        "security": [{"apiKey": []}],
        "tags": [
            {"name": "tasks", "description": "Submit an image, follow its task, fetch its result."},
            {"name": "account", "description": "The account that an API key belongs to."},
            {"name": "callbacks", "description": "Calls from the API to the application."},
        ],
        "paths": {
            submit["path"].format(model=terms.model): {"post": _submit(terms)},
            status["path"].format(model=terms.model): {"get": _status(terms)},
            balance["path"]: {"get": _balance(terms)},
        },
        "components": {
            "schemas": _components(terms),
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer YOUR_API_KEY`",
                }
            },
        },
    }


def _servers(origin: str | None, terms: Contract) -> list[Node]:
    live = {"url": terms.live_base_url, "description": "The live API"}
    emulator = {
        "url": f"{origin or _DEFAULT_ORIGIN}{terms.prefix}",
        "description": "This emulator" if origin else "An emulator with default settings",
    }
    return [live, emulator] if origin is None else [emulator, live]


# --- operations ------------------------------------------------------------------------------


def _submit(terms: Contract) -> Node:
    request = document("submit-request.json")
    given = zip(_REQUEST_EXAMPLES, request["examples"], strict=True)
    return {
        "operationId": "submit",
        "summary": "Submit an upscaling task",
        "description": (
            f"Costs ${terms.price_micros / MICROS_PER_USD:g} an image. The answer holds the id of the"
            " task."
        ),
        "tags": ["tasks"],
        "requestBody": {
            "required": True,
            "content": _json("SubmitRequest", {name: {"value": body} for name, body in given}),
        },
        "responses": {
            "200": {
                **_answer("The task was accepted", "SubmitResponse", "submit-response.json"),
                "links": {
                    "status": {
                        "operationId": "status",
                        "parameters": {"taskId": "$response.body#/data/taskId"},
                    }
                },
            },
            **_errors("submit", terms, {rule.id: rule.message for rule in terms.rules}),
        },
        "callbacks": {
            "taskFinished": {
                "{$request.body#/callback_url}": {"post": _callback(terms)},
            }
        },
    }


def _seconds(range_ms: tuple[int, int]) -> str:
    least, most = (ms // 1000 for ms in range_ms)
    return f"{least} to {most} s"


def _status(terms: Contract) -> Node:
    pace = terms.polling.normal
    return {
        "operationId": "status",
        "summary": "Poll task status and retrieve results",
        "description": (
            f"Poll first {_seconds(pace.first_ms)} after the submit, then every"
            f" {_seconds(pace.interval_ms)}, until `state` is `success` or `failed`."
        ),
        "tags": ["tasks"],
        "parameters": [
            {
                "name": document("model.json")["api"]["status"]["query"],
                "in": "query",
                "required": True,
                "description": "The `taskId` of the submit's answer.",
                "schema": {"type": "string", "minLength": 1},
            }
        ],
        "responses": {
            "200": _answer("The task's state", "StatusResponse", "status-response.json"),
            **_errors("status", terms),
        },
    }


def _balance(terms: Contract) -> Node:
    return {
        "operationId": "balance",
        "summary": "Read the remaining balance of the calling key",
        "description": "In USD, of the account that the key belongs to.",
        "tags": ["account"],
        "responses": {
            "200": _answer("The balance in USD", "BalanceResponse", "balance.json"),
            **_errors("balance", terms),
        },
    }


def _callback(terms: Contract) -> Node:
    rules = terms.callbacks
    return {
        "operationId": "callback",
        "summary": "Receive the final answer of a task in callback mode",
        "description": (
            f"Answer {rules.success_status} within {rules.timeout_ms // 1000} s; otherwise the call"
            f" is repeated up to {len(rules.retry_delays_ms)} times."
        ),
        "tags": ["callbacks"],
        "security": [],
        "requestBody": {
            "required": True,
            "content": _json("CallbackPayload", _by_state(callback_schema()["examples"])),
        },
        "responses": {
            str(rules.success_status): {"description": "Received"},
            "4XX": {"description": "Not received; the call is repeated"},
        },
    }


def _json(component: str, examples: Mapping[str, Any]) -> Node:
    return {"application/json": {"schema": _component(component), "examples": dict(examples)}}


def _by_state(bodies: Iterable[Any]) -> Node:
    """Return examples by the state of their task, else one called ``success``."""
    data = [(body["data"], body) for body in bodies]
    return {
        part.get("state", "accepted") if isinstance(part, dict) else "balance": {"value": body}
        for part, body in data
    }


def _answer(meaning: str, component: str, name: str) -> Node:
    return {
        "description": meaning,
        "content": _json(component, _by_state(document(name)["examples"])),
    }


def _errors(operation: str, terms: Contract, rules: Mapping[str, str] | None = None) -> Node:
    """Return the error responses of an operation by status; ``rules`` are messages of 400."""
    by_status: dict[int, list[ErrorEntry]] = {}
    for entry in terms.errors.values():
        if operation in entry.operations:
            by_status.setdefault(entry.status, []).append(entry)
    found: Node = {}
    for status, entries in sorted(by_status.items()):
        messages = {entry.id: entry.message for entry in entries}
        if status == terms.refused_status and rules:
            messages = {**rules, **messages}
        data = terms.assumed("error.data")
        examples = {
            name: {"value": error_body(status, message, data)} for name, message in messages.items()
        }
        meanings = dict.fromkeys(entry.meaning for entry in entries)
        found[str(status)] = {
            "description": "; ".join(meanings),
            "content": _json("ErrorResponse", examples),
        }
        if any(entry.id == "rate_limited" for entry in entries):
            found[str(status)]["headers"] = {
                "Retry-After": {
                    "description": "Seconds to wait (assumption retry_after).",
                    "schema": {"type": "string"},
                }
            }
    return found


# --- types -----------------------------------------------------------------------------------


def _components(terms: Contract) -> Node:
    request = _request(terms)
    status = document("status-response.json")
    parts = {name: _typed(part) for name, part in status["$defs"].items() if name[0].isupper()}
    states = {
        part["properties"]["state"]["const"]: name
        for name, part in parts.items()
        if "state" in part["properties"]
    }
    final = {state: name for state, name in states.items() if name in callback_schema()["$defs"]}
    return {
        "SubmitRequest": {
            **request,
            "description": "What to upscale, and how to return the result.",
            "properties": {**request["properties"], "input": _component("UpscaleInput")},
        },
        "UpscaleInput": request["properties"]["input"],
        "SubmitResponse": _typed(document("submit-response.json")),
        "StatusResponse": _envelope(status, "Task"),
        "Task": _choice("A task; `state` decides which fields it has.", states),
        **parts,
        "CallbackPayload": _envelope(callback_schema(), "FinishedTask"),
        "FinishedTask": _choice("A task that has ended.", final),
        "BalanceResponse": _typed(document("balance.json")),
        "ErrorResponse": _typed(document("error.json")),
    }


def _component(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _choice(description: str, names: Mapping[str, str]) -> Node:
    return {
        "description": description,
        "oneOf": [_component(name) for name in names.values()],
        "discriminator": {
            "propertyName": "state",
            "mapping": {state: _component(name)["$ref"] for state, name in names.items()},
        },
    }


def _envelope(schema: Node, data: str) -> Node:
    properties = {**schema["properties"], "data": {}}
    found = _typed({**schema, "properties": properties})
    found["properties"]["data"] = _component(data)
    return found


def _typed(schema: Mapping[str, Any]) -> Node:
    """Return a schema of a response without what types cannot express."""
    found: Node = {}
    for key, part in schema.items():
        if key == "$ref":
            name = part.rpartition("/")[2]
            if name[0].isupper():
                return _component(name)
            found |= _typed(document("status-response.json")["$defs"][name])
        elif key == "properties":
            found[key] = {name: _typed(entry) for name, entry in part.items()}
        elif key in {"items", "contentSchema"}:
            found[key] = _typed(part)
        elif key == "const":
            found |= {"type": "integer" if isinstance(part, int) else "string", key: part}
        elif (key, part) == ("type", "integer") and "maximum" not in schema:
            found |= {"type": "integer", "format": "int64"}  # milliseconds since 1970 are long
        elif key not in _UNTYPED:
            found[key] = part
    return found


def _request(terms: Contract) -> Node:
    """Return the type of the submit body: what all rules demand, as far as types can say so."""
    found: Node = {}
    for rule in terms.rules:
        _demand(found, rule.schema)
        if "if" in rule.schema and "required" in rule.schema["then"]:
            # No type, but validators read it and generators pass over it.
            found |= {key: rule.schema[key] for key in ("if", "then")}
    return _described(found, document("submit-request.json"))


def _demand(into: Node, schema: Mapping[str, Any]) -> None:
    """Add to a type what a rule demands; what types cannot express is left out."""
    for name, entry in schema.get("properties", {}).items():
        _demand(into.setdefault("properties", {}).setdefault(name, {}), entry)
    if "items" in schema:
        _demand(into.setdefault("items", {}), schema["items"])
    if "then" in schema:  # its types hold in every mode, what it requires does not
        _demand(into, {**schema["then"], "required": []})
    if "anyOf" in schema:  # a choice with space around it, in a profile
        _demand(into, schema["anyOf"][0])
    if schema.get("required"):
        into["required"] = [*into.get("required", []), *schema["required"]]
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        into["type"] = next(kind for kind in kinds if kind != "null")
    if "enum" in schema:
        # Null counts as omitted; of a choice in any letter case the first form is the type.
        forms = [form for form in schema["enum"] if form is not None]
        names = {form.lower(): form for form in reversed(forms)}
        into |= {"type": "string", "enum": list(names.values())[::-1]}
    into |= {key: schema[key] for key in _LIMITS if key in schema}


def _described(types: Node, notes: Mapping[str, Any]) -> Node:
    """Return types with the descriptions and defaults of a document, in its order."""
    kept = {key: notes[key] for key in ("description", "default", *_NOTES) if key in notes}
    fields = notes.get("properties", {})
    known = types.get("properties", {})
    found = {**kept, **types}
    if fields:
        found["properties"] = {
            name: _described(known.get(name, {}), entry) for name, entry in fields.items()
        }
    for name in types.get("required", ()):  # by a profile what has a default may be required
        found["properties"][name].pop("default", None)
    return found


# --- single schemas --------------------------------------------------------------------------


def callback_schema() -> Node:
    """Return the JSON Schema of a callback's body: the status answer of a task that has ended."""
    status = document("status-response.json")
    dropped = {"PendingTask", "ProcessingTask"}
    finals = [{"$ref": f"#/$defs/{name}"} for name in ("SuccessfulTask", "FailedTask")]
    return {
        **status,
        "$id": "callback.json",
        "title": "Callback payload",
        "description": "Posted to callback_url once the task has ended: the status answer's envelope.",
        "x-grade": "platform",
        "x-source": ["image-upscaler#webhook-callback-mode", "P4"],
        "properties": {**status["properties"], "data": {"oneOf": finals}},
        "$defs": {name: part for name, part in status["$defs"].items() if name not in dropped},
        "examples": [body for body in status["examples"] if "completeTime" in body["data"]],
    }


def result_schema() -> Node:
    """Return the JSON Schema of the text ``resultJson``."""
    status = document("status-response.json")
    return {
        "$schema": status["$schema"],
        "$id": "result-json.json",
        "title": "Parsed resultJson",
        "x-grade": "documented",
        "x-source": ["image-upscaler#poll-for-result"],
        **status["$defs"]["ResultPayload"],
        "examples": [{"resultUrls": ["https://file.apixo.ai/upscaled-image.jpg"]}],
    }


def derived_documents() -> dict[str, Node]:
    """Return the documents of ``v1/`` that are made from others, by file name.

    They are shipped as files, so that tools can read them; see ``make tables``.
    """
    return {
        "callback.json": callback_schema(),
        "openapi.json": openapi_document(terms=published_contract()),
        "result-json.json": result_schema(),
    }


# --- the vendor's model index (platform fact P13) ----------------------------------------------


def model_index() -> Node:
    """Return what ``/docs/models/schemas/index.json`` answers."""
    model = document("model.json")
    names = ("model_id", "slug", "category", "title", "integration_type", "schema_path", "doc_path")
    return {
        "schema_version": _INDEX_VERSION,
        "generated_at": _INDEX_DATE,
        "total_models": 1,
        "models": [{name: model["id" if name == "model_id" else name] for name in names}],
    }


def model_schema() -> Node:
    """Return what the index's ``schema_path`` answers: endpoints, price and the schemas.

    The vendor's form of this document is not known; tools pass it on as it is.
    """
    model = document("model.json")
    return {
        "schema_version": _INDEX_VERSION,
        "model_id": model["id"],
        **{name: model[name] for name in ("title", "category", "integration_type")},
        "endpoints": {name: model["api"][name] for name in ("submit", "status")},
        "pricing": {key: model["price"][key] for key in ("usd", "unit")},
        "request_schema": document("submit-request.json"),
        "response_schema": document("submit-response.json"),
        "status_schema": document("status-response.json"),
    }
