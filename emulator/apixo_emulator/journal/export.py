"""Calls of the journal for other tools: as HAR 1.2, and as curl commands."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from shlex import quote
from typing import Any
from urllib.parse import parse_qsl

from apixo_emulator.domain.clock import iso_instant
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.journal.entry import JournalEntry, Shown, as_text
from apixo_emulator.journal.secrets import HIDDEN

_CREATOR = {"name": "apixo-emulator", "version": "1"}
_HTTP = "HTTP/1.1"

_KEY_HEADER = '"Authorization: Bearer $APIXO_API_KEY"'
# curl adds these itself; the header of the key is written with a variable.
_ADDED_BY_CURL = {
    *("accept", "accept-encoding", "authorization", "connection", "content-length", "host"),
    *("transfer-encoding", "user-agent"),
}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Characters that change what a terminal shows: controls, line separators, changes of direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CUT = "# The journal keeps both ends of a long body only: put the rest in.\n"
_MASKED = f"# Secrets stand here as {HIDDEN}: put them in.\n"
_LINE = " \\\n  "


def har(entries: Iterable[JournalEntry]) -> dict[str, Any]:
    """Return a HAR document of calls; their secrets are masked already."""
    return {
        "log": {
            "version": "1.2",
            "creator": _CREATOR,
            "entries": [_har_entry(entry) for entry in entries],
        }
    }


def _har_entry(entry: JournalEntry) -> dict[str, Any]:
    duration_ms = entry.duration_us / 1000
    return {
        "startedDateTime": iso_instant(entry.at_ms),
        "time": duration_ms,
        "request": _har_request(entry),
        "response": _har_response(entry),
        "cache": {},
        "timings": {"send": 0, "wait": duration_ms, "receive": 0},
        "comment": entry.decision,
    }


def _har_request(entry: JournalEntry) -> dict[str, Any]:
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
        # HAR 1.2 has an encoding for responses only; names of one's own begin with an underscore.
        request["postData"] = posted | ({"_encoding": encoding} if encoding else {})
    return request


def _har_response(entry: JournalEntry) -> dict[str, Any]:
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


def curl(entry: JournalEntry) -> str:
    """Return a command for a POSIX shell that makes a call again, with the key of ``APIXO_API_KEY``.

    The texts are those of the caller, so each is quoted: the command does nothing but make the call.
    """
    url = entry.address
    headers = [pair for pair in entry.request_headers if _can_be_sent(*pair)]
    how = "--head" if entry.method == "HEAD" else f"-X {quote(entry.method)}"
    words = [f"curl {how} {quote(url)}"]
    if any(character in url for character in "[]{}"):
        words.append("--globoff")
    if any(name.lower() == "authorization" for name, _ in entry.request_headers):
        words.append(f"-H {_KEY_HEADER}")
    words += [f"-H {quote(f'{name}: {value}' if value else f'{name};')}" for name, value in headers]
    if entry.request_body and not any(name.lower() == "content-type" for name, _ in headers):
        words.append("-H 'Content-Type:'")  # curl would say that it is a form
    if entry.endpoint == Endpoint.FILE and entry.method != "HEAD":
        words.append(f"--output {quote(url.rpartition('/')[2] or 'result')}")
    return _note(entry) + _with_body(entry.request_body, words)


def _with_body(body: bytes, words: list[str]) -> str:
    """Append the body; bytes that are no text that a shell could take come through a pipe."""
    if not body:
        return _LINE.join(words)
    text, encoding = as_text(body)
    if encoding is None and not _CONTROL.search(text):
        return _LINE.join([*words, f"--data-raw {quote(text)}"])
    encoded = base64.b64encode(body).decode()
    piped = _LINE.join([*words, "--data-binary @-"])
    return f"printf %s {encoded} | base64 --decode | {piped}"


def _can_be_sent(name: str, value: str) -> bool:
    """Return whether a header makes the call what it is, and can be written down."""
    known = name.lower() not in _ADDED_BY_CURL and HIDDEN not in value
    return known and bool(_HEADER_NAME.fullmatch(name)) and value.isascii() and value.isprintable()


def _note(entry: JournalEntry) -> str:
    """Return a comment on what has to be put in by hand; empty where the command is complete."""
    if entry.request_cut:
        return _CUT
    is_masked = HIDDEN in entry.query or HIDDEN.encode() in entry.request_body
    return _MASKED if is_masked else ""
