"""Emulators of one store that act as one: one process, workers of a file, and two on PostgreSQL."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from support.harness import KEY, STATUS, SUBMIT
from support.process import Running, running

WAYS = ("alone", "workers", "postgres")


def body_of(number: int, **more: Any) -> bytes:
    """The body of a submit."""
    url = f"https://example.com/{number}.jpg"
    return json.dumps({"input": {"image_urls": [url]}, **more}).encode()


@dataclass
class Cluster:
    """The emulators; calls go to one after the other, each on a connection of its own."""

    servers: list[Running]

    def __post_init__(self) -> None:
        self._next = cycle(self.servers)
        self._client = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, *, key: str = KEY, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        url = f"{next(self._next).origin}{path}"
        return self._client.request(method, url, headers=headers, **options)

    def control(self, method: str, path: str, **options: Any) -> Any:
        answer = self.call(method, f"/_emulator/{path}", **options)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, number: int = 1, *, key: str = KEY, **more: Any) -> httpx.Response:
        return self.call("POST", SUBMIT, key=key, content=body_of(number, **more))

    def status(self, task_id: str, *, key: str = KEY) -> Any:
        return self.call("GET", f"{STATUS}?taskId={task_id}", key=key).json()["data"]

    def at_once(self, count: int, *, key: str = KEY) -> list[int]:
        """Write submits on open connections before any answer is read; return their statuses."""
        body = body_of(1)
        head = (
            f"POST {SUBMIT} HTTP/1.1\r\nhost: emulator\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        with ExitStack() as stack:
            connections = [
                stack.enter_context(closing(next(self._next).dial())) for _ in range(count)
            ]
            for connection in connections:
                connection.sendall(head.encode() + body)
            return [_status(connection) for connection in connections]


def _status(connection: socket.socket) -> int:
    with closing(HTTPResponse(connection)) as response:
        response.begin()
        response.read()
        return response.status


@pytest.fixture
def options() -> Sequence[str]:
    """What all emulators are started with."""
    return ()


@pytest.fixture(params=WAYS)
def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, options: Sequence[str]
) -> Iterator[Cluster]:
    with ExitStack() as stack:
        if request.param != "postgres":
            count = "1" if request.param == "alone" else "2"
            servers = [stack.enter_context(running("--workers", count, *options, cwd=tmp_path))]
        else:
            url = request.getfixturevalue("postgres_url")
            servers = []
            for name in ("one", "two"):
                folder = tmp_path / name
                folder.mkdir()
                servers.append(stack.enter_context(running("--store", url, *options, cwd=folder)))
        yield stack.enter_context(Cluster(servers))
