"""The worker that makes callbacks: claims what is due, calls the receivers, records what came of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from apixo_emulator.exchange import OutboundError, OutboundRefused
from apixo_emulator.journal.journal import SHARE_S
from apixo_emulator.outbound import OutboundClient
from apixo_emulator.service.callbacks import Call, Reply
from apixo_emulator.service.emulator import Emulator
from apixo_emulator.storage import StoreError, log_failure
from apixo_schemas import contract

_T = TypeVar("_T")
_log = logging.getLogger("apixo_emulator")
# Bytes of a receiver's response body that are kept.
_EXCERPT_BYTES = 1024

# Claims and records block the event loop: polls and submits are answered between two lots of this
# many, and those of one lot share a commit.
_LOT = 3
# The shortest sleep after which the loop has looked for new requests, unlike 0: with 10,000 callbacks
# due the p99 of polls falls from 1.3 ms to 0.9.
_YIELD_S = 1e-6
# Deliveries of a worker that died, or another process's clock, are noticed after this at the latest.
_LONGEST_SLEEP_S = 1.0
# After a failed claim (a full disk, a lost database) the next is tried.
_PAUSE_S = 1.0
_SWEEP_S = 15.0
# Between two looks for rows to be deleted after a reset.
_CLEANING_S = 5.0


MOST_CALLBACKS = 1024
"""Attempts that may be under way at once."""
# About so many of them to one receiver.
_MOST_TO_ONE = 32


class CallbackWorker:
    """Makes an emulator's callbacks while `run` runs; belongs to one event loop.

    Each attempt under way is an asyncio task that waits for its own receiver, so a slow or dead one
    delays no other: bounded are only the attempts in all and those to one receiver.
    """

    def __init__(
        self, emulator: Emulator, *, ca_file: Path | None = None, most: int = MOST_CALLBACKS
    ) -> None:
        self._emulator = emulator
        self._callbacks = emulator.callbacks
        self._most = most
        self._client = OutboundClient(ca_file=ca_file)
        self._under_way: dict[asyncio.Task[None], str] = {}
        # Attempts that were made and not recorded yet.
        self._made: list[tuple[Call, Reply]] = []
        self._wake = asyncio.Event()
        self._timeout_s = contract().callbacks.timeout_ms / 1000

    async def run(self) -> None:
        """Deliver until cancelled; attempts under way are then given up, and made again later."""
        loop = asyncio.get_running_loop()
        beside = self._housekeeping()
        self._callbacks.on_change = lambda: loop.call_soon_threadsafe(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self._rest(await self._step())
        finally:
            self._callbacks.on_change = lambda: None
            for task in (*beside, *self._under_way):
                task.cancel()
            await asyncio.gather(*beside, *self._under_way, return_exceptions=True)
            while self._made:
                await self._record()
            if self._emulator.worlds.shared:
                with suppress(StoreError):  # then the others do without
                    await asyncio.to_thread(self._emulator.worlds.share, unasked=True)

    async def _step(self) -> float:
        """Record some attempts that were made, start some that are due; return the s to sleep."""
        if self._made:
            await self._record()
            await self._rest(0)
        try:
            claimed = await self._claim()
            for call in claimed:
                self._start(call)
            return 0.0 if claimed or self._made else self._until_next()
        except Exception as error:  # noqa: BLE001 - whatever the store's trouble is, it may pass
            log_failure("callbacks could not be claimed; trying again", error)
            return _PAUSE_S

    async def _record(self) -> None:
        made, self._made = self._made[:_LOT], self._made[_LOT:]
        if not made:
            return
        try:
            held = await self._run(self._callbacks.record, made)
        except Exception as error:  # noqa: BLE001 - as above
            # Their leases end by themselves.
            log_failure(f"{len(made)} callbacks could not be recorded; they are made again", error)
            return
        for (call, _), is_held in zip(made, held, strict=True):
            if not is_held:
                _log.warning("the lease on the callback of task %s was lost", call.task.id)

    async def _run(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Do a store's work: at once, or in a thread if it may wait for a network."""
        if self._emulator.store.blocking:
            return await asyncio.to_thread(work, *arguments)
        return work(*arguments)

    async def _repeat(self, work: Callable[[], bool | None], failure: str, pause_s: float) -> None:
        """Do work in a thread now and then; where it says that there is more, half of the time."""
        while True:
            more, began = None, time.monotonic()
            try:
                more = await asyncio.to_thread(work)
            except Exception as error:  # noqa: BLE001 - whatever the store's trouble is, it may pass
                log_failure(f"{failure}; trying again", error)
            await asyncio.sleep(time.monotonic() - began if more else pause_s)

    def _housekeeping(self) -> list[asyncio.Task[None]]:
        """Start what is done beside the callbacks."""
        emulator = self._emulator
        beside = [
            # A process that has died may have left tasks whose sources are still to be checked.
            self._repeat(emulator.sweep, "sources could not be looked for", _SWEEP_S),
            self._repeat(
                emulator.store.clean, "the store could not be cleaned after a reset", _CLEANING_S
            ),
        ]
        if emulator.worlds.shared:
            share = emulator.worlds.share
            beside.append(self._repeat(share, "the journal could not be shared", SHARE_S))
        return [asyncio.create_task(work) for work in beside]

    async def _claim(self) -> list[Call]:
        free = self._most - len(self._under_way)
        if free <= 0:
            return []
        to_one = Counter(self._under_way.values())
        busy = [origin for origin, count in to_one.items() if count >= _MOST_TO_ONE]
        return await self._run(self._callbacks.claim, min(free, _LOT), busy)

    def _until_next(self) -> float:
        """Return the seconds to sleep; a finished attempt or a new delivery ends it earlier.

        What is due already and was not claimed goes to a receiver that has enough under way.
        """
        until_ms = self._callbacks.until_next_ms()
        return _LONGEST_SLEEP_S if until_ms is None else min(until_ms / 1000, _LONGEST_SLEEP_S)

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(_YIELD_S)  # polls and submits come in between
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _start(self, call: Call) -> None:
        attempt = asyncio.create_task(self._attempt(call))
        self._under_way[attempt] = call.delivery.origin
        attempt.add_done_callback(self._ended)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        del self._under_way[attempt]
        self._wake.set()

    async def _attempt(self, call: Call) -> None:
        began = time.monotonic()
        try:
            reply = await self._reply(call)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is an attempt, and retried
            spent_ms = round((time.monotonic() - began) * 1000)
            hopeless = isinstance(error, OutboundRefused)
            words = str(error)
            if not isinstance(error, OutboundError):
                _log.exception("the callback of task %s failed", call.task.id)
                words = f"the attempt failed: {type(error).__name__}: {error}"
            reply = Reply(spent_ms, error=words, hopeless=hopeless)
        self._made.append((call, reply))

    async def _reply(self, call: Call) -> Reply:
        if refused := self._callbacks.refused(call):
            return Reply(0, error=refused, hopeless=True)
        response = await self._client.post(
            call.url,
            call.body,
            policy=call.policy,
            timeout_s=self._timeout_s,
            depth=call.depth,
        )
        return Reply(
            round(response.duration_ms),
            response.status,
            response.body[:_EXCERPT_BYTES].decode(errors="replace"),
            location=response.headers.get("location"),
        )
