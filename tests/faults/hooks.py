"""A callback receiver that keeps books, and answers badly now and then."""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition

from support.receivers import QuietHandler, web_server


@dataclass
class Hooks:
    """What has arrived, by task id. ``bad`` is the share of answers that are 500, and of cut ones."""

    url: str = ""
    bad: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    arrivals: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)

    def arrived(self, body: bytes) -> int | None:
        """Book a callback; give the status to answer, None to cut the connection."""
        task_id = json.loads(body)["data"]["taskId"]
        with self.changed:
            self.arrivals[task_id] += 1
            if self.bodies.setdefault(task_id, body) != body:
                self.violations.append(f"the callbacks of {task_id} differ: {body!r}")
            self.changed.notify_all()
            drawn = self.chance.random()
        if drawn < self.bad:
            return 500
        return None if drawn < 2 * self.bad else 200

    def wait_for(self, task_ids: set[str], timeout_s: float) -> set[str]:
        """Wait until all have arrived; give those that have not."""
        with self.changed:
            self.changed.wait_for(lambda: task_ids <= self.arrivals.keys(), timeout_s)
            return task_ids - self.arrivals.keys()

    def wait_for_tasks(self, count: int, timeout_s: float) -> int:
        """Wait until callbacks of so many tasks have arrived; give of how many they have."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.arrivals) >= count, timeout_s)
            return len(self.arrivals)


def _handler(hooks: Hooks) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802 - its name in http.server
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hooks.arrived(body)
            if status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._answer(status)

        def do_GET(self) -> None:  # noqa: N802 - its name in http.server
            self._answer(200)  # a source picture that is none

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    return Handler


@contextmanager
def hooked(*, bad: float = 0.0, seed: int = 0) -> Iterator[Hooks]:
    hooks = Hooks(bad=bad, chance=random.Random(seed))  # noqa: S311 - chance that can be repeated
    with web_server(_handler(hooks)) as hooks.url:
        yield hooks
