"""The server on one core, the load on another, so that neither takes the other's time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
# On two cores the first is the server's; with more, neighbours are left alone.
SERVER = frozenset(_USABLE[:1])
LOAD = frozenset(_USABLE[-1:])
BOTH = SERVER | LOAD
PINNED = len(_USABLE) > 1


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Run on these cores, and start processes on them, which inherit it from here."""
    if not PINNED:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def machine() -> dict[str, str]:
    """Describe what the figures were measured on."""
    return {
        "cores": str(len(_USABLE) or os.cpu_count()),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "pinned": "server and load on a core each" if PINNED else "not pinned",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
