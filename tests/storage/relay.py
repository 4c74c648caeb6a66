"""A network between a store and its database that a test can freeze, or cut at a given moment."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread


@dataclass
class Relay:
    """Carries bytes both ways.

    ``cut_after`` is in the message whose answer is not carried any more: the connection ends there.
    """

    target: str
    port: int = 0
    cut_after: bytes | None = None
    _flows: Event = field(default_factory=Event)
    _open: list[socket.socket] = field(default_factory=list)
    _deaf: set[socket.socket] = field(default_factory=set)

    def freeze(self) -> None:
        """From now on nothing arrives and nothing is closed, as in a network that drops packets."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        self._open += [client, server]
        Thread(target=self._carry, args=(client, server), daemon=True).start()
        Thread(target=self._carry, args=(server, client), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                if source in self._deaf:
                    break  # the server has acted and answered; the client does not get to know
                if self.cut_after and self.cut_after in data:
                    self.cut_after = None
                    self._deaf.add(sink)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.thaw()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def relay_to(unix_socket: str) -> Iterator[Relay]:
    """Listen on loopback and carry to the socket of a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        relay = Relay(unix_socket, listener.getsockname()[1])
        relay.thaw()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    relay.connect(listener.accept()[0])

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield relay
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            relay.close()
