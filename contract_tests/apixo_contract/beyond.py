"""What answers held beyond the contract: fields, states, failure codes, headers. Never a failure.

An API grows by adding. A reader of the report learns of it before it matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from apixo_contract.observations import Purpose
from apixo_contract.report.model import Beyond
from apixo_contract.text import as_json, clipped
from apixo_contract.view import ENDED, RUNNING, View, result_of
from apixo_schemas import contract, document

_MOST = 40
_LONGEST_NAME = 80
# Headers of HTTP itself, of servers, caches and proxies: they say nothing about the API.
_USUAL_HEADERS = frozenset(
    [
        "accept",
        "accept-ranges",
        "access-control-allow-credentials",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-allow-origin",
        "access-control-expose-headers",
        "access-control-max-age",
        "age",
        "allow",
        "alt-svc",
        "cache-control",
        "cf-cache-status",
        "cf-ray",
        "connection",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-security-policy",
        "content-type",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "date",
        "etag",
        "expires",
        "keep-alive",
        "last-modified",
        "link",
        "location",
        "nel",
        "permissions-policy",
        "pragma",
        "proxy-authenticate",
        "referrer-policy",
        "report-to",
        "retry-after",
        "server",
        "server-timing",
        "set-cookie",
        "strict-transport-security",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "x-cache",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-xss-protection",
    ]
)


class _Counts:
    """Counts what was seen, with the first value of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[int, str]] = {}

    def add(self, kind: str, name: Any, where: str, example: Any = None) -> None:
        key = (kind, clipped(name, _LONGEST_NAME), where)
        count, first = self._found.get(key, (0, as_json(example) if example is not None else ""))
        self._found[key] = (count + 1, first)

    def __iter__(self) -> Iterator[Beyond]:
        most_often = sorted(self._found.items(), key=lambda item: -item[1][0])
        for (kind, name, where), (count, example) in most_often[:_MOST]:
            yield Beyond(kind, name, where, count, example)


@cache
def _known(name: str) -> frozenset[str]:
    """Return the members that a kind of object has by the schemas."""
    if name == "envelope":
        return frozenset({"code", "message", "data"})
    if name == "submit":
        return frozenset(document("submit-response.json")["properties"]["data"]["properties"])
    kinds = document("status-response.json")["$defs"]
    if name == "result":
        return frozenset(kinds["ResultPayload"]["properties"])
    return frozenset(m for kind in kinds.values() for m in kind.get("properties", ()))


def seen_beyond(view: View) -> Iterator[Beyond]:
    """Return what the answers and callbacks of a run held beyond the contract, by frequency."""
    found = _Counts()
    for call in view.api:
        where = _place(call.purpose)
        _members(found, call.envelope, "envelope", "")
        if call.succeeded and call.task:
            kind = "submit" if call.method == "POST" else "status"
            _task(found, call.task, kind, where)
        for header in call.answer_headers:
            if header.lower() not in _USUAL_HEADERS:
                found.add("header", header, "answers", call.answer_headers[header])
    for callback in view.run.callbacks:
        if isinstance(callback.json, dict):
            _members(found, callback.json, "envelope", "callback ")
        _task(found, callback.task, "status", "callbacks")
    return iter(found)


def _place(purpose: Purpose) -> str:
    polls = (Purpose.POLL, Purpose.POLL_AGAIN)
    return "status answers" if purpose in polls else "submit answers"


def _members(found: _Counts, value: Mapping[str, Any], kind: str, prefix: str) -> None:
    for name in sorted(set(value) - _known(kind)):
        found.add("field", name, f"{prefix}{kind}", value[name])


def _task(found: _Counts, task: Mapping[str, Any], kind: str, where: str) -> None:
    for name in sorted(set(task) - _known(kind)):
        found.add("field", f"data.{name}", where, task[name])
    result = result_of(task)
    for name in sorted(set(result or {}) - _known("result")):
        found.add("field", f"resultJson.{name}", where, (result or {})[name])
    state, code = task.get("state"), task.get("failCode")
    if isinstance(state, str) and state and state not in (*RUNNING, *ENDED):
        found.add("state", state, where)
    if isinstance(code, str) and code and code not in contract().failures:
        found.add("fail code", code, where)
