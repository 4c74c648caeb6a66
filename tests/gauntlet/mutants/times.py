"""Mutants of times, and of final answers that change."""

from __future__ import annotations

import json
from typing import Any

from gauntlet.conduct import Task, milliseconds
from gauntlet.mutant import FINAL, RUNNING, drop, put, shown

# --- times --------------------------------------------------------------------------------

_CREATE = "Task creation timestamp in Unix milliseconds"
for _name, _rule in {
    "missing": None,
    "null": lambda _found, _task: None,
    "a text": lambda found, _task: str(found),
    "ISO 8601": lambda _found, _task: "2026-01-09T13:33:30.929Z",
    "in seconds": lambda found, _task: found // 1000,
    "in microseconds": lambda found, _task: found * 1000,
    "a fraction": lambda found, _task: found + 0.5,
    "an hour ago": lambda found, _task: found - 3_600_000,
    "in an hour": lambda found, _task: found + 3_600_000,
    "always the example's": lambda _found, _task: 1767965610929,
    "zero": lambda _found, _task: 0,
}.items():
    shown(
        f"createTime: {_name}",
        _CREATE,
        "status.create-time",
        when=(*RUNNING, *FINAL),
        change=drop("createTime") if _rule is None else put("createTime", _rule),
    )


def _moving(found: int, task: Task) -> int:
    task.notes["moved"] = task.notes.get("moved", 0) + 3
    return found + int(task.notes["moved"])


shown(
    "createTime: moves",
    _CREATE,
    "status.create-time-constant",
    when=(*RUNNING, *FINAL),
    change=put("createTime", _moving),
)
shown(
    "createTime: another at the end",
    _CREATE,
    "status.create-time-constant",
    when=FINAL,
    change=put("createTime", lambda found, _task: found + 40),
)

_COMPLETE = "Task completion timestamp in Unix milliseconds. Present after completion"
shown(
    "completeTime: missing on success",
    _COMPLETE,
    "status.success-fields",
    when=("success",),
    change=drop("completeTime"),
)
shown(
    "completeTime: missing on failed",
    _COMPLETE,
    "status.failed-fields",
    when=("failed",),
    change=drop("completeTime"),
)
shown(
    "completeTime: null",
    _COMPLETE,
    "status.success-fields",
    when=FINAL,
    change=put("completeTime", None),
)
for _name, _rule in {
    "before createTime": lambda _found, task: milliseconds(task.created_s) - 1,
    "long before createTime": lambda found, _task: found - 86_400_000,
    "in seconds": lambda found, _task: found // 1000,
    "a text": lambda found, _task: str(found),
    "a fraction": lambda found, _task: found + 0.25,
    "in the future": lambda found, _task: found + 600_000,
    "a duration": lambda found, task: found - milliseconds(task.created_s),
}.items():
    shown(
        f"completeTime: {_name}",
        _COMPLETE,
        "status.complete-time",
        when=FINAL,
        change=put("completeTime", _rule),
    )
shown(
    "completeTime: while processing",
    _COMPLETE,
    "status.running-fields",
    when=RUNNING,
    change=put("completeTime", lambda _found, task: milliseconds(task.completed_s)),
)
shown(
    "completeTime: zero while processing",
    _COMPLETE,
    "status.running-fields",
    when=RUNNING,
    change=put("completeTime", 0),
)

_COST = "Processing duration in milliseconds when available"
for _name, _rule in {
    "negative": lambda _found, _task: -1,
    "a text": lambda found, _task: str(found),
    "with its unit": lambda found, _task: f"{found}ms",
    "a fraction": lambda found, _task: found + 0.5,
    "more than passed": lambda found, _task: found + 60_000,
    "a timestamp": lambda _found, task: milliseconds(task.completed_s),
    "in microseconds": lambda found, _task: found * 1000,
}.items():
    shown(
        f"costTime: {_name}",
        _COST,
        "status.cost-time",
        when=("success",),
        change=put("costTime", _rule),
    )

# --- final answers that change ----------------------------------------------------------------


def _counted(task: Task) -> int:
    task.notes["shown"] = task.notes.get("shown", 0) + 1
    return int(task.notes["shown"])


_FINAL = "Success response; a final answer is one answer"
shown(
    "final: completeTime moves",
    _FINAL,
    "status.final-stable",
    when=FINAL,
    change=put("completeTime", lambda found, task: found + _counted(task)),
)
shown(
    "final: costTime shrinks",
    _FINAL,
    "status.final-stable",
    when=("success",),
    change=put("costTime", lambda found, task: found - _counted(task)),
)
shown(
    "final: another code each time",
    _FINAL,
    "status.final-stable",
    when=("failed",),
    change=put("failCode", lambda _found, task: ("Timeout", "RateLimited")[_counted(task) % 2]),
)


def _another_url(data: dict[str, Any], task: Task) -> None:
    urls = json.loads(data["resultJson"])["resultUrls"]
    data["resultJson"] = json.dumps({"resultUrls": [f"{urls[0]}?v={_counted(task)}"]})


def _taken_back(data: dict[str, Any], task: Task) -> None:
    if _counted(task) > 1:
        del data["resultJson"]


shown(
    "final: another URL each time",
    _FINAL,
    "status.final-stable",
    when=("success",),
    change=_another_url,
)
shown(
    "final: the result is shown once",
    "resultJson: present when state is success",
    "status.final-stable",
    "status.success-fields",
    when=("success",),
    change=_taken_back,
)
