"""The instant now, in Unix ms, as the emulator counts it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from apixo_emulator.storage.shared_number import SharedNumber

Now = Callable[[], int]

# Less is what correcting a clock over the network does.
_WORTH_A_WORD_MS = 1000
_log = logging.getLogger("apixo_emulator")


def steady_clock(mark: Path) -> Now:
    """Give a clock that starts at the system's time and never goes back, not over restarts either.

    A clock that were set back would take a final answer back, which must never change. So the
    latest instant that was given is kept in the file ``mark``.

    Raises:
        OSError: The file cannot be made.
    """
    seen = SharedNumber(mark)
    lock = threading.Lock()
    start_ms, since_ns = time.time_ns() // 1_000_000, time.monotonic_ns()
    latest_ms = seen.read()
    if latest_ms - start_ms > _WORTH_A_WORD_MS:
        _log.warning(
            "the system's clock is %.0f s behind the latest instant in %s; going on from there",
            (latest_ms - start_ms) / 1000,
            mark,
        )
    start_ms = max(start_ms, latest_ms)

    def now() -> int:
        now_ms = start_ms + (time.monotonic_ns() - since_ns) // 1_000_000
        if now_ms == seen.read():  # as nearly always under load, and then nothing is to be kept
            return now_ms
        with lock:
            # Processes that share the folder share the latest instant too.
            now_ms = max(now_ms, seen.read())
            seen.write(now_ms)
        return now_ms

    return now
