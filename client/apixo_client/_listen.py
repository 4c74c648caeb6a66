"""``apixo-client listen``: shows callbacks as they come, with nothing else installed."""

from __future__ import annotations

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from apixo_client._callbacks import MAX_BYTES, parse_callback
from apixo_client._errors import CallbackError
from apixo_client._progress import printable
from apixo_client._receiver import SeenTasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from apixo_client._models import Task

# A sender that stalls must not hold its thread for ever.
_PATIENCE_S = 30


class _Printer:
    """Prints each task once, from whichever thread received it."""

    def __init__(self) -> None:
        self._seen = SeenTasks()
        self._lock = Lock()

    def show(self, task: Task) -> None:
        with self._lock:
            if not self._seen.is_new(task.id):
                return
            what = task.result_urls or (task.fail_code or "", task.fail_message or "")
            words = " ".join(part for part in (str(task.state), task.id, *what) if part)
            sys.stdout.write(f"{printable(words)}\n")
            sys.stdout.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(show: Callable[[Task], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S

        def do_POST(self) -> None:
            announced = self.headers.get("Content-Length", "")
            if not announced.isdigit() or int(announced) > MAX_BYTES:
                self._say(413, f"expected a Content-Length of at most {MAX_BYTES} bytes")
                return
            try:
                task = parse_callback(self.rfile.read(int(announced)))
            except CallbackError as error:
                self._say(400, str(error))
                sys.stderr.write(f"apixo-client: not a callback: {printable(str(error))}\n")
                return
            self._say(200, "ok")
            show(task)

        def _say(self, status: int, words: str) -> None:
            body = words.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
            """Say nothing of each call: the callbacks are what is shown."""

    return Handler


def listen(host: str, port: int) -> None:
    """Print callbacks until SIGINT or SIGTERM; port 0 takes a free one.

    Raises:
        OSError: The address cannot be listened on.
    """
    with _Server((host, port), _handler(_Printer().show)) as server:

        def stop(_number: int, _frame: FrameType | None) -> None:
            # From another thread: `shutdown` waits for the loop that this handler interrupts.
            Thread(target=server.shutdown).start()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            sys.stdout.write(f"listening for callbacks on http://{host}:{server.server_port}/\n")
            sys.stdout.flush()
            server.serve_forever(poll_interval=0.1)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
