"""A task as the status endpoint and the callback show it: exactly the page's fields, in its order."""

from __future__ import annotations

import orjson

from apixo_emulator.core.states import TaskState
from apixo_emulator.core.tasks import Task
from apixo_schemas import contract


def result_name(task: Task) -> str:
    """Give the file name of a task's result, e.g. ``0123….webp``."""
    return f"{task.id}.{contract().formats[task.output_format].extension}"


def result_url(task: Task, base_url: str) -> str:
    """Give the address of a task's result on this emulator."""
    return f"{base_url}/files/{result_name(task)}"


def submitted(task: Task) -> bytes:
    """Render the ``data`` of an accepted submit (page, Submit task response)."""
    return orjson.dumps({"taskId": task.id})


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
            # Assumption cost_time: in the page's example it is completeTime - createTime.
            data["costTime"] = task.ends_ms - task.created_ms
    return orjson.dumps(data)
