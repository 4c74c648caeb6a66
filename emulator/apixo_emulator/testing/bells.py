"""Being woken: a thread, a task of asyncio, a task of trio, each in its own way.

``ring`` may be called by any thread. A wait ends after so many seconds of real time even so.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any, Protocol

from apixo_emulator.testing.callers import trio_task


class Bell(Protocol):
    """Wakes who waits for it."""

    def ring(self) -> None:
        """Wake it."""
        ...


class ThreadBell:
    """For a thread."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake it."""
        self._rung.set()

    def wait(self, seconds: float) -> None:
        """Wait for the bell."""
        self._rung.wait(seconds)
        self._rung.clear()


class AsyncioBell:
    """For a task of asyncio."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung: asyncio.Future[None] = self._loop.create_future()

    def ring(self) -> None:
        """Wake it."""
        with suppress(RuntimeError):  # its loop is closed, and with it whoever waited
            self._loop.call_soon_threadsafe(self._end)

    async def wait(self, seconds: float) -> None:
        """Wait for the bell."""
        self._rung = self._loop.create_future()
        late = self._loop.call_later(seconds, self._end)
        try:
            await self._rung
        finally:
            late.cancel()

    async def let_go_on(self) -> None:
        """Give the others a turn."""
        self._rung = self._loop.create_future()
        self._loop.call_soon(self._end)
        await self._rung

    def _end(self) -> None:
        if not self._rung.done():
            self._rung.set_result(None)


class TrioBell:
    """For a task of trio."""

    def __init__(self) -> None:
        import trio
        from trio.testing import wait_all_tasks_blocked

        self._trio: Any = trio
        self._token = trio.lowlevel.current_trio_token()
        self._rung = trio.Event()
        self.let_go_on = wait_all_tasks_blocked

    def ring(self) -> None:
        """Wake it."""
        with suppress(self._trio.RunFinishedError):
            self._token.run_sync_soon(self._rung.set)

    async def wait(self, seconds: float) -> None:
        """Wait for the bell."""
        self._rung = self._trio.Event()
        with self._trio.move_on_after(seconds):
            await self._rung.wait()


def async_bell() -> AsyncioBell | TrioBell:
    """Give a bell for the running task."""
    return AsyncioBell() if trio_task() is None else TrioBell()
