"""Time in tests: sleeping moves an emulator's clock, and clocks that time mocks do not replace.

A sleep of a thread or task that has called the API moves the emulator's clock to its own wake-up
time and takes no real time. Tasks, and threads of `asyncio.to_thread`, inherit this from the task
that starts them. All other code really sleeps. The order in which concurrent sleepers wake is not
guaranteed; the tasks of one event loop nearly always wake in order.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from apixo_emulator.testing.patches import Patches

if TYPE_CHECKING:
    from apixo_emulator.testing.emulator import InProcess

# A longer sleep is one that waits to be cancelled.
_FOREVER_S = 366 * 24 * 3600.0
# Code that sleeps longer than this, in more sleeps than this, waits for what does not come. Code
# that waits for a result to expire does so in a few sleeps.
_LONGEST_S = 24 * 3600.0
_MOST_SLEEPS = 100
# Real time that a sleeping thread leaves to the other threads.
_PAUSE_S = 0.001
# Turns of its event loop after which no task is expected to wake before a sleeper; how many sleepers
# are put in order, as all of them take part in each turn; and turns after which a sleeper wakes in
# any case.
_TURNS = 10
_FEW = 20
_MOST_TURNS = 2000

# Nanoseconds of real time. freezegun replaces the functions of `time` that it knows wherever they
# are bound to a name, time-machine those that tell the date; neither replaces this one.
real_ns: Callable[[], int] = (
    partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime_ns")
    else partial(time.monotonic_ns)  # Windows
)

pause = time.sleep  # the real one


class RealTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers run although a test has frozen the time."""

    def time(self) -> float:
        """Return seconds of real time."""
        return real_ns() / 1_000_000_000


class WaitedInVainError(RuntimeError):
    """The code under test waits for something that never comes; the message says for what."""


class VirtualClock:
    """The time of one emulator from a reset to the next, for code that sleeps in it.

    ``is_open`` is False once the emulator was reset or its session closed: then sleeping is real.
    """

    def __init__(self, emulator: InProcess, *, patches_sleep: bool) -> None:
        self._emulator = emulator
        self.patches_sleep = patches_sleep
        self.is_open = True
        self._by_thread = threading.local()
        self.begin_waiting()

    def begin_waiting(self) -> None:
        """Count sleeps anew, because there is something new to wait for."""
        self._slept_s, self._sleeps = 0.0, 0

    def note_caller(self) -> None:
        """Remember that the running thread and task have called the API."""
        _called.set(self)
        _thread.clock = self

    @contextmanager
    def in_use(self) -> Iterator[bool]:
        """Keep the emulator from being closed meanwhile; False if it is closed already."""
        with self._emulator.in_use():
            yield self.is_open

    def time(self) -> float:
        """Return the emulator's instant in Unix seconds."""
        return self._emulator.now_ms / 1000

    def wake_ms(self, seconds: float) -> int:
        """Return when a sleep that begins now is over.

        Raises:
            WaitedInVainError: Code has slept for more than a day in more than a hundred sleeps.
        """
        self._slept_s += seconds
        self._sleeps += 1
        if self._slept_s > _LONGEST_S and self._sleeps > _MOST_SLEEPS:
            self.begin_waiting()
            raise WaitedInVainError(
                "the code under test has slept for more than a day of the emulator's clock. What it"
                f" waits for does not come: {self._emulator.unfinished() or 'every task has ended'}."
                " Sleeping takes no real time here, so a deadline on time.monotonic() never passes."
            )
        return math.ceil(self._emulator.now_ms + seconds * 1000)

    def run_to(self, wake_ms: int) -> None:
        """Move the clock to an instant, unless it is there already."""
        if self._emulator.now_ms < wake_ms:
            self._emulator.run_to(wake_ms)

    async def asleep(self, seconds: float, turn: Callable[[], Awaitable[object]]) -> None:
        """Sleep in async code; ``turn`` lets the other tasks of the event loop go on once.

        A sleeper lets tasks that would wake earlier go first, as far as a few turns show that there
        are any.
        """
        wake_ms, asleep = self.wake_ms(seconds), self._asleep()
        asleep.append(wake_ms)
        try:
            first = 0
            for _ in range(_MOST_TURNS):
                await turn()
                first = first + 1 if wake_ms <= min(asleep) else 0
                if first > _TURNS or len(asleep) > _FEW or self._emulator.now_ms >= wake_ms:
                    break
        finally:
            asleep.remove(wake_ms)
        if self._emulator.now_ms < wake_ms:
            await self._emulator.arun_to(wake_ms)

    def _asleep(self) -> list[int]:
        """Return when the sleeping tasks of this thread's event loop wake."""
        found: list[int] = self._by_thread.__dict__.setdefault("asleep", [])
        return found


_called: ContextVar[VirtualClock | None] = ContextVar("apixo_emulator_clock", default=None)
_thread = threading.local()


def _clock_of_thread() -> VirtualClock | None:
    return _usable(_called.get()) or _usable(getattr(_thread, "clock", None))


def _usable(clock: VirtualClock | None) -> VirtualClock | None:
    return clock if clock is not None and clock.is_open and clock.patches_sleep else None


def _passes(seconds: object) -> bool:
    """True if sleeping so long moves a clock; the real function judges all other values."""
    return isinstance(seconds, int | float) and 0 < seconds < _FOREVER_S


@cache
def _virtual_sleep(original: Callable[..., None]) -> Callable[..., None]:
    """Return `time.sleep` for threads that have called the API and for all others."""

    @wraps(original)
    def sleep(seconds: float, /) -> None:
        clock = _clock_of_thread()
        if clock is None or not _passes(seconds):
            original(seconds)
            return
        with clock.in_use() as is_open:
            if is_open:
                wake_ms = clock.wake_ms(seconds)
                if threading.active_count() > 1:
                    pause(_PAUSE_S)
                clock.run_to(wake_ms)
                return
        original(seconds)  # the session has ended just now

    return sleep


@cache
def _virtual_async_sleep(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `asyncio.sleep` or `trio.sleep` for tasks that have called the API and all others."""
    signature = inspect.signature(original)
    name = next(iter(signature.parameters))  # asyncio and trio call it differently

    @wraps(original)
    async def sleep(*args: Any, **kwargs: Any) -> Any:
        clock, call = _usable(_called.get()), signature.bind(*args, **kwargs)
        if clock is not None and _passes(call.arguments[name]):
            await clock.asleep(call.arguments[name], lambda: original(0))
            call.arguments[name] = 0
        return await original(*call.args, **call.kwargs)

    return sleep


# anyio sleeps by asyncio's function or trio's.
_SLEEPS: dict[str, Callable[[Any], Any]] = {
    "time": _virtual_sleep,
    "asyncio": _virtual_async_sleep,
    "trio": _virtual_async_sleep,
}


class SleepPatches:
    """Replaces the functions that sleep, in their modules and wherever else they are a ``sleep``."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._modules: list[ModuleType] = []
        self._scanned = 0

    def put(self) -> None:
        """Replace them, in all modules that are imported."""
        for name, virtual in _SLEEPS.items():
            original = getattr(sys.modules.get(name), "sleep", None)
            if original is None or self._patches.made(original):
                continue
            replacement = virtual(original)
            for module in self._holders():
                if vars(module).get("sleep") is original:
                    self._patches.put(module, "sleep", replacement)

    def undo(self) -> None:
        """Put back what was there."""
        self._patches.undo()

    def _holders(self) -> list[ModuleType]:
        """Return the modules with a ``sleep``; a look through all of them is costly."""
        if self._scanned != len(sys.modules):
            self._scanned = len(sys.modules)
            every = list(sys.modules.values())
            self._modules = [found for found in every if "sleep" in getattr(found, "__dict__", ())]
        return self._modules


class ClientTiming:
    """Gives the thin client an emulator's clock, so that its own time limits pass while it sleeps.

    ``current`` returns the clock of the session that the running code is in, None where sleeping is
    real. The client is never imported for it.
    """

    def __init__(self, current: Callable[[], VirtualClock | None]) -> None:
        self._current = current
        self._before: Any = None

    def put(self) -> None:
        """Set the clock of the client, if the client is imported."""
        client: Any = sys.modules.get("apixo_client")  # while it is being imported it is empty
        if hasattr(client, "set_default_timing") and self._before is None:
            timing = client.Timing(monotonic=self._monotonic, wall=self._wall)
            self._before = client.set_default_timing(timing)

    def undo(self) -> None:
        """Put back the clock that the client had."""
        if self._before is not None:
            sys.modules["apixo_client"].set_default_timing(self._before)
            self._before = None

    def _monotonic(self) -> float:
        clock = self._current()
        return time.monotonic() if clock is None else clock.time()

    def _wall(self) -> float:
        clock = self._current()
        return time.time() if clock is None else clock.time()
