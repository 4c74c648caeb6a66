"""The journal as HAR 1.2, which browsers and many tools read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from apixo_emulator.domain.instants import iso_instant
from apixo_emulator.journal.entry import JournalEntry, Shown, as_text

_CREATOR = {"name": "apixo-emulator", "version": "1"}
_HTTP = "HTTP/1.1"


def har(entries: Iterable[JournalEntry]) -> dict[str, Any]:
    """Give a HAR document of calls; secrets are masked in the entries already."""
    return {
        "log": {
            "version": "1.2",
            "creator": _CREATOR,
            "entries": [_entry(entry) for entry in entries],
        }
    }


def _entry(entry: JournalEntry) -> dict[str, Any]:
    duration_ms = entry.duration_us / 1000
    return {
        "startedDateTime": iso_instant(entry.at_ms),
        "time": duration_ms,
        "request": _request(entry),
        "response": _response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": duration_ms, "receive": 0},
        "comment": entry.decision,
    }


def _request(entry: JournalEntry) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": entry.method,
        "url": entry.address,
        "httpVersion": _HTTP,
        "cookies": [],
        "headers": _pairs(entry.request_headers),
        "queryString": _pairs(parse_qsl(entry.query, keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": entry.request_bytes,
    }
    if entry.request_body:
        text, encoding = as_text(entry.request_body)
        posted = {"mimeType": _media_type(entry.request_headers), "text": text}
        # HAR 1.2 has an encoding for answers only; names of one's own begin with an underscore.
        request["postData"] = posted | ({"_encoding": encoding} if encoding else {})
    return request


def _response(entry: JournalEntry) -> dict[str, Any]:
    text, encoding = as_text(entry.response_body)
    content: dict[str, Any] = {
        "size": entry.response_bytes,
        "mimeType": _media_type(entry.response_headers),
        "text": text,
    }
    if encoding:
        content["encoding"] = encoding
    return {
        "status": entry.status,
        "statusText": "",
        "httpVersion": _HTTP,
        "cookies": [],
        "headers": _pairs(entry.response_headers),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": entry.response_bytes,
    }


def _pairs(pairs: Shown | list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _media_type(headers: Shown) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")
