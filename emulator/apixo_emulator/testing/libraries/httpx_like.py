"""httpx and its successor httpx2: at their transports for the network.

That is above httpcore, where respx stands: its routes go on, whether made before or after, and a
call pays nothing for them. Transports of the user's own are left alone, as they make no network.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from apixo_emulator.domain.wire import HttpResponse, WireFault
from apixo_emulator.testing.libraries.base import (
    PROBE_URL,
    RESET,
    DamagedStream,
    Library,
    Patches,
    cut_short,
    wire_headers,
    without_loop,
)
from apixo_emulator.testing.sites import origin_of
from apixo_emulator.testing.traffic import Door, find_at, let_out


class HttpxLike(Library):
    """Sync and async; ``library`` is the module."""

    def __init__(self, library: ModuleType) -> None:
        super().__init__()
        self._library = library
        self._patches = Patches()
        self._clients: tuple[Any, Any] | None = None

        class Stream(DamagedStream, library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc,name-defined] # a module known at run time
            """As the library wants it."""

        self._stream = Stream

    def attach(self) -> None:
        """Patch where requests leave the library."""
        sync, concurrent = self._library.HTTPTransport, self._library.AsyncHTTPTransport
        self._patches.put(sync, "handle_request", self._handling(sync.handle_request))
        self._patches.put(
            concurrent,
            "handle_async_request",
            self._handling_async(concurrent.handle_async_request),
        )

    def detach(self) -> None:
        """Undo it."""
        self._patches.undo()

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        for client in (self._library.Client, self._library.AsyncClient):
            yield client, "send"
            yield client, "_transport_for_url"

    def probe(self) -> Iterator[int]:
        """Call with a sync and an async client."""
        if self._clients is None:
            # Certificates take long to read and are not needed.
            options = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}
            self._clients = self._library.Client(**options), self._library.AsyncClient(**options)
        client, concurrent = self._clients
        yield client.get(PROBE_URL).status_code
        yield without_loop(concurrent.get(PROBE_URL)).status_code

    def _handling(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        def handle_request(transport: Any, request: Any) -> Any:
            door = _door(request)
            if door is None:
                return handle(transport, request)
            return self._response(request, door.answer(_request(door, request, request.read())))

        return handle_request

    def _handling_async(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            door = _door(request)
            if door is None:
                return await handle(transport, request)
            asked = _request(door, request, await request.aread())
            return self._response(request, await door.aanswer(asked))

        return handle_async_request

    def _response(self, request: Any, answer: HttpResponse) -> Any:
        if answer.fault is WireFault.RESET:
            raise self._library.ReadError(RESET, request=request)
        stream = self._library.ByteStream(b"" if request.method == "HEAD" else answer.body)
        if answer.fault is not None:
            cut = answer.fault is WireFault.TRUNCATED
            error = self._library.RemoteProtocolError(cut_short(answer), request=request)
            stream = self._stream(answer.body, answer.fault, error if cut else None)
        return self._library.Response(
            answer.status,
            headers=list(wire_headers(answer)),
            stream=stream,
            extensions={"http_version": b"HTTP/1.1"},
        )


def _door(request: Any) -> Door | None:
    origin = origin_of(request.url.scheme, request.url.host, request.url.port)
    door = find_at(origin)
    if door is None:
        let_out(origin)
    return door


def _request(door: Door, request: Any, body: bytes) -> Any:
    target = request.url.raw_path.decode("ascii")
    return door.site.request(request.method, target, request.headers.raw, body)
