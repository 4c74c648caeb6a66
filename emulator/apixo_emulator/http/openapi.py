"""Documents that the emulator publishes: the control API as OpenAPI 3.1, and JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from apixo_emulator.domain.control_names import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.rule_schema import scenario_file_schema
from apixo_emulator.service.operator import NotFoundError
from apixo_schemas import document_names, document_text

if TYPE_CHECKING:
    from apixo_emulator.http.operations import Operation

_OWN = {"scenarios.json": scenario_file_schema, "expectation.json": expectation_schema}
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


@cache
def schema_names() -> tuple[str, ...]:
    """Return the names of all published schemas: the API's, and those of the emulator's own files."""
    return tuple(sorted((*document_names(), *_OWN)))


@cache
def schema_document(name: str) -> str:
    """Return a published schema as text.

    Raises:
        NotFoundError: There is none of this name.
    """
    if name in _OWN:
        return orjson.dumps(_OWN[name]()).decode()
    if name not in document_names():
        raise NotFoundError(f"no schema {name!r}; there are: {', '.join(schema_names())}")
    return document_text(name)


def openapi(operations: Iterable[Operation], server: str) -> dict[str, Any]:
    """Return the description of the control API of the emulator at the base URL ``server``."""
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
    for operation in operations:
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
