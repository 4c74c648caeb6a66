"""The process of a server: its Python interpreter, and how many files and sockets it may have open."""

from __future__ import annotations

import gc
import sys

# Thresholds of Python's collector of cyclic garbage. Neither imports, requests nor callbacks leave any, and
# a collection goes through the journal: the defaults cost a submit's p99 3 ms of 7.5 at 27,000 a second,
# and a start a tenth of its time.
_COLLECTOR = (20_000, 50, 10)
# Seconds after which a thread that computes lets another run. With Python's default, 0.005, a call that
# waits for PostgreSQL loses that each time it goes on: up to 75 ms while a thread makes the first page.
_SWITCH_S = 0.0005
# Wanted open files and sockets; the usual soft limit, 1024, is for programs that use select().
_DESCRIPTORS = 8192


def prepare_process() -> None:
    """Set the process as a server needs it; to be called before most modules are imported."""
    gc.set_threshold(*_COLLECTOR)
    sys.setswitchinterval(_SWITCH_S)
    if descriptor_limit() < _DESCRIPTORS:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        soft = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptor_limit() -> int:
    """Return how many files and sockets the process may have open."""
    try:
        import resource
    except ImportError:  # no POSIX
        return _DESCRIPTORS
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
