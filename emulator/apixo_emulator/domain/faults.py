"""What a caller gets instead of an answer, or in its place."""

from __future__ import annotations

from apixo_emulator.domain.effects import Fault
from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.instants import http_date
from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_schemas import contract

# What a gateway in front of an API says when it cannot reach it: no JSON, no envelope.
_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>gateway</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
_MISSING_BYTES = 64
_GATEWAY = HttpResponse(502, _GATEWAY_PAGE, ((b"content-type", b"text/html"),))


def answered_instead(fault: Fault, now_ms: int) -> HttpResponse | None:
    """Give the answer to a call that a fault keeps from having any effect, damaged if it says so.

    None where the call takes effect and only its answer is damaged.
    """
    if fault.error is None:
        return _GATEWAY if fault.wire is WireFault.HTML else None
    wait = () if fault.retry_after_s is None else retry_after(fault.retry_after_s, now_ms)
    error = refusal(fault.error, *wait)
    return error if fault.wire is None else damaged(error, fault.wire)


def damaged(response: HttpResponse, wire: WireFault) -> HttpResponse:
    """Damage an answer: here where bytes say it, else as a note to whoever sends it."""
    if wire is WireFault.INVALID_JSON:
        return response._replace(body=response.body[: len(response.body) // 2])
    if wire is WireFault.HTML:
        return _GATEWAY
    return response._replace(fault=wire)


def announced_bytes(response: HttpResponse) -> int:
    """Give the length that an answer announces; of a truncated one more than comes."""
    missing = _MISSING_BYTES if response.fault is WireFault.TRUNCATED else 0
    return len(response.body) + missing


def retry_after(seconds: int, now_ms: int) -> tuple[tuple[bytes, bytes], ...]:
    """Give the header of a 429, if any: assumption ``retry_after``."""
    match contract().assumed("retry_after"):
        case "seconds":
            return ((b"retry-after", b"%d" % seconds),)
        case "date":
            return ((b"retry-after", http_date(now_ms + seconds * 1000).encode()),)
    return ()
