"""The counter where ordinary calls are answered: those of one turn of the event loop together.

Submits that came at once are kept in one transaction: a commit costs as much for thirty as for one.
Nobody waits for others to come: with one caller at a time the batch is one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from apixo_emulator.core.envelope import refusal
from apixo_emulator.core.wire import HttpRequest, HttpResponse
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
        responses = self._accepted([pending for pending, _ in waiting])
        for (_, answer), response in zip(waiting, responses, strict=True):
            answer(response)

    def _accepted(self, pending: Sequence[Pending]) -> list[HttpResponse]:
        try:
            return self._emulator.accept(pending)
        except Exception:  # noqa: BLE001 - as above
            if len(pending) == 1:
                _log.exception("a submit could not be kept")
                return [refusal("server_error")]
        # One that cannot be kept must not take others with it.
        return [self._accepted([one])[0] for one in pending]
