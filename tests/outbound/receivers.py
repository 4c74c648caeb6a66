"""Receivers on 127.0.0.1 whose every byte the test decides."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Script = Callable[[socket.socket, bytes], None]
Serve = Callable[..., "Receiver"]


def answering(answer: bytes) -> Script:
    return lambda connection, _: connection.sendall(answer)


@dataclass
class Receiver:
    """A listening socket; each connection is read up to the request's end, then the script answers."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.over.set()
        # Wakes `accept`, if no late connection of the test has: the socket listens until the threads end.
        with self._listener, socket.create_connection(("127.0.0.1", self.port)):
            for thread in self._threads:
                thread.join(10)
                assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.over.is_set():
                connection.close()
                return
            connection.settimeout(10)
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, plain: socket.socket) -> None:
        with plain:
            try:
                with self._secured(plain) as connection:
                    request = read_request(connection)
                    self.requests.append(request)
                    self.script(connection, request)
            except OSError:
                pass  # the caller hung up, which many tests are about

    def _secured(self, plain: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(plain, server_side=True) if self.tls else plain


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += _some(connection)
    head, _, body = request.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError("the caller hung up")
    return chunk
