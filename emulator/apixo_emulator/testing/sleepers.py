"""Whoever sleeps in an emulator's time: it passes to the first to wake, when nobody is at work.

So those who sleep at once sleep side by side and wake in order, as if the time were real.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apixo_emulator.testing.bells import Bell, ThreadBell, async_bell
from apixo_emulator.testing.callers import Callers, current_caller

# How often the others of an event loop may go on, with nobody found at work, before time passes:
# what has happened may take a turn or two to be told to whom it concerns.
_TURNS = 3
# How often at once: somebody may wait for what comes from outside of the loop.
_MOST_TURNS = 30
# Between looks, in seconds: of the next to wake, whether the others rest; of those who wake later,
# whether somebody else has moved the clock.
_STEP_S = 0.001
_LOOK_S = 0.02
# Real time after which the next to wake is taken for one that cannot.
_STALLED_S = 0.25


class _Rest:
    """The sleep of one thread or task."""

    __slots__ = ("bell", "blocks", "ended", "exactly_ms", "thread", "until_ms", "who")

    def __init__(self, exactly_ms: float, bell: Bell) -> None:
        self.who = current_caller()
        self.thread = threading.get_ident()
        self.exactly_ms = exactly_ms
        self.until_ms = math.ceil(exactly_ms)
        self.bell = bell
        # A thread that sleeps keeps the tasks of its event loop, if it has one, from waking.
        self.blocks = isinstance(bell, ThreadBell)
        self.ended = False

    def __lt__(self, other: _Rest) -> bool:
        return self.exactly_ms < other.exactly_ms


class Sleepers:
    """Those of one emulator, whose time is ``now_ms``. Safe to use from several threads."""

    def __init__(self, callers: Callers, now_ms: Callable[[], int]) -> None:
        self._callers = callers
        self._now_ms = now_ms
        self._lock = threading.Lock()
        # By when they wake; those that have ended are dropped when they come first.
        self._resting: list[_Rest] = []
        self._asleep: Counter[Any] = Counter()
        self._blocked: Counter[int] = Counter()
        self._moved_s = 0.0
        self._closed = False

    def sleep(self, seconds: float, pass_to: Callable[[int], None]) -> None:
        """Let the running thread sleep; ``pass_to`` moves the clock to an instant."""
        exactly_ms, bell = self._now_ms() + seconds * 1000, ThreadBell()
        until_ms = math.ceil(exactly_ms)
        if threading.active_count() > 1:
            bell.wait(_STEP_S)  # lets others begin what they were given to do
        while self._sleeps(until_ms):
            target_ms: int | None = None
            with self._rest(exactly_ms, bell) as rest:
                while self._sleeps(until_ms) and target_ms is None:
                    bell.wait(_STEP_S if self._is_next(rest) else _LOOK_S)
                    target_ms = self._target_ms(rest)
            if target_ms is not None:
                passing = self._callers.begin()
                try:
                    pass_to(target_ms)
                finally:
                    self._callers.end(passing)
                self._wake_due()

    async def asleep(self, seconds: float, pass_to: Callable[[int], Awaitable[None]]) -> None:
        """Let the running task sleep."""
        exactly_ms, bell = self._now_ms() + seconds * 1000, async_bell()
        until_ms = math.ceil(exactly_ms)
        while self._sleeps(until_ms):
            target_ms: int | None = None
            with self._rest(exactly_ms, bell) as rest:
                turns = quiet = 0
                while self._sleeps(until_ms) and quiet < _TURNS:
                    if not self._is_next(rest):
                        await bell.wait(_LOOK_S)
                    elif (turns := turns + 1) % _MOST_TURNS:
                        await bell.let_go_on()
                    else:
                        await bell.wait(_STEP_S)
                    target_ms = self._target_ms(rest)
                    quiet = 0 if target_ms is None else quiet + 1
            if target_ms is not None:
                passing = self._callers.begin()
                try:
                    await pass_to(target_ms)
                finally:
                    self._callers.end(passing)
                self._wake_due()

    def close(self) -> None:
        """Let every sleep end."""
        with self._lock:
            self._closed = True
            resting = list(self._resting)
        for rest in resting:
            rest.bell.ring()

    def _sleeps(self, until_ms: int) -> bool:
        return not self._closed and self._now_ms() < until_ms

    @contextmanager
    def _rest(self, exactly_ms: float, bell: Bell) -> Iterator[_Rest]:
        rest = _Rest(exactly_ms, bell)
        with self._lock:
            heapq.heappush(self._resting, rest)
            self._asleep[rest.who] += 1
            self._blocked[rest.thread] += rest.blocks
        self._wake_due()
        try:
            yield rest
        finally:
            with self._lock:
                self._end(rest)

    def _end(self, rest: _Rest) -> None:
        """Count one as being at work again."""
        if not rest.ended:
            rest.ended = True
            self._moved_s = time.monotonic()
            self._callers.note(rest.who)
            self._blocked[rest.thread] -= rest.blocks
            self._asleep[rest.who] -= 1
            if not self._asleep[rest.who]:
                del self._asleep[rest.who]

    def _wake_due(self) -> None:
        """Wake those whose time has come, and the next, for whom all may rest now."""
        now_ms = self._now_ms()
        with self._lock:
            woken: list[_Rest] = []
            while self._resting and (self._resting[0].ended or self._resting[0].until_ms <= now_ms):
                woken.append(heapq.heappop(self._resting))
                self._end(woken[-1])
            first = self._first()
        for rest in woken if first is None else [*woken, first]:
            rest.bell.ring()

    def _first(self) -> _Rest | None:
        while self._resting and self._resting[0].ended:
            heapq.heappop(self._resting)
        if not any(self._blocked.values()):
            return self._resting[0] if self._resting else None
        awaking = (rest for rest in self._resting if not rest.ended and self._can_wake(rest))
        return min(awaking, default=None)

    def _can_wake(self, rest: _Rest) -> bool:
        return rest.blocks or not self._blocked[rest.thread]

    def _is_next(self, rest: _Rest) -> bool:
        with self._lock:
            return self._first() is rest

    def _target_ms(self, rest: _Rest) -> int | None:
        """Give to when somebody may let time pass, None while it must stand.

        That is for the next to wake. If it does not, because its event loop has ended or is blocked,
        others do it.
        """
        with self._lock:
            first = self._first()
            if first is None or rest.ended or self._closed:
                return None
            if first is not rest and time.monotonic() - self._moved_s < _STALLED_S:
                return None
            may = self._callers.at_rest(self._asleep.keys(), blocking=rest.blocks)
            return first.until_ms if may else None
