"""What a run measures beside its checks."""

from __future__ import annotations

from typing import Any

from apixo_contract._observations import Run
from apixo_contract._view import View


def measure(run: Run) -> dict[str, Any]:
    """Give what a report holds as ``measured``: how long tasks took, in ms, by resolution."""
    took: dict[str, list[int]] = {}
    for task in View(run).tasks.values():
        if task.final is None or not task.succeeded:
            continue
        made, done = (task.final.task.get(name) for name in ("createTime", "completeTime"))
        if isinstance(made, int) and isinstance(done, int) and done >= made:
            took.setdefault(str(task.submitted.value("resolution")), []).append(done - made)
    return {"latency_ms": took} if took else {}
