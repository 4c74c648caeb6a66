"""What a target shows beyond the contract: fields, states, failure codes, headers, accepted values.

It is never a failure. An API grows by adding; a reader of the report learns of it before it matters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from apixo_contract.observations import Purpose
from apixo_contract.oracle import CASE
from apixo_contract.report.model import Beyond
from apixo_contract.text import as_json, clipped
from apixo_contract.view import ENDED, RUNNING, View, result_of
from apixo_schemas import contract, document

# The kind, the name, the place and a value of what was seen.
Found = tuple[str, str, str, Any]

_MOST = 40
_LONGEST_NAME = 80
# Headers of HTTP itself, of servers, caches and proxies: they say nothing about the API.
_USUAL_HEADERS = re.compile(
    r"(access-control|cf|content|cross-origin|proxy|x-cache|x-frame)(-.*)?|accept(-ranges)?|age|allow"
    r"|alt-svc|cache-control|connection|date|etag|expires|keep-alive|last-modified|link|location|nel"
    r"|permissions-policy|pragma|referrer-policy|retry-after|server(-timing)?|set-cookie"
    r"|strict-transport-security|trailer|transfer-encoding|upgrade|vary|via|warning|www-authenticate"
    r"|x-content-type-options|x-powered-by|x-xss-protection",
    re.IGNORECASE,
)


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


def seen_beyond(view: View) -> list[Beyond]:
    """Return what the answers and callbacks of a run held beyond the contract, by frequency."""
    counts: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    for kind, name, where, example in _found(view):
        key = kind, clipped(name, _LONGEST_NAME), where
        counts[key] += 1
        examples.setdefault(key, as_json(example) if example is not None else "")
    most_often = counts.most_common(_MOST)
    return [Beyond(*key, count, examples[key]) for key, count in most_often]


def _found(view: View) -> Iterator[Found]:
    for call in view.api:
        polled = call.purpose in (Purpose.POLL, Purpose.POLL_AGAIN)
        yield from _members(call.envelope, "envelope", "envelope")
        if call.succeeded:
            kind = "submit" if call.method == "POST" else "status"
            yield from _task(call.task, kind, "status answers" if polled else "submit answers")
        for header, value in call.answer_headers.items():
            if not _USUAL_HEADERS.fullmatch(header):
                yield "header", header, "answers", value
    for found in view.submits:
        # Nothing is said about the case of other values than `resolution` and `output_format`.
        if found.succeeded and found.expected is not None and found.expected.doubts == {CASE}:
            yield "accepted value", f"mode {as_json(found.asked.get('mode'))}", "submits", None
    for callback in view.run.callbacks:
        if isinstance(callback.json, dict):
            yield from _members(callback.json, "envelope", "callback envelope")
        yield from _task(callback.task, "status", "callbacks")


def _members(value: Mapping[str, Any], kind: str, where: str, prefix: str = "") -> Iterator[Found]:
    for name in sorted(set(value) - _known(kind)):
        yield "field", f"{prefix}{name}", where, value[name]


def _task(task: Mapping[str, Any], kind: str, where: str) -> Iterator[Found]:
    yield from _members(task, kind, where, "data.")
    yield from _members(result_of(task) or {}, "result", where, "resultJson.")
    state, code = task.get("state"), task.get("failCode")
    if isinstance(state, str) and state and state not in (*RUNNING, *ENDED):
        yield "state", state, where, None
    if isinstance(code, str) and code and code not in contract().failures:
        yield "fail code", code, where, None
