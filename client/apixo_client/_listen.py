"""``apixo-client listen``: shows callbacks as they come, with nothing else installed."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, cast

from apixo_client._callbacks import MAX_BYTES, SeenTasks, parse_callback
from apixo_client._errors import CallbackError
from apixo_client._progress import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from apixo_client._models import Task

# A sender that stalls must not hold its thread for ever.
_PATIENCE_S = 30
# A refused body is read on so long, in pieces: closing on unread bytes would cost the sender the
# answer.
_LINGER_S = 1
_LINGER_PIECES = 64
_PIECE_BYTES = 64 * 1024


class _Printer:
    """Prints each task once, from whichever thread received it."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._over = False
        self._seen = SeenTasks()
        self._lock = Lock()

    def show(self, task: Task) -> bool:
        """Print a task; tell whether it is the last one to be printed."""
        with self._lock:
            if self._over or not self._seen.is_new(task):
                return False
            what = task.result_urls or (task.fail_code or "", task.fail_message or "")
            words = (str(task.state), task.id, *what)
            line = one_line(" ".join(part for part in words if part))
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            self._over = self._once
            return self._over


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S

    def do_POST(self) -> None:
        announced = _length(self.headers.get("Content-Length", ""))
        if announced is None:
            self._say(411, "expected a Content-Length, found none that is a number")
            return
        if announced > MAX_BYTES:
            self._say(413, f"expected at most {MAX_BYTES} bytes, found more")
            return
        try:
            task = parse_callback(self.rfile.read(announced))
        except CallbackError as error:
            self._say(400, str(error))
            _complain(f"not a callback: {error}")
            return
        self._say(200, "ok")
        cast("_Server", self.server).show(task)

    def _refuse(self) -> None:
        self._say(405, "expected a POST", ("Allow", "POST"))

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _say(self, status: int, words: str, *headers: tuple[str, str]) -> None:
        body = words.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def finish(self) -> None:
        super().finish()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_S)
            pieces = (self.connection.recv(_PIECE_BYTES) for _ in range(_LINGER_PIECES))
            all(pieces)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing of each call: the callbacks are what is shown."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A second listener on the port must be told so.
    allow_reuse_port = False

    def __init__(self, host: str, port: int, show: Callable[[Task], None]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.show = show
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # The parent looks the host's name up, which takes long without a network.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the parent's
        _complain(f"a call broke off: {sys.exc_info()[1]}")


def _length(announced: str) -> int | None:
    # Longer texts than that of the limit are cut: too large remains too large.
    digits = announced.strip()
    return int(digits[:20]) if digits.isascii() and digits.isdecimal() else None


def _complain(words: str) -> None:
    sys.stderr.write(f"apixo-client: {one_line(words)}\n")


def listen(host: str, port: int, *, once: bool = False) -> None:
    """Print callbacks until SIGINT or SIGTERM; port 0 takes a free one.

    Args:
        host: A name or an address, IPv4 or IPv6, of this machine.
        port: From 0 to 65535.
        once: End after the first callback.

    Raises:
        OSError: The address cannot be listened on.
        OverflowError: There is no such port.
        UnicodeError: There can be no such name.
    """
    printer = _Printer(once=once)

    def show(task: Task) -> None:
        if printer.show(task):
            server.shutdown()

    def stop(_number: int, _frame: FrameType | None) -> None:
        # From another thread: `shutdown` waits for the loop that this handler interrupts.
        Thread(target=server.shutdown).start()

    with _Server(host, port, show) as server:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            name = f"[{host}]" if ":" in host else host
            sys.stdout.write(
                f"listening for callbacks on http://{name}:{server.server_address[1]}/\n"
            )
            sys.stdout.flush()
            server.serve_forever(poll_interval=0.1)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
