"""A task's plan as a picture: how far it is, and what happened and will happen when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apixo_schemas import contract

_WHOLE = 100.0
# Of a bar without an end: where `processing` begins.
_OPEN_PENDING = 12.0

TaskDocument = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """How far a task is, in percent of its plan; without an end the bar is ``open``."""

    pending: float
    progress: float
    open: bool


def bar(task: TaskDocument, now_ms: int) -> Bar:
    """Give the bar of a task; the page moves it on by the same rule."""
    created, starts, ends = task["createTime"], task["startTime"], task["endTime"]
    if ends is None:
        return Bar(_OPEN_PENDING, _WHOLE if now_ms >= starts else _OPEN_PENDING, open=True)
    whole = max(1, ends - created)
    return Bar(_share(starts - created, whole), _share(now_ms - created, whole), open=False)


def _share(part: float, whole: float) -> float:
    return round(min(_WHOLE, max(0.0, _WHOLE * part / whole)), 2)


@dataclass(frozen=True, slots=True)
class Moment:
    """What happens at an instant of the emulator's clock; None means that it is not certain when."""

    at_ms: int | None
    kind: str
    what: str
    note: str = ""


def moments(task: TaskDocument) -> list[Moment]:
    """Give what happened and will happen to a task and its callback, in the order of time."""
    found = [*_life(task), *_callback(task)]
    latest = max((moment.at_ms or 0 for moment in found), default=0)
    return sorted(found, key=lambda moment: latest + 1 if moment.at_ms is None else moment.at_ms)


def _life(task: TaskDocument) -> Iterator[Moment]:
    yield Moment(task["createTime"], "pending", "submitted", f"{task['cost']} USD charged")
    yield Moment(task["startTime"], "processing", "processing")
    ends = task["endTime"]
    if ends is None:
        unsure = "it is stuck" if task["scenario"] else "its source picture is being looked at"
        yield Moment(None, "open", "no end planned", unsure)
    elif task["failCode"]:
        yield Moment(ends, "failed", f"failed: {task['failCode']}", task["failMsg"] or "")
    else:
        yield Moment(ends, "success", "success")
        yield Moment(ends + contract().result_ttl_ms, "expired", "result expires")


def _callback(task: TaskDocument) -> Iterator[Moment]:
    delivery = task.get("delivery")
    if delivery is None:
        return
    for attempt in delivery["attempts"]:
        came = attempt["error"] or f"answered {attempt['status']}"
        kind = "failed" if attempt["error"] else "success"
        what = f"callback, attempt {attempt['number']}"
        yield Moment(attempt["time"], kind, what, f"{came}, {attempt['durationMs']} ms")
    if delivery["state"] == "scheduled" and delivery["dueTime"] is not None:
        yield Moment(delivery["dueTime"], "pending", "callback is due")
