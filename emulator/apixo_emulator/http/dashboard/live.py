"""Telling open pages that something has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from apixo_emulator.http.dashboard.context import PageContext
from apixo_emulator.http.dashboard.rendering import HEADERS

# A person does not see less.
_LOOK_S = 0.25
_KEEP_ALIVE_S = 15.0


def live(context: PageContext) -> Response:
    """Stream what a page needs to know: numbers that change with what it may show, and the clock.

    The content of calls is left out, however many there are: a page then asks for what it shows.
    """
    return StreamingResponse(
        _stream(context),
        media_type="text/event-stream",
        headers={**HEADERS, "x-accel-buffering": "no"},
    )


async def _stream(context: PageContext) -> AsyncIterator[bytes]:
    told: dict[str, Any] = {}
    quiet_s = 0.0
    while not context.shared.stopping.is_set():
        # In a thread: the store may be across a network.
        found = await asyncio.to_thread(_look, context)
        quiet_s += _LOOK_S
        if found != told:
            told, quiet_s = found, 0.0
            clock = context.operator.clock()
            yield b"data: %b\n\n" % json.dumps({**found, "clock": clock}).encode()
        elif quiet_s >= _KEEP_ALIVE_S:
            quiet_s = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_S)


def _look(context: PageContext) -> dict[str, Any]:
    operator = context.operator
    clock = operator.clock_state()
    return {
        "requests": operator.last_number(),
        "changes": operator.revision(),
        "rules": ",".join(operator.rule_ids()),
        "inbox": context.shared.inbox.revision,
        "time": [clock.virtual_base_ms, clock.real_base_ms, clock.rate],
    }
