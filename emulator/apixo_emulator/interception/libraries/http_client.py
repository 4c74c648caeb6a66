"""`http.client`, and with it `urllib.request` and whatever else stands on it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection  # not the package: it may still be loading
from typing import Any, ClassVar

from apixo_emulator.interception.libraries.base import PROBE_URL, Library, Patches
from apixo_emulator.interception.libraries.memory_socket import MemorySocket
from apixo_emulator.interception.sites import DEFAULT_PORTS, live_site
from apixo_emulator.interception.traffic import find, let_out

_Connect = Callable[[Any], None]


class Connections(Library):
    """Connections are opened to memory instead of a network; the library does the rest itself."""

    kinds: ClassVar[tuple[Any, ...]]

    def __init__(self) -> None:
        super().__init__()
        self._patches = Patches()

    def attach(self) -> None:
        """Patch how both kinds of connections are opened."""
        for kind in self.kinds:
            self._patches.put(kind, "connect", _connecting(kind.connect))

    def detach(self) -> None:
        """Undo it."""
        self._patches.undo()


class HttpClient(Connections):
    """Its own classes."""

    name = "http.client"
    module = "http.client"
    kinds = (HTTPConnection, HTTPSConnection)

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield HTTPConnection, "request"
        yield HTTPConnection, "send"

    def probe(self) -> Iterator[int]:
        """Call as `urllib.request` does."""
        # The usual context reads certificates, which takes long and is not needed.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        connection = HTTPSConnection(live_site().authority, context=context)
        connection.request("GET", PROBE_URL.removeprefix(live_site().base_url))
        yield connection.getresponse().status
        connection.close()


def _connecting(connect: _Connect) -> _Connect:
    """Give a method that opens a connection to the API in memory, and others as before."""

    def connect_in_process(self: Any) -> None:
        scheme = "https" if self.default_port == DEFAULT_PORTS["https"] else "http"
        # Through a proxy, its own address is the connection's.
        tunnelled = self._tunnel_host is not None
        host = self._tunnel_host if tunnelled else self.host
        door = find(scheme, host, self._tunnel_port if tunnelled else self.port)
        if door is None:
            let_out(scheme, host)
            connect(self)
            return
        self.sock = MemorySocket(door)
        # urllib3 warns of connections that nobody has verified.
        self.is_verified = True

    return connect_in_process
