"""Documents that the emulator publishes: the control API as OpenAPI 3.1, and JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apixo_emulator.config_file import config_schema
from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.http.control_types import OBJECT, TEXT, components, list_of, record, ref, typed
from apixo_emulator.http.operations import OPERATIONS, Operation
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.schema import scenario_file_schema
from apixo_schemas import document, document_names, openapi_document

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


# The control API

_ERRORS = {
    "400": "The request is not what the operation takes",
    "403": "The client may not control the emulator",
    "404": "There is nothing of this name",
    "409": "Its parts contradict each other, or it cannot be done now",
    "413": "The body is too large",
    "503": "The store cannot be reached",
}
_WORLD = {
    "name": "world",
    "in": "query",
    "description": "The world to act on; without it the one that is always there.",
    "schema": TEXT,
}


def control_document(server: str) -> dict[str, Any]:
    """Return the control API of the emulator at ``server`` as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(CONTROL_PREFIX + operation.path, {})
        path[operation.method.lower()] = _described(operation)
    paths |= {CONTROL_PREFIX + path: {"get": found} for path, found in _open_operations().items()}
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


def _described(operation: Operation) -> dict[str, Any]:
    query = [
        {"name": name, "in": "query", "schema": typed(schema)}
        for name, schema in operation.query.items()
    ]
    found = _entry(operation.id, operation.path, operation.summary, _answer(operation), *_ERRORS)
    found["parameters"] = [*found["parameters"], *query, _WORLD]
    if operation.body is not None:
        found["requestBody"] = (
            {"required": True, "content": _json(ref(operation.body))}
            if isinstance(operation.body, str)
            else {
                "required": bool(operation.body["required"]),
                "content": _json(typed(operation.body)),
            }
        )
    return found


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.returns is None:
        return {"text/plain": {"schema": TEXT}}
    one = ref(operation.returns)
    if not operation.many:
        return _json(one)
    return _json(record(f"A list of {operation.many}.", **{operation.many: list_of(one)}))


def _open_operations() -> dict[str, dict[str, Any]]:
    """Return what is not an operation on a world, and the stream of events, which never ends."""
    events = "What happens, as server-sent events, without end"
    stream = _entry(
        "streamEvents", "", events, {"text/event-stream": {"schema": TEXT}}, "403", "404"
    )
    schema = "schemas/{name}"
    return {
        "health": _entry("getHealth", "", "Whether requests are answered", _json(ref("Health"))),
        "openapi.json": _entry("getOpenapi", "", "This document", _json(OBJECT)),
        "schemas": _entry(
            "listSchemas",
            "",
            "The names of the published JSON Schemas",
            _json(ref("SchemaNames")),
        ),
        schema: _entry("getSchema", schema, "A published JSON Schema", _json(OBJECT), "404"),
        "events": {**stream, "parameters": [_WORLD]},
    }


def _entry(
    operation_id: str, path: str, summary: str, content: Mapping[str, Any], *errors: str
) -> dict[str, Any]:
    name = {"type": "string", "minLength": 1}
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": f"{summary}.",
        "tags": ["control"],
        "parameters": [
            {"name": part, "in": "path", "required": True, "schema": name}
            for part in re.findall(r"\{(\w+)\}", path)
        ],
        "responses": {
            "200": {"description": "Done", "content": content},
            **{
                status: {"description": _ERRORS[status], "content": _json(ref("Error"))}
                for status in errors
            },
        },
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
