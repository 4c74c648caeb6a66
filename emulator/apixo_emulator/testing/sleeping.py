"""Sleeping as the emulator's time, for whoever waits for it.

Only threads and tasks that have called the API are concerned, and only while a block is open that
asks for it: whatever else sleeps in the process goes on sleeping. `time.sleep` is found where it is
looked up in its module; a name imported from there before is not.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from apixo_emulator.testing import traffic
from apixo_emulator.testing.libraries.base import Patches

if TYPE_CHECKING:
    from apixo_emulator.testing.inprocess import InProcess

# Whoever sleeps longer waits to be cancelled.
_FOR_EVER_S = 366 * 24 * 3600.0
_lock = threading.Lock()
_patches = Patches()
_sleepers: list[InProcess] = []


def patch(emulator: InProcess) -> None:
    """Let sleeping of the emulator's callers be its time."""
    with _lock:
        _sleepers.append(emulator)
        if len(_sleepers) == 1:
            _patches.put(time, "sleep", _sleeping(time.sleep))
            for module in _async_modules():
                _patches.put(module, "sleep", _sleeping_async(module.sleep))


def unpatch(emulator: InProcess) -> None:
    """Undo `patch`."""
    with _lock:
        _sleepers.remove(emulator)
        if not _sleepers:
            _patches.undo()


def _async_modules() -> list[ModuleType]:
    # anyio sleeps by a name of its own in asyncio's case, and by trio's in trio's.
    backend = sys.modules.get("anyio._backends._asyncio")
    trio = sys.modules.get("trio")
    return [asyncio, *(module for module in (backend, trio) if module is not None)]


def _caller() -> InProcess | None:
    """Give whose time the running thread or task sleeps in: that of the block it called last in."""
    called = (line.emulator for line in traffic.lines() if line.emulator.is_caller())
    last = next(called, None)
    return next((emulator for emulator in _sleepers if emulator is last), None)


def _passes(seconds: object) -> bool:
    """Tell whether it is a time that goes by; whatever else it is, is the real function's business."""
    return isinstance(seconds, int | float) and 0 < seconds < _FOR_EVER_S


def _sleeping(sleep: Callable[..., None]) -> Callable[..., None]:
    def sleep_in_process(seconds: float, /) -> None:
        emulator = _caller()
        if emulator is None or not _passes(seconds):
            sleep(seconds)
        else:
            emulator.oversleep(seconds)

    return sleep_in_process


def _sleeping_async(sleep: Callable[..., Any]) -> Callable[..., Any]:
    async def sleep_in_process(delay: float, *result: Any, **named: Any) -> Any:
        emulator = _caller()
        if emulator is None or not _passes(delay):
            return await sleep(delay, *result, **named)
        await emulator.aoversleep(delay)
        return await sleep(0, *result, **named)

    return sleep_in_process
