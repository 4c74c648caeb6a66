"""The instant now, in Unix ms, as the emulator counts it."""

from __future__ import annotations

import time
from collections.abc import Callable

Now = Callable[[], int]


def steady_clock() -> Now:
    """Give a clock that starts at the system's time and never goes back.

    A clock that were set back would take a final answer back, which must never change.
    """
    start_ns = time.time_ns() - time.monotonic_ns()
    return lambda: (start_ns + time.monotonic_ns()) // 1_000_000
