"""Calls to an emulator that may die at any moment; each tells whether it was answered."""

from __future__ import annotations

import http.client
import json
import socket
import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self

from support.harness import BALANCE, KEY, STATUS, SUBMIT

PRICE_CENTS = 1
FINAL = ("success", "failed")
_TIMEOUT_S = 60


class Lost(Enum):
    """Why there is no answer."""

    # Nothing was sent.
    REFUSED = auto()
    # Something may have been sent, and the server may have acted on it.
    CUT = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


class Caller:
    """One client with one connection, opened again after a failure."""

    def __init__(self, port: int, key: str = KEY, *, keep_alive: bool = True) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}"}
        if not keep_alive:
            self._headers["Connection"] = "close"
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def call(self, method: str, path: str, body: Any = None) -> Answer | Lost:
        if self._connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return Lost.REFUSED
            except ConnectionError:
                return Lost.CUT
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection = connection
        sent = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, sent, self._headers)
            response = self._connection.getresponse()
            answer = Answer(response.status, response.read())
        except (ConnectionError, http.client.HTTPException):
            self.close()
            return Lost.CUT
        if response.will_close:
            self.close()
        return answer

    def submit(self, image_url: str, callback_url: str | None = None) -> Answer | Lost:
        body: dict[str, Any] = {"input": {"image_urls": [image_url]}}
        if callback_url is not None:
            body |= {"request_type": "callback", "callback_url": callback_url}
        return self.call("POST", SUBMIT, body)

    def status(self, task_id: str) -> Answer | Lost:
        return self.call("GET", f"{STATUS}?taskId={task_id}")

    def balance(self) -> Answer | Lost:
        return self.call("GET", BALANCE)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def answered(answer: Answer | Lost) -> Answer:
    """The answer of a server that is up."""
    assert isinstance(answer, Answer), answer
    assert answer.status == 200, answer.body
    return answer


def cents(answer: Answer) -> int:
    usd: float = answer.data
    return round(usd * 100)


def final_answer(caller: Caller, task_id: str, timeout_s: float = 60) -> bytes:
    """Poll until a task has ended; give its final answer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = answered(caller.status(task_id))
        if answer.data["state"] in FINAL:
            return answer.body
    raise AssertionError(f"task {task_id} has not ended within {timeout_s} s")
