"""Work that may have to wait, written once and driven twice: for sync and for async callers.

A flow yields what it needs and is sent what came of it; see `apixo_emulator.testing.engine`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")
Flow = Generator[Any, Any, _T]


def drive(flow: Flow[_T], perform: Callable[[Any], Any]) -> _T:
    """Carry out a flow and give its outcome."""
    try:
        step = next(flow)
        while True:
            step = flow.send(perform(step))
    except StopIteration as done:
        outcome: _T = done.value
        return outcome
    finally:
        flow.close()


async def adrive(flow: Flow[_T], perform: Callable[[Any], Awaitable[Any]]) -> _T:
    """Carry out a flow and give its outcome."""
    try:
        step = next(flow)
        while True:
            step = flow.send(await perform(step))
    except StopIteration as done:
        outcome: _T = done.value
        return outcome
    finally:
        flow.close()
