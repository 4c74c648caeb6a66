"""Run `apixo-emulator` with a fault built in: `launcher.py FAULT … serve …`.

Faults, separated from the command by ``--``:

    crash=STEP:N     die at the N-th time of a step, as SIGKILL would have it: nothing is tidied up
    clock=SECONDS    the system's clock is so many seconds off
    uid=N            give up root before the command runs

A step is a method and when: ``before`` it does anything, at its ``commit`` (just before), ``after`` it.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

import apixo_emulator.serve  # noqa: F401 - before root is given up; it may be nobody else's
from apixo_emulator import cli
from apixo_emulator.outbound import OutboundClient
from apixo_emulator.service import Emulator
from apixo_emulator.service.sources import SourceChecker
from apixo_emulator.storage import SqliteStore

CRASHED = 9
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")
_STORE_STEPS: dict[str, type[Emulator | SqliteStore]] = {
    "accept": Emulator,
    "settle": SqliteStore,
    "claim_deliveries": SqliteStore,
    "record_attempts": SqliteStore,
}


class _Doom:
    def __init__(self, number: int) -> None:
        self._left = number

    def strike(self) -> None:
        self._left -= 1
        if self._left == 0:
            os._exit(CRASHED)


def _crash(step: str) -> None:
    method, when, number = step.split(":")
    doom = _Doom(int(number))
    if method in _STORE_STEPS:
        _crash_store(method, when, doom)
    elif method == "post":
        OutboundClient.post = _dying_post(OutboundClient.post, doom)  # type: ignore[method-assign]
    elif method == "enqueue":
        SourceChecker.enqueue = _dying(SourceChecker.enqueue, when, doom)  # type: ignore[method-assign]
    else:
        raise ValueError(step)


def _crash_store(method: str, when: str, doom: _Doom) -> None:
    owner = _STORE_STEPS[method]
    original = getattr(owner, method)
    if when != "commit":
        setattr(owner, method, _dying(original, when, doom))
        return

    @functools.wraps(original)
    def dying(one: Any, *arguments: Any) -> Any:
        written = False
        writer = (one if owner is SqliteStore else one.store)._writer

        def trace(statement: str) -> None:
            nonlocal written
            if statement == "COMMIT" and written:
                doom.strike()
            written = written or statement.startswith(("UPDATE", "INSERT"))

        with writer.lock:
            writer.db.set_trace_callback(trace)
            try:
                return original(one, *arguments)
            finally:
                writer.db.set_trace_callback(None)

    setattr(owner, method, dying)


def _dying(original: Callable[..., Any], when: str, doom: _Doom) -> Callable[..., Any]:
    @functools.wraps(original)
    def dying(*arguments: Any) -> Any:
        if when == "before":
            doom.strike()
        result = original(*arguments)
        if when == "after" and result != []:  # a claim of nothing is no step
            doom.strike()
        return result

    return dying


def _dying_post(
    original: Callable[_Given, Coroutine[Any, Any, _Made]], doom: _Doom
) -> Callable[_Given, Coroutine[Any, Any, _Made]]:
    @functools.wraps(original)
    async def dying(*arguments: _Given.args, **options: _Given.kwargs) -> _Made:
        answer = await original(*arguments, **options)
        doom.strike()
        return answer

    return dying


def _clock(seconds: str) -> None:
    true_ns = time.time_ns
    off_ns = int(seconds) * 1_000_000_000
    time.time_ns = lambda: true_ns() + off_ns


_FAULTS: dict[str, Callable[[str], object]] = {
    "crash": _crash,
    "clock": _clock,
    "uid": lambda number: os.setuid(int(number)),
}


if __name__ == "__main__":
    border = sys.argv.index("--")
    for fault in sys.argv[1:border]:
        name, _, value = fault.partition("=")
        _FAULTS[name](value)
    cli.main(sys.argv[border + 1 :])
