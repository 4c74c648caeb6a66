"""One answered call as it may be shown: what was asked, what was answered, and why.

The journal keeps calls as they are. An entry is made of a call when it is read, and its secrets are
masked then.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

import orjson

from apixo_emulator.domain.accounts import mask
from apixo_emulator.journal.secrets import HIDDEN, Mask, mask_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from apixo_emulator.domain.wire import HttpRequest, HttpResponse

Shown = tuple[tuple[str, str], ...]

# Characters that stand for themselves in a URL (RFC 3986, 3.3 and 3.4); a query is encoded already.
_IN_PATH = "/!$&'()*+,;=:@"
_IN_QUERY = f"{_IN_PATH}?%"
# UTF-8: the bytes of a character after its first, and the least first byte of several.
_CONTINUED = bytes(range(0x80, 0xC0))
_LEAD = b"\xc0"
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


@dataclass(frozen=True, slots=True)
class TruncatedBody:
    """A body, or the two ends of a long one, cut so that JSON with one long text stays JSON.

    Each end is ``margin`` bytes longer than what is shown of it, so that a secret that is cut is
    complete when it is masked.
    """

    head: bytes
    tail: bytes
    size: int
    margin: int

    @classmethod
    def of(cls, body: bytes, limit: int | None = None, margin: int = 0) -> Self:
        """Keep a body, or both ends of one that is longer than ``limit`` bytes.

        Nearly always the long part is one text, an inlined picture.
        """
        if limit is None or len(body) <= limit + 2 * margin:
            return cls(body, b"", len(body), 0)
        head = limit * 3 // 4
        start = len(body) - (limit - head) - margin
        if body[start - 1 : start] == b"\\" and not _begins_escape(body[:start]):
            start += 1
        return cls(body[: head + margin], body[start:], len(body), margin)

    def shown(self, mask: Mask) -> bytes:
        """Return what may be shown of it."""
        if not self.tail:
            return mask.data(self.head)
        head, tail = mask.data(self.head), mask.data(self.tail)
        start = _without_cut_start(tail[: self.margin], tail[self.margin :])
        return _without_cut_end(head[: -self.margin]) + HIDDEN.encode() + start


def _without_cut_end(piece: bytes) -> bytes:
    """Remove half a character or half a JSON escape from the end."""
    whole = piece.rstrip(_CONTINUED)
    if whole != piece or piece[-1:] >= _LEAD:
        piece = whole[:-1]
    cut = _CUT_ESCAPE.search(piece)
    return piece[: cut.start()] if cut and _begins_escape(piece[: cut.start()]) else piece


def _without_cut_start(before: bytes, piece: bytes) -> bytes:
    """Remove half a character or half a JSON escape from the start; ``before`` is what precedes it."""
    return piece.lstrip(_CONTINUED) if _begins_escape(before) else piece[1:]


def _begins_escape(before: bytes) -> bool:
    """Return whether a backslash after this begins an escape, and does not end one."""
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 0


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An answered call, with secrets masked.

    ``number`` counts from 1 in its world. ``at_ms`` is the world's clock in Unix ms, ``duration_us``
    the real time that the answer took, in microseconds. Of a long body the middle is left out, then
    ``request_cut`` or ``response_cut`` is true; ``request_bytes`` and ``response_bytes`` are the
    sizes on the wire. ``broken_rule`` is the id of the contract's rule that rejected a submit;
    ``rule`` the scenario rule that decided, ``why_not`` the reasons of those before it.
    """

    number: int
    at_ms: int
    duration_us: int
    world: str
    key: str | None
    method: str
    path: str
    query: str
    request_headers: Shown
    request_body: bytes
    request_bytes: int
    status: int
    response_headers: Shown
    response_body: bytes
    response_bytes: int
    endpoint: str
    task_id: str | None
    broken_rule: str | None
    decision: str
    scenario: str | None
    rule: str | None
    why_not: Shown
    fault: str | None
    base_url: str = ""
    request_cut: bool = False
    response_cut: bool = False

    @property
    def url(self) -> str:
        """The address that was called, with the query masked."""
        return f"{self.base_url}{self.path}{'?' if self.query else ''}{self.query}"

    @property
    def address(self) -> str:
        """The same as a URL must be written: the path is decoded where calls are read."""
        query = quote(self.query, safe=_IN_QUERY)
        return f"{self.base_url}{quote(self.path, safe=_IN_PATH)}{'?' if query else ''}{query}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; a body that is no text is in base64, as its ``encoding`` says."""
        return {
            "number": self.number,
            "time": self.at_ms,
            "durationUs": self.duration_us,
            "world": self.world,
            "key": self.key,
            "endpoint": self.endpoint,
            "taskId": self.task_id,
            "decision": self.decision,
            "brokenRule": self.broken_rule,
            "scenario": self.scenario,
            "rule": self.rule,
            "whyNot": [{"rule": rule, "reason": reason} for rule, reason in self.why_not],
            "fault": self.fault,
            "request": {
                "method": self.method,
                "path": self.path,
                "query": self.query,
                "url": self.url,
                "baseUrl": self.base_url,
                **_message(
                    self.request_headers,
                    self.request_body,
                    self.request_bytes,
                    cut=self.request_cut,
                ),
            },
            "response": {
                "status": self.status,
                **_message(
                    self.response_headers,
                    self.response_body,
                    self.response_bytes,
                    cut=self.response_cut,
                ),
            },
        }

    def to_text(self) -> str:
        """Return it as the text that a store keeps; `from_text` reads it."""
        return orjson.dumps(self, default=lambda body: body.decode("latin-1")).decode()

    @classmethod
    def from_text(cls, text: str, number: int) -> Self:
        """Return the entry of what `to_text` returned, with another number."""
        values = orjson.loads(text) | {"number": number}
        for body in ("request_body", "response_body"):
            values[body] = values[body].encode("latin-1")
        for pairs in ("request_headers", "response_headers", "why_not"):
            values[pairs] = tuple(map(tuple, values[pairs]))
        return cls(**values)


def _message(headers: Shown, body: bytes, size: int, *, cut: bool) -> dict[str, Any]:
    text, encoding = as_text(body)
    message = {"headers": [list(pair) for pair in headers], "body": text, "bytes": size}
    return message | ({"encoding": encoding} if encoding else {}) | ({"cut": True} if cut else {})


def as_text(body: bytes) -> tuple[str, str | None]:
    """Return a body as text, and its encoding: ``base64``, or None where it is UTF-8."""
    try:
        return body.decode(), None
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


class Answered(Protocol):
    """An answered call, with what decided about it; secrets are not masked."""

    request: HttpRequest
    at_ms: int
    key: str | None
    endpoint: str
    task_id: str | None
    broken_rule: str | None
    scenario: str | None
    rule: str | None
    why_not: Shown
    fault: str | None
    decision: str

    @property
    def world_id(self) -> str:
        """The world that it belongs to."""
        ...


def entry_of(
    number: int,
    call: Answered,
    response: HttpResponse,
    duration_us: int,
    *,
    bodies: Sequence[TruncatedBody | None] = (None, None),
    known: Iterable[str] = (),
) -> JournalEntry:
    """Return the entry of a call.

    ``bodies`` are those of the request and the response where they were cut; ``known`` are keys to
    mask beside the call's own.
    """
    request = call.request
    masked = mask_of(request.headers, known)
    asked = bodies[0] or TruncatedBody.of(request.body)
    answered = bodies[1] or TruncatedBody.of(response.body)
    text = masked.text
    return JournalEntry(
        number=number,
        at_ms=call.at_ms,
        duration_us=duration_us,
        world=call.world_id,
        key=None if call.key is None else mask(call.key),
        method=request.method,
        path=text(request.path),
        query=masked.query(request.query),
        request_headers=masked.headers(request.headers),
        request_body=asked.shown(masked),
        request_bytes=asked.size,
        status=response.status,
        response_headers=masked.headers(response.headers),
        response_body=answered.shown(masked),
        response_bytes=answered.size,
        endpoint=str(call.endpoint),
        task_id=None if call.task_id is None else text(call.task_id),
        broken_rule=call.broken_rule,
        decision=text(call.decision),
        scenario=call.scenario,
        rule=call.rule,
        why_not=tuple((rule, text(reason)) for rule, reason in call.why_not),
        fault=call.fault,
        base_url=text(request.base_url),
        request_cut=bool(asked.tail),
        response_cut=bool(answered.tail),
    )
