"""A small HTTP server of the API, written from the documentation alone.

It shares no code with the emulator: no class, no schema, no message. It runs on threads of its
own, in real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread

import httpx
from gauntlet.conduct import PREFIX, Conduct, Task
from gauntlet.wire import Request


class Server(ThreadingHTTPServer):
    """One conduct behind a port of this machine."""

    request_queue_size = 200

    def __init__(self, conduct: Conduct) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.conduct = conduct
        self.lock = Lock()
        self.stopped = Event()
        self._called: set[str] = set()
        conduct.bound_origin = f"http://127.0.0.1:{self.server_port}"

    def call_back(self) -> None:
        """Start the callbacks of tasks that are new."""
        for task in list(self.conduct.tasks.values()):
            if task.callback_url and task.id not in self._called:
                self._called.add(task.id)
                for moment in self.conduct.callback_moments(task):
                    Thread(target=self._deliver, args=(task, task.callback_url, moment)).start()

    def _deliver(self, task: Task, url: str, moment: float) -> None:
        conduct = self.conduct
        # A millisecond more: the payload must show the state that is due.
        delays = (max(0.0, moment - conduct.now()) + 0.002, *conduct.retry_delays_s)
        for delay in delays:
            if self.stopped.wait(delay) or not conduct.callback_retry(self._attempt(url, task)):
                return

    def _attempt(self, url: str, task: Task) -> int | None:
        # It calls receivers of the kit on this machine, and no address elsewhere.
        if not url.startswith("http:"):
            return None
        with self.lock:
            reply, method = self.conduct.callback_payload(task), self.conduct.callback_method()
        headers = {"content-type": reply.media_type}
        try:
            answer = httpx.request(
                method, url, content=reply.content, headers=headers, trust_env=False, timeout=30
            )
        except httpx.TransportError:
            return None
        return answer.status_code


class Handler(BaseHTTPRequestHandler):
    """Reads a call and writes its answer; head and body go in one packet."""

    server: Server
    wbufsize = -1

    def do_GET(self) -> None:
        conduct = self.server.conduct
        content = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        host = headers.get("host")
        origin = f"http://{host}" if host else conduct.bound_origin
        with self.server.lock:
            reply = conduct.handle(Request(self.command, self.path, headers, content, origin))
            self.server.call_back()
        self.server.stopped.wait(conduct.latency_s)
        self.send_response(reply.status)
        shown = {"Content-Type": reply.media_type, "Content-Length": str(len(reply.content))}
        for name, value in {**shown, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.content)

    do_POST = do_GET  # noqa: N815 - the parent's way of naming

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's
        pass


@contextmanager
def serving(conduct: Conduct) -> Iterator[str]:
    """Serve a conduct on a free port; yield the base URL of its API."""
    with Server(conduct) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield conduct.bound_origin + PREFIX
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()
