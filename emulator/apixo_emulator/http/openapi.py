"""Documents that the emulator publishes: the control API as OpenAPI 3.1, and JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.http.operations import OPERATIONS, Operation
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.schema import scenario_file_schema
from apixo_emulator.settings import config_schema
from apixo_schemas import document, document_names, openapi_document

_PARAMETER = re.compile(r"\{(\w+)\}")
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_ERRORS = {
    "400": "The request is not what the operation takes",
    "403": "The client may not control the emulator",
    "404": "There is nothing of this name",
    "409": "It cannot be done now",
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


def control_document(server: str) -> dict[str, Any]:
    """Return the control API of the emulator at ``server`` as an OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {
        CONTROL_PREFIX + "health": {
            "get": {
                "operationId": "health",
                "summary": "Whether requests are answered; open to all",
                "responses": {"200": {"description": "Yes"}},
            }
        },
        CONTROL_PREFIX + "events": {
            "get": {
                "operationId": "events",
                "summary": "What happens, as server-sent events",
                "parameters": [_world()],
                "responses": {
                    "200": {"description": "Events", "content": {"text/event-stream": {}}},
                    "403": _response(_ERRORS["403"]),
                },
            }
        },
    }
    for operation in OPERATIONS:
        path = paths.setdefault(CONTROL_PREFIX + operation.path, {})
        path[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "apixo-emulator control", "version": "1"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}}
        },
        # On this machine no token is needed.
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    name = re.sub(r"\W+", "-", _PARAMETER.sub("one", operation.path)).strip("-")
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]
    query = [
        {"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()
    ]
    found: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}-{name}",
        "summary": operation.summary,
        "parameters": [*path, *query, _world()],
        "responses": {
            "200": {"description": "Done"},
            **{status: _response(words) for status, words in _ERRORS.items()},
        },
    }
    if operation.body is not None:
        found["requestBody"] = {
            "required": bool(operation.body.get("required")),
            "content": {"application/json": {"schema": operation.body}},
        }
    return found


def _response(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _ERROR}}}


def _world() -> dict[str, Any]:
    return {
        "name": "world",
        "in": "query",
        "description": "The world to act on; without it the one that is always there",
        "schema": {"type": "string"},
    }
