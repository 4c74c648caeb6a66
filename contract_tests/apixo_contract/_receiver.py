"""A small receiver of callbacks, on a thread of its own."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock, Thread
from typing import Any, cast

from apixo_contract._masking import Mask
from apixo_contract._observations import CallbackSeen
from apixo_contract._settings import Settings, UsageError
from apixo_contract._view import MARK, mark_of

_MOST_BYTES = 1024 * 1024
_PATIENCE_S = 30
_OK = 200
_REFUSE = 500


class Receiver:
    """Keeps every call that comes in; answers 200, or 500 where a retry is to be seen."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mask = Mask(settings.api_key)
        self._lock = Lock()
        self._settings = settings
        # Marks of the addresses whose first callback is turned away.
        self._refusing: set[str] = set()
        self.seen: list[CallbackSeen] = []
        self.base_url = ""

    def url(self, name: str) -> str:
        """Give an address for one task: it holds a mark of its own, and the task's name."""
        mark = f"{secrets.token_hex(8)}-{name}"
        given = self._settings.callback_url
        if given is None:
            return f"{self.base_url}/{MARK}/{mark}"
        # What lies between may look at the path.
        return f"{given}{'&' if '?' in given else '?'}{MARK}={mark}"

    def refuse_first(self, url: str) -> None:
        """Answer the first callback at an address 500."""
        with self._lock:
            self._refusing.add(mark_of(url))

    def count(self, url: str, task_id: str) -> int:
        """Give how many callbacks came in at an address, or tell of a task without any mark."""
        mark = mark_of(url)
        return sum(
            mark_of(seen.path) == mark or (not mark_of(seen.path) and seen.task_id == task_id)
            for seen in list(self.seen)
        )

    def take(self, method: str, path: str, headers: dict[str, str], text: str) -> int:
        """Keep a call; give the status to answer."""
        with self._lock:
            now = self._clock()
            answered = _REFUSE if mark_of(path) in self._refusing else _OK
            self._refusing.discard(mark_of(path))
            self.seen.append(
                CallbackSeen(
                    number=len(self.seen) + 1,
                    method=method,
                    path=self._mask.text(path),
                    headers=self._mask.headers(headers),
                    text=self._mask.text(text),
                    received_ms=round(now * 1000),
                    answered=answered,
                )
            )
        return answered


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S

    def _take(self) -> None:
        length = self.headers.get("Content-Length", "")
        if length.isdecimal():
            content = self.rfile.read(min(int(length), _MOST_BYTES))
        elif "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            content = b"".join(self._chunks())
        else:
            content = b""
        receiver = cast("_Server", self.server).receiver
        text = content.decode("utf-8", errors="replace")
        status = receiver.take(self.command, self.path, dict(self.headers.items()), text)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET = do_PUT = do_PATCH = do_DELETE = do_HEAD = _take  # noqa: N815

    def _chunks(self) -> Iterator[bytes]:
        left = _MOST_BYTES
        while left > 0:
            size = int(self.rfile.readline(64).partition(b";")[0].strip() or b"0", 16)
            if not size:
                return
            yield self.rfile.read(min(size, left))
            self.rfile.readline(8)
            left -= size

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: what came in stands in the report."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.receiver = receiver
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # The parent looks the host's name up, which takes long without a network.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller that broke off has not delivered."""


@contextmanager
def receiving(settings: Settings, clock: Callable[[], float]) -> Iterator[Receiver | None]:
    """Listen for callbacks while the block runs; gives None where no address is known.

    Raises:
        UsageError: The address cannot be listened on.
    """
    if not settings.takes_callbacks:
        yield None
        return
    receiver = Receiver(settings, clock)
    host = settings.callback_host or "127.0.0.1"
    # Behind a name, or a tunnel, any of this machine's addresses may be the one that is reached.
    bind = host if host in {"127.0.0.1", "::1"} else "0.0.0.0"  # noqa: S104 - asked for by the user
    try:
        server = _Server((bind, settings.callback_port), receiver)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"cannot listen for callbacks on {bind} port {settings.callback_port}: {error}. "
            "Give another --callback-port"
        ) from None
    name = f"[{host}]" if ":" in host else host
    receiver.base_url = f"http://{name}:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
