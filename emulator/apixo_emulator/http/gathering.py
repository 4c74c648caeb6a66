"""Calls where the store is across a network: each waits in a thread, and submits are kept together.

While one transaction is on its way, the submits that come meanwhile gather for the next: a commit costs
as much for thirty as for one, and those of one account would only wait for each other.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.service.submitting import Pending

# Calls that wait for a store across a network; more than its connections only queue there.
_WAITING_AT_ONCE = 32
# Submits of one transaction: other machines wait for it where they charge the same account.
_KEPT_AT_ONCE = 64


class Gathering:
    """Answers calls of one event loop."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._threads = ThreadPoolExecutor(_WAITING_AT_ONCE, thread_name_prefix="call")
        self._gathered: list[tuple[Pending, asyncio.Future[HttpResponse]]] = []
        self._keeping: asyncio.Task[None] | None = None

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one call.

        Raises:
            StoreUnavailable: The store does not answer now.
        """
        loop = asyncio.get_running_loop()
        decided = await loop.run_in_executor(self._threads, self._emulator.decide, request)
        if isinstance(decided, HttpResponse):
            return decided
        answer: asyncio.Future[HttpResponse] = loop.create_future()
        self._gathered.append((decided, answer))
        if self._keeping is None or self._keeping.done():
            self._keeping = loop.create_task(self._keep())
        return await answer

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while self._gathered:
            batch = self._gathered[:_KEPT_AT_ONCE]
            del self._gathered[:_KEPT_AT_ONCE]
            pending = [one for one, _ in batch]
            outcomes = await loop.run_in_executor(
                self._threads, self._emulator.accept_each, pending
            )
            for (_, answer), outcome in zip(batch, outcomes, strict=True):
                if answer.done():  # its caller has gone
                    continue
                if isinstance(outcome, HttpResponse):
                    answer.set_result(outcome)
                else:
                    answer.set_exception(outcome)

    def close(self) -> None:
        """Stop, when no call is under way any more."""
        self._threads.shutdown()
