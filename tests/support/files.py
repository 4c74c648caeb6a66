"""File servers on loopback: the host of an application's source pictures, or any other server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@dataclass
class FileServer:
    """Answers each path with the bytes put under it, or ``other``; a held path waits."""

    origin: str = ""
    other: bytes | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    held: dict[str, Event] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.origin + path

    def hold(self, path: str) -> Event:
        return self.held.setdefault(path, Event())


def _handler(content: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept

        def do_GET(self) -> None:
            content.asked.append(self.path)
            if held := content.held.get(self.path):
                held.wait(timeout=30)
            body = content.files.get(self.path, content.other)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            del args  # the tests' output stays readable

    return Handler


@contextmanager
def file_server() -> Iterator[FileServer]:
    content = FileServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(content)) as server:
        server.daemon_threads = True  # one waits at each connection that is kept
        content.origin = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield content
        finally:
            for event in content.held.values():
                event.set()
            server.shutdown()
            thread.join()


@contextmanager
def elsewhere() -> Iterator[str]:
    """A server that answers ``me`` to every path; gives its URL."""
    with file_server() as server:
        server.other = b"me"
        yield server.origin
