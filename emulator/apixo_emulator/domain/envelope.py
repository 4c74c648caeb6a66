"""The one envelope of every answer: ``{code, message, data}`` (platform fact P1)."""

from __future__ import annotations

from functools import cache

import orjson

from apixo_emulator.domain.wire import JSON_HEADERS, HttpResponse
from apixo_schemas import contract, error_body


def envelope(code: int, message: str, data: bytes) -> bytes:
    """Render an envelope around ``data``, which is JSON already."""
    return b'{"code":%d,"message":%b,"data":%b}' % (code, orjson.dumps(message), data)


@cache
def _success_parts() -> tuple[bytes, bytes]:
    head, _, tail = envelope(200, contract().success_message, b"\0").partition(b"\0")
    return head, tail


def success(data: bytes) -> HttpResponse:
    """Answer 200 with ``data``, which is JSON already."""
    head, tail = _success_parts()
    return HttpResponse(200, head + data + tail)


@cache
def without_data() -> HttpResponse:
    """Answer 200 with an envelope that has no ``data``."""
    return as_json({"code": 200, "message": contract().success_message})


def failure(status: int, message: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    """Return an error; ``code`` repeats the status, ``data`` is as the assumption ``error.data``."""
    body = orjson.dumps(error_body(status, message, contract().assumed("error.data")))
    return HttpResponse(status, body, JSON_HEADERS + headers)


def rejection(message: str) -> HttpResponse:
    """Return the refusal of a body that breaks a rule."""
    return failure(contract().refused_status, message)


def refusal(error_id: str, *headers: tuple[bytes, bytes]) -> HttpResponse:
    """Answer an error of the catalogue, e.g. ``task_not_found``."""
    entry = contract().errors[error_id]
    return failure(entry.status, entry.message, *headers)


def as_json(value: object) -> HttpResponse:
    """Answer 200 with a plain JSON document, outside the envelope."""
    return HttpResponse(200, orjson.dumps(value))
