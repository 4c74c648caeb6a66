"""The counter where ordinary calls are answered: those of one turn of the event loop together.

Submits that came at once are kept in one transaction: a commit costs as much for thirty as for one.
Nobody waits for others to come: with one caller at a time the batch is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.service.submitting import Pending

Answer = Callable[[HttpResponse], None]
_log = logging.getLogger("apixo_emulator")


class Counter:
    """Answers calls of one event loop; for stores that do not wait for a network."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._pending: list[tuple[Pending, Answer]] = []

    def call(self, request: HttpRequest, answer: Answer) -> None:
        """Answer a call, at once or at the end of this turn of the loop."""
        try:
            decided = self._emulator.decide(request)
        except Exception:  # noqa: BLE001 - the caller gets the envelope, the log the traceback
            _log.exception("%s %s failed", request.method, request.path)
            decided = refusal("server_error")
        if isinstance(decided, HttpResponse):
            answer(decided)
            return
        if not self._pending:
            asyncio.get_running_loop().call_soon(self.flush)
        self._pending.append((decided, answer))

    def flush(self) -> None:
        """Keep and answer the submits that wait."""
        waiting, self._pending = self._pending, []
        if not waiting:
            return
        outcomes = self._emulator.accept_each([pending for pending, _ in waiting])
        for (_, answer), outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, HttpResponse):
                answer(outcome)
            else:
                _log.error("a submit could not be kept", exc_info=outcome)
                answer(refusal("server_error"))
