"""What a caller gets instead of an answer, or in its place."""

from __future__ import annotations

import orjson

from apixo_emulator.domain.effects import Fault, ResultEffects
from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.instants import http_date
from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_schemas import contract, error_body

# What a gateway in front of an API says when it cannot reach it: no JSON, no envelope.
_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>gateway</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_RESULT_PAGE = b"<!doctype html><title>Sign in</title><h1>Sign in to see this file</h1>"
_MISSING_BYTES = 64
_GATEWAY = HttpResponse(502, _GATEWAY_PAGE, ((b"content-type", b"text/html"),))


def answered_instead(fault: Fault, now_ms: int) -> HttpResponse | None:
    """Return the answer to a call that a fault keeps from having any effect, damaged if it says so.

    None where the call takes effect and only its answer is damaged.
    """
    if fault.error is None:
        return _GATEWAY if fault.wire is WireFault.HTML else None
    form = fault.retry_after_form
    wait = () if fault.retry_after_s is None else retry_after(fault.retry_after_s, now_ms, form)
    error = _with_data(refusal(fault.error, *wait), fault.error_data)
    return error if fault.wire is None else damaged(error, fault.wire)


def _with_data(error: HttpResponse, form: str | None) -> HttpResponse:
    """Return an error whose ``data`` is absent, or an object that repeats the message (P2)."""
    if form is None:
        return error
    entry = orjson.loads(error.body)
    data = {"error": "$message"} if form == "object" else form
    return error._replace(body=orjson.dumps(error_body(entry["code"], entry["message"], data)))


def damaged(response: HttpResponse, wire: WireFault) -> HttpResponse:
    """Return a damaged answer: in its bytes where they show it, else in a note to the adapter."""
    if wire is WireFault.INVALID_JSON:
        return response._replace(body=response.body[: len(response.body) // 2])
    if wire is WireFault.HTML:
        return _GATEWAY
    return response._replace(fault=wire)


def result_answer(picture: PictureSpec, result: ResultEffects) -> HttpResponse:
    """Return the answer of a result's address, with what a scenario has in store for it."""
    if result.missing:
        return refusal("result_not_found")
    if result.html:
        return HttpResponse(200, _RESULT_PAGE, ((b"content-type", b"text/html"),))
    return HttpResponse(200, b"", (), picture=picture, delay_ms=result.delay_ms)


def announced_bytes(response: HttpResponse) -> int:
    """Return the length that an answer announces; of a truncated one more than comes."""
    missing = _MISSING_BYTES if response.fault is WireFault.TRUNCATED else 0
    return len(response.body) + missing


def retry_after(
    seconds: int, now_ms: int, form: str | None = None
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header of a 429, if any; its form is assumption ``retry_after`` unless given."""
    match form or contract().assumed("retry_after"):
        case "seconds":
            return ((b"retry-after", b"%d" % seconds),)
        case "date":
            return ((b"retry-after", http_date(now_ms + seconds * 1000).encode()),)
    return ()
