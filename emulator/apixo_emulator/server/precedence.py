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
# With this and short slices four 8k results slow polls' p99 to 1.2 times the quiet one, where server and
# load have a core each; with 5 and the usual slices to 8. Not all 19: where others keep the cores busy, a
# picture has to come, too.
_NICER = 15
_NICEST = 19
# sched_setattr(2), which Python does not offer; a program of 32 bits has other numbers.
_SYSCALLS = {"x86_64": 314, "aarch64": 274}
_MOST_OF_32_BITS = 2**32
_SHORTEST_SLICE_NS = 100_000
# What this thread starts gets the usual slices again.
_RESET_ON_FORK = 1
# size, policy, flags, nice, priority, runtime, deadline, period
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def stand_back() -> None:
    """Let others go before this thread; each thread of Linux has a niceness of its own."""
    if sys.platform == "linux":
        me = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, me) + _NICER
        os.setpriority(os.PRIO_PROCESS, me, min(nice, _NICEST))


def go_first() -> None:
    """Let this thread have a core as soon as it wakes, at the price of short slices.

    Linux (6.12 and newer) takes the core from whoever asked for longer ones; else it leaves it to them
    until the next tick of its clock, for up to 4 ms. Older kernels change nothing.
    """
    number = _SYSCALLS.get(platform.machine()) if sys.maxsize > _MOST_OF_32_BITS else None
    if sys.platform != "linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    import ctypes  # here, as nothing else needs it

    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    priority, deadline, period = 0, 0, 0  # of other policies
    wanted = _ATTRIBUTES.pack(
        *(_ATTRIBUTES.size, os.SCHED_OTHER, _RESET_ON_FORK, nice, priority),
        *(_SHORTEST_SLICE_NS, deadline, period),
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 0, wanted, 0):
        # A sandbox may forbid it; all works without.
        _log.debug("no short slices: %s", os.strerror(ctypes.get_errno()))
