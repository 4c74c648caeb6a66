"""httpx, through respx: routes of the user's own go on working, whether made before or after."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn

import httpx
import respx
from respx.mocks import HTTPCoreMocker, Mocker
from respx.models import AllMockedAssertionError, PassThrough

from apixo_emulator.core.wire import HttpRequest, HttpResponse, WireFault
from apixo_emulator.interception.libraries.base import (
    PROBE_URL,
    RESET,
    DamagedStream,
    Library,
    cut_short,
    wire_headers,
    without_loop,
)
from apixo_emulator.interception.traffic import Door, find, let_out


class _Router(respx.Router):
    """Stands before all routers of one of respx's mockers and leaves to them what is not ours."""

    def __init__(self, mocker: type[Mocker]) -> None:
        super().__init__()
        self._mocker = mocker

    def handler(self, request: httpx.Request) -> httpx.Response:
        """Answer a call."""
        door = _door(request)
        if door is None:
            self._leave(request)
        return _response(request, door.answer(_request(door, request)))

    async def async_handler(self, request: httpx.Request) -> httpx.Response:
        """Answer a call from async code."""
        door = _door(request)
        if door is None:
            self._leave(request)
        return _response(request, await door.aanswer(_request(door, request)))

    def _leave(self, request: httpx.Request) -> NoReturn:
        if len(self._mocker.routers) > 1:  # respx asks the next
            raise AllMockedAssertionError(f"RESPX: {request!r} not mocked!")
        let_out(request.url.scheme, request.url.host)
        raise PassThrough("not the API's", request=request, origin=respx.Route())


def _door(request: httpx.Request) -> Door | None:
    return find(request.url.scheme, request.url.host, request.url.port)


def _request(door: Door, request: httpx.Request) -> HttpRequest:
    target = request.url.raw_path.decode("ascii")
    return door.site.request(request.method, target, request.headers.raw, request.content)


def _response(request: httpx.Request, answer: HttpResponse) -> httpx.Response:
    if answer.fault is WireFault.RESET:
        raise httpx.ReadError(RESET, request=request)
    stream: Any = httpx.ByteStream(b"" if request.method == "HEAD" else answer.body)
    if answer.fault is not None:
        cut = answer.fault is WireFault.TRUNCATED
        error = httpx.RemoteProtocolError(cut_short(answer), request=request) if cut else None
        stream = _Stream(answer.body, answer.fault, error)
    return httpx.Response(answer.status, headers=list(wire_headers(answer)), stream=stream)


class _Stream(DamagedStream, httpx.SyncByteStream, httpx.AsyncByteStream):
    """As httpx wants it."""


class Httpx(Library):
    """Sync and async, with whatever transports are httpx's own."""

    name = "httpx"
    module = "httpx"

    def __init__(self) -> None:
        super().__init__()
        self._routers = [(mocker, _Router(mocker)) for mocker in Mocker.registry.values()]

    def attach(self) -> None:
        """Stand before all other routers of respx."""
        for mocker, router in self._routers:
            mocker.routers.insert(0, router)
        HTTPCoreMocker.start()

    def detach(self) -> None:
        """Step aside; respx goes on if it has other routers."""
        for mocker, router in self._routers:
            mocker.unregister(router)
            mocker.stop()

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield httpx.Client, "send"
        yield httpx.Client, "_transport_for_url"
        yield httpx.HTTPTransport, "handle_request"
        yield httpx.AsyncClient, "send"
        yield httpx.AsyncClient, "_transport_for_url"
        yield httpx.AsyncHTTPTransport, "handle_async_request"

    def probe(self) -> Iterator[int]:
        """Call with a sync and an async client."""
        client, async_client = _clients()
        yield client.get(PROBE_URL).status_code
        yield without_loop(async_client.get(PROBE_URL)).status_code


@cache
def _clients() -> tuple[httpx.Client, httpx.AsyncClient]:
    """Make clients once: they are dear, mostly because of certificates, which are not needed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return (
        httpx.Client(verify=context, trust_env=False),
        httpx.AsyncClient(verify=context, trust_env=False),
    )
