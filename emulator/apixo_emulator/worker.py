"""The worker that makes callbacks: claims what is due, posts it, records what came of it.

Every attempt under way is one asyncio task that waits on its own receiver, so a slow or dead one
delays nobody: bounded are only the attempts in all and those to one receiver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from apixo_emulator.journal.shared_journal import SHARE_S
from apixo_emulator.outbound import CallbackSender, OutboundError, OutboundRefused, Timeouts
from apixo_emulator.service import Emulator
from apixo_emulator.service.callbacks import Call, Reply
from apixo_schemas import contract

_T = TypeVar("_T")
_log = logging.getLogger("apixo_emulator")
# Claims and records block the event loop: polls and submits are answered between two lots of this
# many, and those of one lot share a commit.
_AT_ONCE = 3
# So little that the loop takes it for its next turn; unlike 0 it lets whatever has come in first: what
# polls feel of 10,000 callbacks falls from a p99 of 1.3 ms to 0.9.
_NEXT_TURN_S = 1e-6
# Deliveries of a worker that died, or another process's clock, are noticed after this at the latest.
_LONGEST_SLEEP_S = 1.0
# After a failed claim (a full disk, a lost database) the next is tried.
_PAUSE_S = 1.0
_SWEEP_S = 15.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many attempts may be under way: in all, and about so many to one receiver."""

    in_all: int = 1024
    per_origin: int = 32


class Worker:
    """Makes an emulator's callbacks while `run` runs; belongs to one event loop."""

    def __init__(
        self, emulator: Emulator, *, ca_file: Path | None = None, bounds: Bounds | None = None
    ) -> None:
        self._emulator = emulator
        self._callbacks = emulator.callbacks
        self._next_sweep = 0.0
        self._bounds = bounds or Bounds()
        # What is claimed is sent at once: waiting for a connection would use up the lease.
        self._sender = CallbackSender(ca_file=ca_file, max_connections=self._bounds.in_all)
        self._under_way: dict[asyncio.Task[None], str] = {}
        # Attempts that were made and not recorded yet.
        self._made: list[tuple[Call, Reply]] = []
        self._per_origin: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._timeouts = Timeouts(total=contract().callbacks.timeout_ms / 1000)

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way are then given up, and made again later."""
        loop = asyncio.get_running_loop()
        sharing = asyncio.create_task(self._share())
        self._callbacks.on_change = lambda: loop.call_soon_threadsafe(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self._rest(await self._turn())
        finally:
            self._callbacks.on_change = lambda: None
            sharing.cancel()
            for attempt in self._under_way:
                attempt.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            while self._made:
                await self._record()
            await self._share_last()

    async def _turn(self) -> float:
        """Record some attempts that were made, start some that are due; give the s to sleep."""
        if self._made:
            await self._record()
            await self._rest(0)
        try:
            await self._sweep()
            claimed = await self._claim()
            for call in claimed:
                self._start(call)
            return 0.0 if claimed or self._made else await self._until_next()
        except Exception:  # noqa: BLE001 - whatever the store's trouble is, it may pass
            _log.exception("callbacks could not be claimed; trying again")
            return _PAUSE_S

    async def _record(self) -> None:
        made, self._made = self._made[:_AT_ONCE], self._made[_AT_ONCE:]
        if not made:
            return
        try:
            kept = await self._run(self._callbacks.record, made)
        except Exception:  # noqa: BLE001 - as above
            # Their leases end by themselves.
            _log.exception("%d callbacks could not be recorded; they are made again", len(made))
            return
        for call in (call for (call, _), held in zip(made, kept, strict=True) if not held):
            _log.warning("the lease on the callback of task %s was lost", call.delivery.task_id)

    async def _run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Do a store's work: at once, or in a thread if it may wait for a network."""
        if self._callbacks.blocking:
            return await asyncio.to_thread(work, *arguments)
        return work(*arguments)

    async def _share(self) -> None:
        """Write this process's journal into the store, where others use it too."""
        worlds = self._emulator.worlds
        while worlds.shared:
            try:
                await self._run(worlds.share)
            except Exception:  # noqa: BLE001 - whatever the store's trouble is, it may pass
                _log.exception("the journal could not be shared; trying again")
            await asyncio.sleep(SHARE_S)

    async def _share_last(self) -> None:
        """Leave this process's journal to those that go on."""
        if self._emulator.worlds.shared:
            try:
                await self._run(lambda: self._emulator.worlds.share(unasked=True))
            except Exception:  # noqa: BLE001 - as above
                _log.exception("the journal could not be shared at the end")

    async def _sweep(self) -> None:
        """Now and then take care of tasks whose process has died, where several share a store."""
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_S
            await self._run(self._emulator.sweep)

    async def _claim(self) -> list[Call]:
        free = self._bounds.in_all - len(self._under_way)
        if free <= 0:
            return []
        busy = [
            name for name, count in self._per_origin.items() if count >= self._bounds.per_origin
        ]
        return await self._run(self._callbacks.claim, min(free, _AT_ONCE), busy)

    async def _until_next(self) -> float:
        """Give the seconds to sleep; a finished attempt or a new delivery ends it earlier.

        What is due already and was not claimed goes to a receiver that has enough under way.
        """
        until_ms = await self._run(self._callbacks.until_next_ms)
        return _LONGEST_SLEEP_S if until_ms is None else min(until_ms / 1000, _LONGEST_SLEEP_S)

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(_NEXT_TURN_S)  # polls and submits come in between
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _start(self, call: Call) -> None:
        attempt = asyncio.create_task(self._attempt(call))
        origin = call.delivery.origin
        self._under_way[attempt] = origin
        self._per_origin[origin] += 1
        attempt.add_done_callback(self._ended)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        origin = self._under_way.pop(attempt)
        self._per_origin[origin] -= 1
        if not self._per_origin[origin]:
            del self._per_origin[origin]
        self._wake.set()
        if not attempt.cancelled() and (error := attempt.exception()):
            _log.error("a callback could not be made; it is made again", exc_info=error)

    async def _attempt(self, call: Call) -> None:
        reply = await self._reply(call)
        self._made.append((call, reply))

    async def _reply(self, call: Call) -> Reply:
        began = time.monotonic()

        def spent_ms() -> int:
            return round((time.monotonic() - began) * 1000)

        if refused := self._callbacks.refused(call):
            return Reply(0, error=refused, hopeless=True)
        try:
            answer = await self._sender.post(
                call.url, call.body, call.headers, policy=call.policy, timeouts=self._timeouts
            )
        except OutboundRefused as error:
            return Reply(spent_ms(), error=str(error), hopeless=True)
        except OutboundError as error:
            return Reply(spent_ms(), error=str(error))
        return Reply(spent_ms(), answer.status, answer.excerpt)
