"""A callback receiver on loopback that answers as the test says and remembers what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with ``statuses`` in turn, the last one for ever; a hung path waits for the end."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    hung: set[str] = field(default_factory=set)
    received: Queue[Received] = field(default_factory=Queue)
    end: Event = field(default_factory=Event)

    def next(self) -> Received:
        return self.received.get(timeout=30)

    def next_status(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


class QuietHandler(BaseHTTPRequestHandler):
    """A handler of requests that writes nothing, and takes it that a client goes away."""

    def log_message(self, *args: object) -> None:
        """Leave the tests' output readable."""

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            return  # the emulator was killed, or has given up


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


@contextmanager
def web_server(handler: type[QuietHandler]) -> Iterator[str]:
    """Serve on a free port of this machine; gives the origin."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _handler(receiver: Receiver) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.next_status()
            receiver.received.put(Received(self.path, headers, body))
            if self.path in receiver.hung:
                receiver.end.wait(timeout=60)
            self.send_response(status)
            self.send_header("Content-Length", "2")
            if status in (301, 302, 307, 308):
                self.send_header("Location", receiver.url + "/elsewhere")
            self.end_headers()
            self.wfile.write(b"ok")

    return Handler


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(statuses=list(statuses) or [200])
    with web_server(_handler(receiver)) as receiver.url:
        try:
            yield receiver
        finally:
            receiver.end.set()
