"""Server-sent events: what happens in a world, as it happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from apixo_emulator.service.control import WorldControl

# A person does not notice less; a change costs one look at numbers in memory.
_INTERVAL_S = 0.2
_KEEP_ALIVE_S = 15.0
_AT_ONCE = 200


def event_stream(collect: Callable[[], bytes], stopping: threading.Event) -> Response:
    """Return a response that sends what ``collect`` finds, in a thread, until the server stops."""

    async def events() -> AsyncIterator[bytes]:
        quiet_s = 0.0
        while not stopping.is_set():
            # In a thread: the store may be across a network.
            found = await asyncio.to_thread(collect)
            quiet_s = 0.0 if found else quiet_s + _INTERVAL_S
            if found:
                yield found
            elif quiet_s >= _KEEP_ALIVE_S:
                quiet_s = 0.0
                yield b": still here\n\n"
            await asyncio.sleep(_INTERVAL_S)

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


class Changes:
    """Collects a world's requests, and changes of its clock and rules, since the last time."""

    def __init__(self, control: WorldControl) -> None:
        self._control = control
        self._seen = control.last_number()
        self._clock: object = None  # the clock is the first event
        self._rules = control.rule_ids()

    def collect(self) -> bytes:
        """Return what is new, as events."""
        control, found = self._control, []
        clock, rules, last = control.clock_state(), control.rule_ids(), control.last_number()
        self._seen = min(self._seen, last)  # a reset starts the numbers again
        if last > self._seen:
            entries = control.requests(after=self._seen, limit=_AT_ONCE)
            self._seen = entries[-1].number if entries else last
            found = [_event("request", entry.to_json()) for entry in entries]
        if clock != self._clock:
            self._clock = clock
            found.append(_event("clock", control.clock()))
        if rules != self._rules:
            self._rules = rules
            found.append(_event("scenarios", {"rules": list(rules)}))
        return b"".join(found)


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))
