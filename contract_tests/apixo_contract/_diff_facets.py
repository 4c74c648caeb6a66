"""An answer as its facets: names and texts, with what differs from call to call taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from apixo_contract._learn import id_form
from apixo_contract._observations import Exchange, Purpose
from apixo_contract._showing import json_line

_TIMES = frozenset({"createTime", "completeTime"})
_URL = re.compile(r"\b(?:https?://|data:)[^\s\"'\\<>]+")
_SECONDS = re.compile(r"\d+")
_HTTP_ERRORS = 400
# Names of the facets that are no part of the body.
STATUS = "HTTP status"
ANSWER = "answer"
CONTENT_TYPE = "content type"
RETRY_AFTER = "Retry-After"
PICTURE_FORMAT = "picture format"
PICTURE_SIZE = "picture's long edge"
BODY = "body"


def facets(call: Exchange) -> dict[str, str]:
    """Give what an answer says, without ids, times, amounts, addresses and noise of headers."""
    found = {STATUS: str(call.status)}
    if call.purpose is Purpose.RESULT:
        return {**found, **_picture(call)}
    found[CONTENT_TYPE] = _header(call, "content-type").partition(";")[0].strip().lower() or "none"
    found[RETRY_AFTER] = _retry_after(_header(call, "retry-after"))
    if not isinstance(call.json, dict):
        return {**found, BODY: _quiet(call.text, call)[:200] or "empty"}
    return {**found, **dict(_members(call))}


def outline(call: Exchange) -> str:
    """Give an answer in a few words: its status, and the message of an error."""
    status = f"HTTP {call.status}"
    return status if call.succeeded else f"{status} {_quiet(str(call.message or ''), call)}".strip()


def _picture(call: Exchange) -> dict[str, str]:
    if call.picture is None:
        return {}
    return {
        PICTURE_FORMAT: call.picture.format or "none",
        PICTURE_SIZE: str(call.picture.long_edge),
    }


def _header(call: Exchange, name: str) -> str:
    return call.answer_headers.get(name, "")


def _retry_after(value: str) -> str:
    if not value:
        return "absent"
    return "seconds" if _SECONDS.fullmatch(value.strip()) else "a date"


def _members(call: Exchange) -> Iterator[tuple[str, str]]:
    for name, value in call.envelope.items():
        if name == "code" and value == call.status:
            continue
        if name != "data":
            yield name, _text(value, name, call)
        elif isinstance(value, dict) and not _is_error(call):
            for part, inner in value.items():
                yield f"data.{part}", _text(inner, part, call)
        else:
            yield "data", _text(value, "data", call)


def _is_error(call: Exchange) -> bool:
    return call.status is not None and call.status >= _HTTP_ERRORS


def _text(value: Any, name: str, call: Exchange) -> str:
    if name == "taskId" and isinstance(value, str) and value:
        return f"a task id, form {id_form(value)}"
    if name in _TIMES and isinstance(value, int) and not isinstance(value, bool):
        return "a time in ms" if value >= 10**12 else "a number too small for ms"
    if name == "costTime" and isinstance(value, int) and not isinstance(value, bool):
        return "a number of ms"
    if call.purpose is Purpose.BALANCE and name == "data" and isinstance(value, int | Decimal):
        return "a number"
    if name == "resultJson" and isinstance(value, str):
        return f"a text: {_quiet(_compact(value), call)}"
    # The answer's own message is a facet by itself: said again inside of `data`, it is none.
    message = None if value == call.message else call.message
    return _quiet(json_line(value, message), call)


def _quiet(text: str, call: Exchange) -> str:
    """Take ids and addresses out of a text."""
    text = _URL.sub("<URL>", text)
    return text.replace(call.task_id, "<task id>") if call.task_id else text


def _compact(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
