"""Reading callbacks: the status envelope, posted (platform fact P4), maybe more than once (P5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from apixo_client._errors import CallbackError
from apixo_client._models import Task
from apixo_client._requests import parse_json, read_task, text

# Bytes. A callback is a few hundred; what is far beyond that is none.
MAX_BYTES = 1024 * 1024
# Callbacks that are remembered, to know a repeated one.
_MOST_SEEN = 10_000


def parse_callback(body: bytes | str | Mapping[str, Any]) -> Task:
    """Read a callback: its raw body, or the JSON object that a framework made of it.

    Unknown fields, states and fail codes are taken as they are: a state that is not documented
    gives a task that is not final. No signature is documented, so a body alone proves nothing:
    put a secret into the callback URL, or poll the task before you rely on it.

    Raises:
        CallbackError: It is no callback, or longer than 1 MiB; the message says what was expected
            and found.
    """
    envelope = _parsed(body) if isinstance(body, (bytes, str)) else body
    if not isinstance(envelope, Mapping):
        raise _unlike("a JSON object", envelope)
    data = envelope.get("data")
    if not isinstance(data, Mapping):
        raise _unlike("an object under `data`", data)
    task_id = text(data.get("taskId"))
    if not task_id:
        raise _unlike("a text under `data.taskId`", data.get("taskId"))
    return read_task(dict(data), Task(task_id))


def _parsed(body: bytes | str) -> Any:
    if len(body) > MAX_BYTES:
        raise CallbackError(f"expected a callback of at most {MAX_BYTES} bytes, found more")
    return parse_json(body)


def _unlike(expected: str, found: Any) -> CallbackError:
    kind = "none" if found in (None, "") else f"a value of type {type(found).__name__}"
    return CallbackError(f"expected {expected}, found {kind}: no callback of this API")


class SeenTasks:
    """The latest callbacks, so that a repeated one is told from a new one.

    A task that has ended is new once. One that still runs, by a state that is not documented, is
    new once in each state, and no more after its end. What is kept does not depend on how long ids
    are: they come from outside.
    """

    def __init__(self, most: int = _MOST_SEEN) -> None:
        self._most = most
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def is_new(self, task: Task) -> bool:
        """Note a callback; tell whether it was not there."""
        key = _key(task)
        if key in self._keys or _key(task, ended=True) in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)
        return True

    def forget(self, task: Task) -> None:
        """Take a callback back, so that the next one like it is new again."""
        self._keys.pop(_key(task), None)


def _key(task: Task, *, ended: bool = False) -> bytes:
    state = None if ended or task.is_final else str(task.state)
    return blake2b(repr((task.id, state)).encode(), digest_size=16).digest()
