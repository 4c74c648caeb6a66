"""Telling open pages that something has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from apixo_emulator.http.dashboard.page import HEADERS
from apixo_emulator.http.dashboard.visit import Visit

# A person does not see less.
_LOOK_S = 0.25
_KEEP_ALIVE_S = 15.0


def live(visit: Visit) -> Response:
    """Stream what a page needs to know: numbers that change with what it may show, and the clock.

    The content of calls is left out, however many there are: a page then asks for what it shows.
    """
    return StreamingResponse(
        _stream(visit),
        media_type="text/event-stream",
        headers={**HEADERS, "x-accel-buffering": "no"},
    )


async def _stream(visit: Visit) -> AsyncIterator[bytes]:
    told: dict[str, Any] = {}
    quiet_s = 0.0
    while not visit.desk.stopping.is_set():
        # In a thread: the store may be across a network.
        found = await asyncio.to_thread(_look, visit)
        quiet_s += _LOOK_S
        if found != told:
            told, quiet_s = found, 0.0
            clock = visit.operator.clock()
            yield b"data: %b\n\n" % json.dumps({**found, "clock": clock}).encode()
        elif quiet_s >= _KEEP_ALIVE_S:
            quiet_s = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_S)


def _look(visit: Visit) -> dict[str, Any]:
    desk = visit.operator
    clock = desk.clock_state()
    return {
        "requests": desk.last_number(),
        "changes": desk.revision(),
        "rules": ",".join(desk.rule_ids()),
        "inbox": visit.desk.inbox.revision,
        "time": [clock.virtual_base_ms, clock.real_base_ms, clock.rate],
    }
