"""What happens in a world, as server-sent events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from apixo_emulator.service.operator import Operator

# A person does not see less; a change costs one look at numbers in memory.
_LOOK_S = 0.2
_KEEP_ALIVE_S = 15.0
_AT_ONCE = 200


def events(desk: Operator, stopping: threading.Event) -> Response:
    """Stream a world's calls (``request``) and changes of its clock and rules, as they come.

    Ends when ``stopping`` is set.
    """
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _stream(desk, stopping), media_type="text/event-stream", headers=headers
    )


async def _stream(desk: Operator, stopping: threading.Event) -> AsyncIterator[bytes]:
    watch = await asyncio.to_thread(_Watch, desk)
    yield _event("clock", desk.clock())
    quiet_s = 0.0
    while not stopping.is_set():
        await asyncio.sleep(_LOOK_S)
        # In a thread: the store may be across a network.
        found = await asyncio.to_thread(watch.look)
        quiet_s = 0.0 if found else quiet_s + _LOOK_S
        if found:
            yield b"".join(found)
        elif quiet_s >= _KEEP_ALIVE_S:
            quiet_s = 0.0
            yield b": still here\n\n"


class _Watch:
    """What a listener has been told so far."""

    def __init__(self, desk: Operator) -> None:
        self._desk = desk
        self._seen = desk.last_number()
        self._clock = desk.clock_state()
        self._rules = desk.rule_ids()

    def look(self) -> list[bytes]:
        """Give what is new."""
        found = self._requests()
        if self._desk.clock_state() != self._clock:
            self._clock = self._desk.clock_state()
            found.append(_event("clock", self._desk.clock()))
        if self._desk.rule_ids() != self._rules:
            self._rules = self._desk.rule_ids()
            found.append(_event("scenarios", {"rules": list(self._rules)}))
        return found

    def _requests(self) -> list[bytes]:
        last = self._desk.last_number()
        self._seen = min(self._seen, last)  # a reset starts the numbers again
        if last == self._seen:
            return []
        entries = self._desk.requests(after=self._seen, limit=_AT_ONCE)
        self._seen = entries[-1].number if entries else last
        return [_event("request", entry.to_json()) for entry in entries]


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
