"""`http.client`, and with it `urllib.request` and whatever else stands on it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPSConnection  # not the package: it may still be loading
from typing import Any, ClassVar

from apixo_emulator.testing.libraries.base import PROBE_URL, Library, Patches
from apixo_emulator.testing.libraries.memory_socket import MemorySocket
from apixo_emulator.testing.sites import DEFAULT_PORTS, Origin, live_site, origin_of
from apixo_emulator.testing.traffic import find_at, let_out

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

    def attach(self) -> None:
        """Patch how connections are opened, and how one that is kept is used again."""
        super().attach()
        # Those of urllib3 come here too.
        self._patches.put(HTTPConnection, "putrequest", _reusing(HTTPConnection.putrequest))

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
        origin = _origin(self)
        if find_at(origin) is None:
            let_out(origin)
            connect(self)
            return
        self.sock = MemorySocket(origin)
        # urllib3 warns of connections that nobody has verified.
        self.is_verified = True

    return connect_in_process


def _reusing(begin: Callable[..., None]) -> Callable[..., None]:
    """Give a method that begins a request, over a new connection where the kept one leads elsewhere.

    Such as one to the network from before the block, or one to memory from another block.
    """

    def begin_in_process(self: Any, *args: Any, **kwargs: Any) -> None:
        kept = self.sock
        if kept is not None:
            in_memory = isinstance(kept, MemorySocket)
            if in_memory is (find_at(_origin(self)) is None):
                kept.close()
                self.sock = None  # opened anew when something is sent
        begin(self, *args, **kwargs)

    return begin_in_process


def _origin(connection: Any) -> Origin:
    scheme = "https" if connection.default_port == DEFAULT_PORTS["https"] else "http"
    # Through a proxy, its own address is the connection's.
    tunnelled = connection._tunnel_host is not None  # noqa: SLF001 - nothing public tells
    host = connection._tunnel_host if tunnelled else connection.host  # noqa: SLF001 - as above
    port = connection._tunnel_port if tunnelled else connection.port  # noqa: SLF001 - as above
    return origin_of(scheme, host, port)
