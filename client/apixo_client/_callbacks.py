"""Reading a callback's body: the status envelope, posted (platform fact P4)."""

from __future__ import annotations

from typing import Any

from apixo_client._errors import CallbackError
from apixo_client._models import Task
from apixo_client._requests import parse_json, read_task, text

# Bytes. A callback is a few hundred; what is far beyond that is none.
MAX_BYTES = 1024 * 1024


def parse_callback(body: bytes | str | dict[str, Any]) -> Task:
    """Read a callback: its raw body, or the JSON object that a framework made of it.

    Unknown fields, states and fail codes are taken as they are: a state that is not documented
    gives a task that is not final. No signature is documented, so a body alone proves nothing:
    put a secret into the callback URL, or poll the task before you rely on it.

    Raises:
        CallbackError: It is no callback; the message says what was expected and found.
    """
    if isinstance(body, (bytes, str)):
        if len(body) > MAX_BYTES:
            raise CallbackError(
                f"expected a callback of at most {MAX_BYTES} bytes, found {len(body)}"
            )
        envelope = parse_json(body)
    else:
        envelope = body
    if not isinstance(envelope, dict):
        raise CallbackError("expected a JSON object, found something else: no callback of this API")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise CallbackError("expected an object under `data`, found none: no callback of this API")
    task_id = text(data.get("taskId"))
    if not task_id:
        raise CallbackError(
            "expected a text under `data.taskId`, found none: no callback of this API"
        )
    return read_task(data, Task(task_id))
