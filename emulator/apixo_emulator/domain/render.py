"""What the API answers about a task."""

from __future__ import annotations

import orjson

from apixo_emulator.domain.effects import Quirk
from apixo_emulator.domain.states import TaskState, is_final
from apixo_emulator.domain.tasks import Task
from apixo_schemas import contract

# Seen on the live API by a public client (platform fact P15): to be read as "still running".
UNDOCUMENTED_STATE = "processing_r2"
_EXTRA_FIELDS = {"progress": 100, "provider": "auto", "extra": {"nested": [None, True]}}


def result_name(task: Task) -> str:
    """Give the file name of a task's result, e.g. ``0123….webp``."""
    return f"{task.id}.{contract().formats[task.output_format].extension}"


def result_url(task: Task, base_url: str) -> str:
    """Give the address of a task's result on this emulator."""
    return f"{base_url}/files/{result_name(task)}"


def submitted(task: Task) -> bytes:
    """Render the ``data`` of an accepted submit (page, Submit task response)."""
    data: dict[str, object] = {"taskId": task.id}
    if task.effects is not None and Quirk.EXTRA_FIELDS in task.effects.quirks:
        data.update(_EXTRA_FIELDS)
    return orjson.dumps(data)


def status(task: Task, now_ms: int, base_url: str) -> bytes:
    """Render the ``data`` of a status answer at an instant (page, Status response fields)."""
    state = task.state_at(now_ms)
    data: dict[str, object] = {"taskId": task.id, "state": state}
    if state is TaskState.SUCCESS:
        result = orjson.dumps({"resultUrls": [result_url(task, base_url)]})
        data["resultJson"] = result.decode()
    elif state is TaskState.FAILED:
        data["failCode"] = task.fail_code
        data["failMsg"] = task.fail_msg
    data["createTime"] = task.created_ms
    if task.ends_ms is not None and state in (TaskState.SUCCESS, TaskState.FAILED):
        data["completeTime"] = task.ends_ms
        if state is TaskState.SUCCESS:
            _add_cost_time(data, task.ends_ms - task.created_ms)
    if task.effects is not None and task.effects.quirks:
        _bend(data, task.effects.quirks, state)
    return orjson.dumps(data)


def _add_cost_time(data: dict[str, object], elapsed_ms: int) -> None:
    """Add `costTime`: in the page's example completeTime - createTime (assumption ``cost_time``)."""
    form = contract().assumed("cost_time")
    if isinstance(form, dict):
        data["costTime"] = round(elapsed_ms * form["share"])
    elif form != "absent":
        data["costTime"] = elapsed_ms


def _bend(data: dict[str, object], quirks: frozenset[Quirk], state: TaskState) -> None:
    """Make an answer rare but allowed."""
    if Quirk.STATE_UNKNOWN in quirks and state is TaskState.PROCESSING:
        data["state"] = UNDOCUMENTED_STATE
    if Quirk.NO_COST_TIME in quirks:
        data.pop("costTime", None)
    if Quirk.EXTRA_FIELDS in quirks:
        data.update(_EXTRA_FIELDS)
    if Quirk.RESULT_JSON_SPACED in quirks and "resultJson" in data:
        result = {**orjson.loads(str(data["resultJson"])), "seed": 7}
        text = orjson.dumps(result, option=orjson.OPT_INDENT_2).decode()
        data["resultJson"] = text.replace("/", "\\/")


def has_data(task: Task, now_ms: int) -> bool:
    """Tell whether an answer has ``data`` at all: with `Quirk.DATA_MISSING` not before the end."""
    if task.effects is None or Quirk.DATA_MISSING not in task.effects.quirks:
        return True
    return is_final(task.state_at(now_ms))
