"""A server whose answers are garbage now and then: the kit must judge it, and never break itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gauntlet.conduct import Conduct
from gauntlet.wire import Reply, Request

_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**400,
    1e308,
    "",
    " ",
    "\x00",
    "\ud800",
    "success",
    "200",
    "http://[::1",
    "http://127.0.0.1:99999/x.jpg",
    "https://user:pass@/x",
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"taskId": {}},
    {"resultUrls": [1]},
    "x" * 10_000,
)
_BODIES: tuple[bytes, ...] = (
    b"",
    b"null",
    b"NaN",
    b"[" * 50_000,
    b'{"code":200,"message":"success","data":NaN}',
    b'{"code":200,"message":"success","data":-Infinity}',
    b'{"code":200,"code":404,"message":"success","data":{}}',
    b'{"code":2e2,"message":"success","data":1e400}',
    b'{"code":200,"message":"\xff\xfe","data":null}',
    b"\xef\xbb\xbf{}",
    b"<html>",
    b"\x00" * 100,
    b'{"code":200',
    b'"' + b"x" * 100_000 + b'"',
)
_RETRY_AFTER = ("abc", "-5", "1e9", "", "0", "Wed, 21 Oct 2015 07:28:00 GMT", "0.1")
_STATUSES = (200, 201, 204, 301, 304, 400, 401, 404, 418, 429, 500, 503, 599)


class Garbage(Conduct):
    """Half of the runs spoil one answer in ten, the others one in two."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.share = (0.1, 0.5)[seed % 2]

    def handle(self, request: Request) -> Reply:
        reply = super().handle(request)
        return self.spoilt(reply) if self.rng.random() < self.share else reply

    def callback_payload(self, task: Any) -> Reply:
        return self.spoilt(super().callback_payload(task))

    def spoilt(self, reply: Reply) -> Reply:
        """Return an answer of which something is wrong."""
        kind = self.rng.randrange(5)
        if kind == 0:
            return replace(reply, raw=self.rng.choice(_BODIES))
        if kind == 1:
            headers = {"retry-after": self.rng.choice(_RETRY_AFTER), "date": "yesterday"}
            return replace(reply, status=self.rng.choice(_STATUSES), headers=headers)
        if reply.raw is not None or not isinstance(reply.body, dict):
            return replace(reply, raw=bytes(self.rng.randbytes(30)))
        return replace(reply, body=self._twisted(reply.body, depth=self.rng.randrange(3)))

    def _twisted(self, value: Any, depth: int) -> Any:
        """Return the value with one part of it replaced."""
        if not isinstance(value, dict) or not value:
            return self.rng.choice(_VALUES)
        name = self.rng.choice([*value])
        inner = value[name]
        if depth and isinstance(inner, dict):
            return {**value, name: self._twisted(inner, depth - 1)}
        other = self.rng.choice(_VALUES)
        as_text = name == "resultJson" and self.rng.random() < 0.5
        return {**value, name: json.dumps(other) if as_text else other}
