"""What a run measures beside its checks."""

from __future__ import annotations

from typing import Any

from apixo_contract._observations import Run
from apixo_contract._view import View, is_integer

# 32 years. A target may date its tasks as it likes, with more digits than a float holds.
_LONGEST_MS = 10**12


def measure(run: Run) -> dict[str, Any]:
    """Give what a report holds as ``measured``: how long tasks took, in ms, by resolution."""
    took: dict[str, list[int]] = {}
    for task in View(run).tasks.values():
        if task.final is None or not task.succeeded:
            continue
        made, done = (task.final.task.get(name) for name in ("createTime", "completeTime"))
        if is_integer(made) and is_integer(done) and 0 <= done - made <= _LONGEST_MS:
            took.setdefault(str(task.submitted.value("resolution")), []).append(done - made)
    return {"latency_ms": took} if took else {}
