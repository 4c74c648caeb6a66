"""httpx2, the successor of httpx: at the pools of its httpcore2, as respx does it for httpx."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpcore2
import httpx2

from apixo_emulator.core.wire import HttpResponse, WireFault
from apixo_emulator.interception.libraries.base import (
    PROBE_URL,
    RESET,
    DamagedStream,
    Library,
    Patches,
    cut_short,
    wire_headers,
    without_loop,
)
from apixo_emulator.interception.traffic import Door, find, let_out


class Httpx2(Library):
    """Sync and async, with whatever transports are httpx2's own."""

    name = "httpx2"
    module = "httpx2"

    def __init__(self) -> None:
        super().__init__()
        self._patches = Patches()

    def attach(self) -> None:
        """Patch what hands a request to a connection; proxies' pools inherit it."""
        pool, async_pool = httpcore2.ConnectionPool, httpcore2.AsyncConnectionPool
        self._patches.put(pool, "handle_request", _handling(pool.handle_request))
        self._patches.put(
            async_pool, "handle_async_request", _handling_async(async_pool.handle_async_request)
        )

    def detach(self) -> None:
        """Undo it."""
        self._patches.undo()

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield httpx2.Client, "send"
        yield httpx2.HTTPTransport, "handle_request"
        yield httpx2.AsyncClient, "send"
        yield httpx2.AsyncHTTPTransport, "handle_async_request"

    def probe(self) -> Iterator[int]:
        """Call with a sync and an async client."""
        client, async_client = _clients()
        yield client.get(PROBE_URL).status_code
        yield without_loop(async_client.get(PROBE_URL)).status_code


@cache
def _clients() -> tuple[httpx2.Client, httpx2.AsyncClient]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return (
        httpx2.Client(verify=context, trust_env=False),
        httpx2.AsyncClient(verify=context, trust_env=False),
    )


def _handling(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handle_request(self: Any, request: httpcore2.Request) -> Any:
        door = _door(request)
        if door is None:
            return handle(self, request)
        body = b"".join(request.stream)  # type: ignore[arg-type] # a sync request has a sync body
        return _response(request, door.answer(_request(door, request, body)))

    return handle_request


def _handling_async(handle: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_async_request(self: Any, request: httpcore2.Request) -> Any:
        door = _door(request)
        if door is None:
            return await handle(self, request)
        body = b"".join([piece async for piece in request.stream])  # type: ignore[union-attr] # as above
        return _response(request, await door.aanswer(_request(door, request, body)))

    return handle_async_request


def _door(request: httpcore2.Request) -> Door | None:
    scheme, host = request.url.scheme.decode(), request.url.host.decode()
    door = find(scheme, host, request.url.port)
    if door is None:
        let_out(scheme, host)
    return door


def _request(door: Door, request: httpcore2.Request, body: bytes) -> Any:
    target = request.url.target.decode("latin-1")
    return door.site.request(request.method.decode(), target, request.headers, body)


def _response(request: httpcore2.Request, answer: HttpResponse) -> httpcore2.Response:
    if answer.fault is WireFault.RESET:
        raise httpcore2.ReadError(RESET)
    content: Any = b"" if request.method == b"HEAD" else answer.body
    if answer.fault is not None:
        cut = answer.fault is WireFault.TRUNCATED
        error = httpcore2.RemoteProtocolError(cut_short(answer)) if cut else None
        content = DamagedStream(answer.body, answer.fault, error)
    return httpcore2.Response(answer.status, headers=list(wire_headers(answer)), content=content)
