"""Who goes first where all cores are busy: calls, before what is drawn or tidied up meanwhile.

On Linux alone; elsewhere nobody goes first. No privilege is needed for either.
"""

from __future__ import annotations

import logging
import os
import platform
import struct
import sys
import threading

_log = logging.getLogger("apixo_emulator")
# Not all 19: where others keep the cores busy, a picture has to come, too.
_NICER = 15
_NICEST = 19
# Of the processor's time at once. Whoever wakes and asked for a shorter slice than the one that runs
# takes its core at once; else it waits for the next tick of Linux' clock, for up to 4 ms. Polls' p99 while
# four 8k results are drawn, to the quiet one: 1.2 where server and load have a core each, 8 with a
# niceness of 5 and the usual slices; 1.6 to 1.9 where all share two cores, 7 to 8 without the long ones.
_SHORTEST_SLICE_NS = 100_000
_LONGEST_SLICE_NS = 100_000_000
# sched_setattr(2), which Python does not offer; a program of 32 bits has other numbers.
_SYSCALLS = {"x86_64": 314, "aarch64": 274}
_MOST_OF_32_BITS = 2**32
# What this thread starts gets the usual slices again.
_RESET_ON_FORK = 1
# size, policy, flags, nice, priority, runtime, deadline, period
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def go_first() -> None:
    """Let this thread have a core as soon as it wakes, at the price of short slices."""
    if sys.platform == "linux":
        _slice(_SHORTEST_SLICE_NS, _niceness(), _RESET_ON_FORK)


def stand_back() -> None:
    """Let others go before this thread and those that it starts, whoever they are: callers, too."""
    if sys.platform == "linux":
        nice = min(_niceness() + _NICER, _NICEST)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        _slice(_LONGEST_SLICE_NS, nice, 0)


def _niceness() -> int:
    """Give this thread's; each thread of Linux has its own."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def _slice(length_ns: int, nice: int, flags: int) -> None:
    """Ask Linux (6.12 and newer; older ones change nothing) for slices of a length for this thread."""
    number = _SYSCALLS.get(platform.machine()) if sys.maxsize > _MOST_OF_32_BITS else None
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    import ctypes  # here, as nothing else needs it

    priority, deadline, period = 0, 0, 0  # of other policies
    wanted = _ATTRIBUTES.pack(
        *(_ATTRIBUTES.size, os.SCHED_OTHER, flags, nice, priority, length_ns, deadline, period)
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 0, wanted, 0):
        # A sandbox may forbid it; all works without.
        _log.debug("no slices of %d ns: %s", length_ns, os.strerror(ctypes.get_errno()))
