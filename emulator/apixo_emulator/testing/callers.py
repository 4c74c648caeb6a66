"""Who has called the API: threads and async tasks, and which of them may be at work just now."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from pathlib import Path
from typing import Any

# Whose call was the last in this context: tasks, and threads of `asyncio.to_thread`, inherit it.
_last: ContextVar[object] = ContextVar("apixo_emulator_last", default=None)
# A thread that does not sleep, but has neither called nor used the processor for so long, waits for
# something else, as far as anybody can tell: to be given work, or for another thread.
_IDLE_S = 0.01
_PATIENCE_S = 5.0
_STEP_S = 0.001


class Callers:
    """Those of one emulator. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._calling: Counter[Any] = Counter()
        self._mark = object()
        # In seconds of the monotonic clock: when one last called or woke, and when a thread last ran.
        self._active_s = 0.0
        self._ran_s = 0.0
        self._used_ns: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def note(self, caller: Any) -> None:
        """Remember a thread or task, and that it is at work."""
        with self._lock:
            self._known.add(caller)
            self._active_s = time.monotonic()

    def begin(self) -> Any:
        """Note that the running thread or task waits for an answer; the outcome is for `end`."""
        caller = current_caller()
        _last.set(self._mark)
        with self._lock:
            self._known.add(caller)
            self._calling[caller] += 1
        return caller

    def end(self, caller: Any) -> None:
        """Note that the answer was given."""
        with self._lock:
            self._calling[caller] -= 1
            if not self._calling[caller]:
                del self._calling[caller]
            self._active_s = time.monotonic()

    def drain(self) -> None:
        """Wait until nobody is being answered any more, but not for ever."""
        until_s = time.monotonic() + _PATIENCE_S
        while self._others_call() and time.monotonic() < until_s:
            threading.Event().wait(_STEP_S)

    def _others_call(self) -> bool:
        here = current_caller()
        with self._lock:
            return any(caller != here for caller in self._calling)

    def note_current(self) -> None:
        """Remember the running thread or task, which begins a call."""
        _last.set(self._mark)
        self.note(current_caller())

    def has_current(self) -> bool:
        """Tell whether the running thread or task has called, or whoever started it."""
        return _last.get() is self._mark or current_caller() in self._known

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._mark = object()
            self._known.clear()

    def at_rest(self, asleep: AbstractSet[Any], *, blocking: bool) -> bool:
        """Tell whether time may pass: nobody but those who are asleep has anything left to do now.

        Sure of the running event loop's tasks; one that is blocked has nobody who could work. Of other threads it is where all of them sleep, too;
        else it is a guess, after a moment in which none has called or run.
        """
        with self._lock:
            if any(caller not in asleep for caller in self._calling):
                return False
            here = {current_caller(), threading.current_thread()}
            loop = _running_loop()
            awake = [
                other
                for other in self._known
                if other not in asleep and other not in here and not _waits(other, loop)
            ]
            # A thread that has not called yet may be about to.
            self._note_work({*awake, *threading.enumerate()} - here - asleep)
            now_s = time.monotonic()
            if now_s - self._ran_s < _IDLE_S:
                return False
            if now_s - self._active_s >= _IDLE_S:
                return True
        return not awake and (loop is None or blocking or _waits_all(loop, asleep | here))

    def _note_work(self, awake: AbstractSet[Any]) -> None:
        """Count running, since the last look or just now, as being at work."""
        for caller in awake:
            if isinstance(caller, threading.Thread):
                runs, used_ns = _processor(caller)
                if runs or self._used_ns.get(caller) != used_ns:
                    self._used_ns[caller] = used_ns
                    self._ran_s = self._active_s = time.monotonic()


def current_caller() -> Any:
    """Give the running async task, or where there is none the thread."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return task or trio_task() or threading.current_thread()


def trio_task() -> Any:
    """Give the running task of trio, None where it is not used."""
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:
        return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _waits(caller: Any, loop: asyncio.AbstractEventLoop | None) -> bool:
    """Tell whether one that does not sleep cannot be at work."""
    if isinstance(caller, threading.Thread):
        return not caller.is_alive()
    if isinstance(caller, asyncio.Task):
        # Those of the running loop are looked at together with all others of it.
        return caller.done() or caller.get_loop() is loop or caller.get_loop().is_closed()
    return True  # trio tells of its own


def _waits_all(loop: asyncio.AbstractEventLoop, apart: AbstractSet[Any]) -> bool:
    """Tell whether each task of a loop waits for something that has not happened yet."""
    for task in asyncio.all_tasks(loop):
        if task not in apart:
            waited = task._fut_waiter  # type: ignore[attr-defined] # noqa: SLF001 - nothing public tells; anyio looks here, too
            if waited is None or waited.done():
                return False
    return True


def _processor(thread: threading.Thread) -> tuple[bool, int]:
    """Tell whether a thread runs or would if a processor were free, and how long it has run, in ns.

    From Linux; elsewhere it cannot be known. (`time.pthread_getcpuclockid` crashes where the thread
    has just ended.)
    """
    folder = Path(f"/proc/self/task/{thread.native_id}")
    try:
        state = (folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
        return state == b"R", int((folder / "schedstat").read_bytes().split()[0])
    except OSError:
        return False, 0
