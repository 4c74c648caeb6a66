"""The control API's OpenAPI 3.1 document, made from the table of verbs."""

from __future__ import annotations

import re
from typing import Any

from apixo_emulator.domain.control_names import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.http.verbs import VERBS, Verb

_PARAMETER = re.compile(r"\{(\w+)\}")
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_ERRORS = {
    "400": "The call is not what the verb takes",
    "403": "The caller may not steer",
    "404": "There is nothing of this name",
    "409": "It cannot be done now",
}


def openapi(server: str) -> dict[str, Any]:
    """Describe the control API of the emulator at the origin ``server``."""
    paths: dict[str, dict[str, Any]] = {
        CONTROL_PREFIX + "health": {
            "get": {
                "operationId": "health",
                "summary": "Whether calls are answered; open to all",
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
    for verb in VERBS:
        paths.setdefault(CONTROL_PREFIX + verb.path, {})[verb.method.lower()] = _operation(verb)
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


def _operation(verb: Verb) -> dict[str, Any]:
    name = re.sub(r"\W+", "-", _PARAMETER.sub("one", verb.path)).strip("-")
    found: dict[str, Any] = {
        "operationId": f"{verb.method.lower()}-{name}",
        "summary": verb.summary,
        "parameters": [*_path(verb), *_query(verb), _world()],
        "responses": {
            "200": {"description": "Done"},
            **{status: _response(words) for status, words in _ERRORS.items()},
        },
    }
    if verb.body is not None:
        found["requestBody"] = {
            "required": bool(verb.body.get("required")),
            "content": {"application/json": {"schema": verb.body}},
        }
    return found


def _response(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _ERROR}}}


def _path(verb: Verb) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(verb.path)
    ]


def _query(verb: Verb) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in verb.query.items()]


def _world() -> dict[str, Any]:
    return {
        "name": "world",
        "in": "query",
        "description": "The world to act on; without it the one that is always there",
        "schema": {"type": "string"},
    }
