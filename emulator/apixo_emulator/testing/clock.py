"""Time in tests: sleeping moves an emulator's clock, and clocks that time mocks do not replace.

A sleep of a thread or task that has called the API moves the emulator's clock to its own wake-up
time and takes no real time. Tasks, and jobs that they give to thread pools, inherit this from the
task that starts them. When a task or job has called and ended, what has started it counts as a caller
too. All other code really sleeps. The order in which concurrent sleepers wake is not guaranteed; the
tasks of one event loop nearly always wake in order.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from bisect import insort
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial, wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel

from apixo_emulator.testing import routing
from apixo_emulator.testing.patches import Patches, restore

if TYPE_CHECKING:
    from apixo_emulator.testing.emulator import InProcess

# A longer sleep is one that waits to be cancelled.
_FOREVER_S = 366 * 24 * 3600.0
# Code that sleeps longer than this, in more sleeps than this, waits for what does not come. Code
# that waits for a result to expire does so in a few sleeps.
_LONGEST_S = 24 * 3600.0
_LONGEST_FOR_STUCK_S = 3600.0
_MOST_SLEEPS = 100
# Real time that a sleeping thread leaves to the other threads.
_PAUSE_S = 0.001
# Turns of an event loop in which its other tasks can go to sleep for a shorter time.
_TURNS = 10

# Nanoseconds of real time. freezegun replaces the functions of `time` that it knows wherever they
# are bound to a name, time-machine those that tell the date; neither replaces this one.
real_ns: Callable[[], int] = (
    partial(time.clock_gettime_ns, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime_ns")
    else partial(time.monotonic_ns)  # Windows
)
_real_sleep = time.sleep


class RealTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers run although a test has frozen the time."""

    def time(self) -> float:
        """Return seconds of real time."""
        return real_ns() / 1_000_000_000


class WaitedInVainError(RuntimeError):
    """The code under test waits for something that never comes; the message says for what."""


@dataclass(eq=False)
class _Sleeper:
    """A sleeping task; ``is_first`` is set when it is the next of its event loop to wake."""

    wake_ms: int
    is_first: anyio.Event = field(default_factory=anyio.Event)


# The sleeping tasks of an event loop, the next to wake first.
_sleepers: anyio.lowlevel.RunVar[list[_Sleeper]] = anyio.lowlevel.RunVar("apixo_emulator_sleepers")


class VirtualClock:
    """The time of one emulator from a reset to the next, for code that sleeps in it.

    ``is_open`` is False once the emulator was reset or its session closed: then sleeping is real.
    """

    def __init__(self, emulator: InProcess, *, patches_sleep: bool) -> None:
        self._emulator = emulator
        self.patches_sleep = patches_sleep
        self.is_open = True
        self.begin_waiting()

    def begin_waiting(self) -> None:
        """Count sleeps anew, because there is something new to wait for."""
        self._slept_s, self._sleeps = 0.0, 0

    def note_caller(self) -> None:
        """Remember that the running thread and task have called the API."""
        for this in (_running(), threading.current_thread()):
            _count(this, self)

    def time(self) -> float:
        """Return the emulator's instant in Unix seconds."""
        return self._emulator.now_ms / 1000

    def sleep(self, seconds: float) -> bool:
        """Sleep in sync code; False if the session has just ended, and the clock was not moved."""
        with self._emulator.in_use():
            if self.is_open:
                wake_ms = self._wake_ms(seconds)
                if threading.active_count() > 1:
                    _real_sleep(_PAUSE_S)
                self._emulator.run_to(wake_ms)
            return self.is_open

    async def asleep(self, seconds: float) -> None:
        """Sleep in async code: of an event loop's sleepers the first to wake moves the clock."""
        sleeper, others = _Sleeper(self._wake_ms(seconds)), _sleepers.get([])
        _sleepers.set(others)
        insort(others, sleeper, key=lambda one: one.wake_ms)
        try:
            turns = 0
            while turns < _TURNS:
                if others[0] is sleeper:
                    await anyio.lowlevel.checkpoint()
                    turns += 1
                else:
                    turns, sleeper.is_first = 0, anyio.Event()
                    await sleeper.is_first.wait()
        finally:
            others.remove(sleeper)
            with suppress(RuntimeError):  # the event loop was closed before its tasks had ended
                if others:
                    others[0].is_first.set()
        if self.is_open:
            await self._emulator.arun_to(sleeper.wake_ms)

    def _wake_ms(self, seconds: float) -> int:
        """Return when a sleep that begins now is over.

        Raises:
            WaitedInVainError: Code has slept in more than a hundred sleeps for more than a day, or
                for more than an hour while only tasks are left that never end.
        """
        self._slept_s += seconds
        self._sleeps += 1
        if self._sleeps > _MOST_SLEEPS and (
            self._slept_s > _LONGEST_S
            or (self._slept_s > _LONGEST_FOR_STUCK_S and self._emulator.is_stuck())
        ):
            slept_s = self._slept_s
            self.begin_waiting()
            raise WaitedInVainError(
                f"the code under test has slept for {slept_s:,.0f} s of the emulator's clock. What it"
                f" waits for does not come: {self._emulator.unfinished() or 'every task has ended'}."
                " Sleeping takes no real time here, so a deadline on time.monotonic() never passes."
            )
        return math.ceil(self._emulator.now_ms + seconds * 1000)


# By task of asyncio or trio, and thread.
_callers: WeakKeyDictionary[Any, VirtualClock] = WeakKeyDictionary()


def _running() -> Any:
    """Return the running task, None in a callback of an event loop; or the thread."""
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop of asyncio runs
        pass
    trio: Any = sys.modules.get("trio")
    try:
        return trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):
        return threading.current_thread()


def _clock_of(this: Any) -> VirtualClock | None:
    clock = None if this is None else _callers.get(this)
    return clock if clock is not None and clock.is_open else None


def _count(this: Any, clock: VirtualClock | None) -> None:
    """Count a task or thread as a caller, if there is a clock."""
    if clock is not None and this is not None:
        _callers[this] = clock


def _create_task(create: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(create)
    def create_task(loop: Any, coro: Any, **options: Any) -> Any:
        starter, task = _running(), create(loop, coro, **options)
        _count(task, _clock_of(starter))
        task.add_done_callback(lambda task: _count(starter, _clock_of(task)))
        return task

    return create_task


def _start_soon(start_soon: Callable[..., None]) -> Callable[..., None]:
    @wraps(start_soon)
    def start_task(nursery: Any, function: Any, *args: Any, name: object = None) -> None:
        starter = _running()

        async def run() -> None:
            _count(_running(), _clock_of(starter))
            try:
                await function(*args)
            finally:
                _count(nursery.parent_task, _clock_of(_running()))

        start_soon(nursery, run, name=name or function)

    return start_task


def _join(join: Callable[..., None]) -> Callable[..., None]:
    @wraps(join)
    def join_thread(thread: threading.Thread, timeout: float | None = None) -> None:
        join(thread, timeout)
        if not thread.is_alive():
            _count(_running(), _clock_of(thread))

    return join_thread


def _submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def submit_job(pool: Any, job: Any, /, *args: Any, **options: Any) -> Any:
        return submit(pool, _job, _running(), job, *args, **options)

    return submit_job


def _run_sync(run_sync: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(run_sync)
    async def run_job(job: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await run_sync(_job, _running(), job, *args, **options)

    return run_job


def _job(starter: Any, job: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
    thread = threading.current_thread()
    _callers.pop(thread, None)  # left by an earlier job, which may have had another starter
    if not isinstance(starter, threading.Thread):
        _count(thread, _clock_of(starter))
    try:
        return job(*args, **options)
    finally:
        _count(starter, _clock_of(thread))


def _moved_by(seconds: object, *callers: Any) -> VirtualClock | None:
    """Return the clock of one of these, if a sleep so long moves it.

    The function that sleeps judges other values.
    """
    if not (isinstance(seconds, int | float) and 0 < seconds < _FOREVER_S):
        return None
    clock = next(filter(None, map(_clock_of, callers)), None)
    return clock if clock is not None and clock.patches_sleep else None


@cache
def _time_sleep(original: Callable[[float], None]) -> Callable[[float], None]:
    @wraps(original)
    def sleep(seconds: float, /) -> None:
        clock = _moved_by(seconds, _running(), threading.current_thread())
        if clock is None or not clock.sleep(seconds):
            original(seconds)

    return sleep


@cache
def _asyncio_sleep(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def sleep(delay: float, result: Any = None) -> Any:
        clock = _moved_by(delay, _running())
        if clock is None:
            return await original(delay, result)
        await clock.asleep(delay)
        return result

    return sleep


@cache
def _trio_sleep(original: Callable[[float], Awaitable[None]]) -> Callable[[float], Awaitable[None]]:
    @wraps(original)
    async def sleep(seconds: float) -> None:
        clock = _moved_by(seconds, _running())
        await (original(seconds) if clock is None else clock.asleep(seconds))

    return sleep


def patch_time(time: Any, patches: Patches) -> None:
    """Let sleeping threads move the clock."""
    _patch_sleep(time, patches, _time_sleep)


def patch_asyncio(asyncio: Any, patches: Patches) -> None:
    """Let sleeping tasks move the clock, and record which task or thread starts and joins which.

    What waits for a task goes on after the task's end, and so do `asyncio.wait_for`,
    `asyncio.gather`, task groups and `asyncio.to_thread`. A task that has not ended may be a worker
    in the background, of whose time its starter's sleep says nothing.
    """
    _patch_sleep(asyncio, patches, _asyncio_sleep)
    patches.put(asyncio.BaseEventLoop, "create_task", _create_task)
    patches.put(ThreadPoolExecutor, "submit", _submit)
    patches.put(threading.Thread, "join", _join)


def patch_uvloop(uvloop: Any, patches: Patches) -> None:
    """Tell which task or thread starts the tasks of uvloop."""
    patches.put(uvloop.Loop, "create_task", _create_task)


def patch_trio(trio: Any, patches: Patches) -> None:
    """Do the same for trio: its sleep, the starter of its tasks, and who waits for its threads."""
    _patch_sleep(trio, patches, _trio_sleep)
    patches.put(trio.Nursery, "start_soon", _start_soon)
    patches.put(trio.to_thread, "run_sync", _run_sync)


def patch_anyio(to_thread: Any, patches: Patches) -> None:
    """Tell who waits for a thread of anyio's pool. It sleeps by asyncio's function or trio's."""
    patches.put(to_thread, "run_sync", _run_sync)


def patch_client(client: Any, patches: Patches) -> None:
    """Let the thin client's time limits pass in the emulator's time."""

    def set_timing() -> Callable[[], object]:
        timing = client.Timing(
            monotonic=lambda: _client_s_time(time.monotonic), wall=lambda: _client_s_time(time.time)
        )
        return partial(client.set_default_timing, client.set_default_timing(timing))

    patches.once(client, set_timing)


def _client_s_time(real: Callable[[], float]) -> float:
    clock = next((session.emulator.clock for session in routing.sessions()), None)
    return real() if clock is None or not clock.patches_sleep else clock.time()


def _patch_sleep(module: Any, patches: Patches, replacing: Callable[[Any], Any]) -> None:
    """Replace a function that sleeps in its module and wherever else it is a ``sleep``."""
    if patches.is_put(module, "sleep"):  # threads of an outer session may sleep just now
        return
    restore(module, "sleep")
    original = module.sleep
    replacement = replacing(original)  # may be there: another mock has put it back
    for holder in _modules_with_sleep(len(sys.modules)):
        sleep = vars(holder).get("sleep")
        if sleep is original or sleep is replacement:
            patches.put(holder, "sleep", replacing)


@lru_cache(1)
def _modules_with_sleep(_count: int) -> list[ModuleType]:
    """Look through all modules, which is costly, when their number has changed."""
    modules = list(sys.modules.values())
    return [module for module in modules if "sleep" in getattr(module, "__dict__", ())]
