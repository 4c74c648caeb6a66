"""A callback receiver that keeps books, and answers badly now and then."""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread


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


def _handler(hooks: Hooks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hooks.arrived(body)
            if status is None:
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self._answer(status)

        def do_GET(self) -> None:
            self._answer(200)  # a source picture that is none

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            del args  # the output stays readable

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):
                return  # the emulator was killed in the middle of a callback

    return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


@contextmanager
def hooked(*, bad: float = 0.0, seed: int = 0) -> Iterator[Hooks]:
    hooks = Hooks(bad=bad, chance=random.Random(seed))  # noqa: S311 - chance that can be repeated
    with _Server(("127.0.0.1", 0), _handler(hooks)) as server:
        hooks.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hooks
        finally:
            server.shutdown()
            thread.join()
