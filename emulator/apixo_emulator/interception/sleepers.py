"""Whoever sleeps in an emulator's time: it passes to the first to wake, when nobody is at work.

So those who sleep at once sleep side by side and wake in order, as if the time were real.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apixo_emulator.interception.callers import Callers, current_caller, trio_task

# How often the others of an event loop may go on, with nobody found at work, before time passes:
# what has happened may take a turn or two to be told to whom it concerns.
_TURNS = 3
# Between looks, for whoever is not the next to wake.
_STEP_S = 0.001


class _Rest:
    """The sleep of one thread or task."""

    __slots__ = ("until_ms", "who")

    def __init__(self, who: Any, until_ms: int) -> None:
        self.who = who
        self.until_ms = until_ms


class Sleepers:
    """Those of one emulator, whose time is ``now_ms``. Safe to use from several threads."""

    def __init__(self, callers: Callers, now_ms: Callable[[], int]) -> None:
        self._callers = callers
        self._now_ms = now_ms
        self._resting: list[_Rest] = []
        self._changed = threading.Condition()

    def sleep(self, seconds: float, pass_to: Callable[[int], None]) -> None:
        """Let the running thread sleep; ``pass_to`` moves the clock to an instant."""
        with self._rest(seconds) as rest:
            while self._now_ms() < rest.until_ms:
                if self._is_next(rest) and self._all_rest():
                    pass_to(rest.until_ms)
                else:
                    with self._changed:
                        self._changed.wait(_STEP_S)

    async def asleep(
        self,
        seconds: float,
        pass_to: Callable[[int], Awaitable[None]],
        pause: Callable[[float], Awaitable[Any]],
    ) -> None:
        """Let the running task sleep; ``pause`` is its event loop's own, of real time."""
        with self._rest(seconds) as rest:
            quiet = 0
            while self._now_ms() < rest.until_ms:
                await self._let_go_on(rest, pause)
                quiet = quiet + 1 if self._is_next(rest) and self._all_rest() else 0
                if quiet >= _TURNS:
                    await pass_to(rest.until_ms)

    @contextmanager
    def _rest(self, seconds: float) -> Iterator[_Rest]:
        rest = _Rest(current_caller(), self._now_ms() + round(seconds * 1000))
        with self._changed:
            self._resting.append(rest)
            self._changed.notify_all()
        try:
            yield rest
        finally:
            self._callers.note()
            with self._changed:
                self._resting.remove(rest)
                self._changed.notify_all()

    def _is_next(self, rest: _Rest) -> bool:
        with self._changed:
            return all(rest.until_ms <= other.until_ms for other in self._resting)

    def _all_rest(self) -> bool:
        with self._changed:
            asleep = {rest.who for rest in self._resting}
        return self._callers.at_rest(asleep)

    async def _let_go_on(self, rest: _Rest, pause: Callable[[float], Awaitable[Any]]) -> None:
        """Give the event loop's others a turn."""
        if not self._is_next(rest):
            await pause(_STEP_S)
        elif trio_task() is None:
            await pause(0)
        else:
            from trio.testing import wait_all_tasks_blocked

            await wait_all_tasks_blocked()
