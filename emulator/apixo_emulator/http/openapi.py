"""Documents that the emulator publishes: the control API as OpenAPI 3.1, and JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.http.control_types import components, list_of, record, ref, typed
from apixo_emulator.http.operations import OPERATIONS, Operation
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.schema import scenario_file_schema
from apixo_emulator.settings import config_schema
from apixo_schemas import document, document_names, openapi_document

_PARAMETER = re.compile(r"\{(\w+)\}")
_ERRORS = {
    "400": "The request is not what the operation takes",
    "403": "The client may not control the emulator",
    "404": "There is nothing of this name",
    "409": "Its parts contradict each other, or it cannot be done now",
    "503": "The store cannot be reached",
}
_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1}
_WORLD = {
    "name": "world",
    "in": "query",
    "description": "The world to act on; without it the one that is always there.",
    "schema": _TEXT,
}


# Schemas of the emulator's own files and bodies, beside those of the contract.
_OWN: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "config.json": config_schema,
    "expectation.json": expectation_schema,
    "scenarios.json": scenario_file_schema,
}
_DEFAULT_ORIGIN = "http://127.0.0.1:8787"
# Shorter names for the schemas that people ask for most.
_ALIASES = {
    "request": "submit-request",
    "submit": "submit-response",
    "status": "status-response",
    "result": "result-json",
}


def schema_names() -> list[str]:
    """Return the file names of all published documents, sorted."""
    return sorted([*document_names(), *_OWN, "control.json"])


def schema_document(name: str, origin: str | None = None) -> Mapping[str, Any]:
    """Return a published document by its file name, with or without ``.json``, or a short name.

    Args:
        name: E.g. ``status-response.json``, ``status-response`` or ``status``.
        origin: The emulator that serves the document; None for the document as it is shipped.

    Raises:
        KeyError: There is none of this name.
    """
    short = name.removesuffix(".json")
    name = f"{_ALIASES.get(short, short)}.json"
    if name == "control.json":
        return control_document(origin or _DEFAULT_ORIGIN)
    if name == "openapi.json" and origin is not None:
        return openapi_document(origin)
    if name in _OWN:
        return _OWN[name]()
    if name not in document_names():
        raise KeyError(f"no schema {short!r}; there are: {', '.join(schema_names())}")
    found: Mapping[str, Any] = document(name)
    return found


# --- the control API -------------------------------------------------------------------------


def control_document(server: str) -> dict[str, Any]:
    """Return the control API of the emulator at ``server`` as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(CONTROL_PREFIX + operation.path, {})
        path[operation.method.lower()] = _operation(operation)
    paths |= {CONTROL_PREFIX + name: {"get": found} for name, found in _open_operations().items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "apixo-emulator control API",
            "version": "1.0.0",
            "description": (
                "Controls a running emulator: its clock, scenarios, tasks, callbacks and journal."
                " Programs on the same machine need no token."
            ),
            "contact": {"name": "The apixo-emulator maintainers"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server}],
        "security": [{}, {"token": []}],
        "tags": [{"name": "control", "description": "Operations on a world of the emulator."}],
        "paths": paths,
        "components": {
            "schemas": components(),
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _NAME}
        for name in _PARAMETER.findall(operation.path)
    ]
    query = [
        {"name": name, "in": "query", "schema": typed(schema)}
        for name, schema in operation.query.items()
    ]
    found = {
        **_described(operation.id, operation.summary),
        "parameters": [*path, *query, _WORLD],
        "responses": {
            "200": _result(operation.returns),
            **{status: _error(words) for status, words in _ERRORS.items()},
        },
    }
    if isinstance(operation.body, str):
        found["requestBody"] = _body(ref(operation.body), required=True)
    elif operation.body is not None:
        found["requestBody"] = _body(
            typed(operation.body), required=bool(operation.body["required"])
        )
    return found


def _body(schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _open_operations() -> dict[str, dict[str, Any]]:
    """Return the operations that are not about a world: what they return is the same for all."""
    names = record("The names of the published documents.", schemas=list_of({"type": "string"}))
    document = {"type": "object", "additionalProperties": True}
    by_name = {"name": "name", "in": "path", "required": True, "schema": _NAME}
    return {
        "health": {
            **_described("getHealth", "Whether requests are answered"),
            "responses": {"200": _result(ref("Health"))},
        },
        "openapi.json": {
            **_described("getOpenapi", "This document"),
            "responses": {"200": _result(document)},
        },
        "schemas": {
            **_described("listSchemas", "The names of the published JSON Schemas"),
            "responses": {"200": _result(names)},
        },
        "schemas/{name}": {
            **_described("getSchema", "A published JSON Schema"),
            "parameters": [by_name],
            "responses": {"200": _result(document), "404": _error(_ERRORS["404"])},
        },
        "events": {
            **_described("streamEvents", "What happens, as server-sent events, without end"),
            "parameters": [_WORLD],
            "responses": {
                "200": _result(None, "text/event-stream"),
                **{status: _error(_ERRORS[status]) for status in ("403", "404")},
            },
        },
    }


def _described(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": f"{summary}.",
        "tags": ["control"],
    }


def _result(schema: Mapping[str, Any] | None, text_type: str = "text/plain") -> dict[str, Any]:
    content = {"application/json": {"schema": schema}} if schema else {text_type: {"schema": _TEXT}}
    return {"description": "Done", "content": content}


def _error(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": ref("Error")}}}
