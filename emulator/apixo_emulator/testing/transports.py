"""The patched transports: where calls leave the HTTP libraries, they go to the emulator instead.

No library is imported for it. Those that are imported are patched when the first session opens,
others right after their import. What lies above a patch (retries, redirects, hooks, cookies) works
as always, and nothing else of a library is touched: each call is routed when it is made, so that
connections that were opened before a session, or are kept for longer, do not matter.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from http.client import IncompleteRead
from importlib import import_module
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import httptools

from apixo_emulator.domain.responses import announced_bytes
from apixo_emulator.domain.wire import Headers, HttpRequest, HttpResponse, WireFault
from apixo_emulator.testing import routing
from apixo_emulator.testing.patches import Patches
from apixo_emulator.testing.routing import Target

_NOT_MODIFIED = 304
_HTTPS_PORT = 443
_Function = Callable[..., Any]


# What all libraries share


def _encoded(headers: Mapping[Any, Any]) -> list[tuple[bytes, bytes]]:
    return [(_bytes(name), _bytes(value)) for name, value in headers.items()]


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("latin-1")


def _read(body: Any) -> bytes:
    """Return a request's body, which may be given as text, as a file or in pieces."""
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    return b"".join(map(_read, body))


def _headers(response: HttpResponse) -> Headers:
    """Return a response's headers with its length; a truncated one announces more than comes."""
    if response.status == _NOT_MODIFIED:
        return response.headers
    return (*response.headers, (b"content-length", b"%d" % announced_bytes(response)))


def _body(response: HttpResponse, method: str) -> bytes:
    return b"" if method == "HEAD" else response.body


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _path_of(url: str) -> str:
    """Return the path and query of a URL, which may be one already."""
    return url if url.startswith("/") else f"/{url.partition('://')[2].partition('/')[2]}"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _on_the_wire(response: HttpResponse, method: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}".encode()]
    lines += [b"%b: %b" % header for header in _headers(response)]
    return b"\r\n".join((*lines, b"", _body(response, method)))


# httpx, and httpx2, which has the same interface


def patch_httpx(httpx: Any, patches: Patches) -> None:
    """Patch the transports for the network; transports of the user's own make no network."""
    _Httpx(httpx, patches).patch()


class _Httpx:
    def __init__(self, httpx: Any, patches: Patches) -> None:
        self._httpx = httpx
        self._patches = patches
        self._ours: WeakSet[_Function] = WeakSet()
        self._damaged: Any = type(
            "Damaged", (_Damaged, httpx.SyncByteStream, httpx.AsyncByteStream), {}
        )

    def patch(self) -> None:
        """Patch the transports, and the clients to see that the transports stay patched."""
        self._put_on_top()
        for client in (self._httpx.Client, self._httpx.AsyncClient):
            self._patches.put(client, "send", self._sending(client.send))

    def _put_on_top(self) -> None:
        """Patch the transports, again if another mock has replaced the patches since."""
        for owner, name, handling in (
            (self._httpx.HTTPTransport, "handle_request", self._handling),
            (self._httpx.AsyncHTTPTransport, "handle_async_request", self._handling_async),
        ):
            handle = vars(owner)[name]
            if handle not in self._ours:
                patched = handling(handle)
                self._ours.add(patched)
                self._patches.put(owner, name, patched)

    def _sending(self, send: _Function) -> _Function:
        def send_through_patches(client: Any, request: Any, **options: Any) -> Any:
            if _httpx_target(request) is not None:
                self._put_on_top()
            return send(client, request, **options)

        return send_through_patches

    def _handling(self, handle: _Function) -> _Function:
        def handle_request(transport: Any, request: Any) -> Any:
            target = _httpx_target(request)
            if target is None:
                return handle(transport, request)
            asked = _httpx_request(target, request, request.read())
            return self._response(request, target.emulator.answer(asked))

        return handle_request

    def _handling_async(self, handle: _Function) -> _Function:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            target = _httpx_target(request)
            if target is None:
                return await handle(transport, request)
            asked = _httpx_request(target, request, await request.aread())
            return self._response(request, await target.emulator.aanswer(asked))

        return handle_async_request

    def _response(self, request: Any, response: HttpResponse) -> Any:
        if response.fault is WireFault.RESET:
            raise self._httpx.ReadError(str(_reset()), request=request)
        return self._httpx.Response(
            response.status,
            headers=list(_headers(response)),
            stream=self._stream(request, response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _stream(self, request: Any, response: HttpResponse) -> Any:
        body = _body(response, request.method)
        if response.fault is WireFault.TRUNCATED:
            error = self._httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body (received"
                f" {len(body)} bytes, expected {announced_bytes(response)})",
                request=request,
            )
            return self._damaged([body], error)
        if response.fault is WireFault.DRIP:
            return self._damaged([bytes((value,)) for value in body])
        return self._httpx.ByteStream(body)


class _Damaged:
    """A body that comes in pieces, or ends with an error."""

    def __init__(self, pieces: Iterable[bytes], error: Exception | None = None) -> None:
        self._pieces, self._error = pieces, error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def _httpx_target(request: Any) -> Target | None:
    url = request.url
    return routing.find(url.scheme, url.host, url.port)


def _httpx_request(target: Target, request: Any, body: bytes) -> HttpRequest:
    path = request.url.raw_path.decode("ascii")
    return target.base_url.request(request.method, path, request.headers.raw, body)


# urllib3, and with it requests


def patch_urllib3(urllib3: Any, patches: Patches) -> None:
    """Send the API's calls through a pool of our own, so that retries work as in any pool."""
    pool_kind, pool_of = urllib3.HTTPConnectionPool, _urllib3_pools(urllib3)
    urlopen = pool_kind.urlopen

    def urlopen_in_process(  # noqa: PLR0917 - urllib3 calls it so
        pool: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        origin = origin_of_url(url) or (pool.scheme, pool.host, pool.port)
        if routing.find(*origin) is not None:
            headers = pool.headers if headers is None else headers
            retries = pool.retries if retries is None else retries
            pool = pool_of(*origin)
        return urlopen(pool, method, url, body, headers, retries, *args, **options)

    patches.put(pool_kind, "urlopen", urlopen_in_process)


def origin_of_url(url: str) -> tuple[str, str, int | None] | None:
    """Return where a whole URL points, as a proxy is asked for one; None for a path."""
    parts = None if url.startswith("/") else urlsplit(url)
    if parts is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port


@cache
def _urllib3_pools(urllib3: Any) -> Callable[[str, str, int | None], Any]:
    """Return what gives the pool of an origin, whose connections go to the emulator."""
    kind = type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _Urllib3Connection})

    @cache
    def pool_of(scheme: str, host: str, port: int | None) -> Any:
        pool: Any = kind(host, port, origin=(scheme, host, port), urllib3=urllib3)
        pool.scheme = scheme
        return pool

    return pool_of


class _Urllib3Connection:
    """A connection as a pool uses it, to the emulator of the session that is open then.

    It is no `urllib3.connection.HTTPConnection`: an open cassette replaces that.
    """

    proxy = None
    is_closed = is_connected = True  # nothing to connect, and never dropped

    def __init__(
        self, *, origin: tuple[str, str, int | None], urllib3: Any, timeout: Any, **_options: Any
    ) -> None:
        self.timeout = timeout
        self._origin = origin
        self._urllib3 = urllib3
        self._answered: tuple[HttpResponse, str, dict[str, Any]] | None = None

    def close(self) -> None:
        """Do nothing: there is no socket."""

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *,
        chunked: bool = False,
        **options: Any,
    ) -> None:
        """Send a request."""
        del chunked
        target = routing.find(*self._origin)
        if target is None:  # the session has ended between two attempts
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        asked = target.base_url.request(method, _path_of(url), _encoded(headers or {}), _read(body))
        options |= {"request_method": method, "request_url": url}
        self._answered = (target.emulator.answer(asked), method, options)

    def getresponse(self) -> Any:
        """Return the response to the last request."""
        if self._answered is None:
            raise OSError("no request was sent")
        (response, method, options), self._answered = self._answered, None
        if response.fault is WireFault.RESET:
            raise _reset()
        headers = [(name.decode(), value.decode("latin-1")) for name, value in _headers(response)]
        whole = response.fault is not WireFault.TRUNCATED
        return self._urllib3.HTTPResponse(
            (io.BytesIO if whole else _Truncated)(_body(response, method)),
            self._urllib3.HTTPHeaderDict(headers),
            response.status,
            version=11,
            version_string="HTTP/1.1",
            reason=_phrase(response.status),
            **options,
        )


class _Truncated(io.BytesIO):
    """A body that ends before its announced length."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what came; who reads to the end gets an error."""
        data = super().read(size)
        if size is None or size < 0:
            raise IncompleteRead(data)
        return data


# http.client, and with it urllib.request


def patch_http_client(client: Any, patches: Patches) -> None:
    """Patch requests and responses of the connections; urllib3 has its own for both."""
    connection_kind = _http_connection()
    request, getresponse = connection_kind.request, connection_kind.getresponse

    def request_in_process(
        connection: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        target = routing.find(*_http_client_origin(connection, url))
        connection.__dict__.pop("apixo_answer", None)
        if target is None:
            request(connection, method, url, body, headers, **options)
            return
        asked = target.base_url.request(method, _path_of(url), _encoded(headers), _read(body))
        connection.apixo_answer = (target.emulator.answer(asked), method)

    def getresponse_in_process(connection: Any) -> Any:
        answered = connection.__dict__.pop("apixo_answer", None)
        if answered is None:
            return getresponse(connection)
        response, method = answered
        if response.fault is WireFault.RESET:
            raise _reset()
        received = client.HTTPResponse(_Received(_on_the_wire(response, method)), method=method)
        received.begin()
        return received

    patches.put(connection_kind, "request", request_in_process)
    patches.put(connection_kind, "getresponse", getresponse_in_process)


@cache
def _http_connection() -> Any:
    """Return the library's class, which an open cassette has replaced under its name."""
    return next(
        kind
        for kind in object.__subclasses__()
        if (kind.__module__, kind.__qualname__) == ("http.client", "HTTPConnection")
    )


def _http_client_origin(connection: Any, url: str) -> tuple[str, str, int | None]:
    """Return where a call goes in the end, which may be behind a proxy."""
    origin = origin_of_url(url)
    if origin is not None:
        return origin
    scheme = "https" if connection.default_port == _HTTPS_PORT else "http"
    tunnel = getattr(connection, "_tunnel_host", None)  # nothing public tells the tunnel's end
    if tunnel:
        return scheme, tunnel, connection._tunnel_port  # noqa: SLF001 - as above
    return scheme, connection.host, connection.port


class _Received:
    """What a socket has received, for `http.client.HTTPResponse`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """Return it as a file."""
        del mode
        return io.BytesIO(self._data)


# aiohttp


def patch_aiohttp(aiohttp: Any, patches: Patches) -> None:
    """Patch the connectors; what a request writes is parsed, as aiohttp offers no higher place."""
    connector_kind = aiohttp.BaseConnector
    connect = connector_kind.connect
    protocol_kind = import_module("aiohttp.client_proto").ResponseHandler

    async def connect_in_process(connector: Any, request: Any, *args: Any, **options: Any) -> Any:
        url = request.url
        target = routing.find(url.scheme, url.host or "", url.port)
        if target is None:
            return await connect(connector, request, *args, **options)
        target.emulator.note_caller()  # here runs the caller's task, the answer has one of its own
        loop = asyncio.get_running_loop()
        protocol = protocol_kind(loop=loop)
        protocol.connection_made(_MemoryTransport(target, protocol, loop))
        protocol.force_close()  # it serves one call and is not kept
        return aiohttp.connector.Connection(connector, request.connection_key, protocol, loop)

    patches.put(connector_kind, "connect", connect_in_process)


class _MemoryTransport(asyncio.Transport):
    """A connection whose other end is the emulator."""

    def __init__(self, target: Target, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._target, self._protocol, self._loop = target, protocol, loop
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._request_headers: list[tuple[bytes, bytes]] = []
        self._request_body = b""
        self._answering: asyncio.Task[None] | None = None
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take a piece of a request."""
        self._parser.feed_data(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Take pieces of a request."""
        for data in list_of_data:
            self.write(data)

    def on_url(self, piece: bytes) -> None:
        """Keep a piece of the target."""
        self._url += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._request_headers.append((name, value))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._request_body += piece

    def on_message_complete(self) -> None:
        """Answer the request."""
        method, url = self._parser.get_method().decode(), self._url.decode("latin-1")
        asked = self._target.base_url.request(
            method, _path_of(url), self._request_headers, self._request_body
        )
        self._answering = self._loop.create_task(self._answer(asked))

    async def _answer(self, request: HttpRequest) -> None:
        try:
            response = await self._target.emulator.aanswer(request)
        except Exception as error:  # noqa: BLE001 - the caller waits, and gets it
            self._protocol.set_exception(error)
            self.close()
            return
        if response.fault is WireFault.RESET:
            self._end(_reset())
            return
        self._protocol.data_received(_on_the_wire(response, request.method))
        if response.fault is WireFault.TRUNCATED:
            self.close()

    def _end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def close(self) -> None:
        """End it."""
        self._end(None)

    abort = close

    def is_closing(self) -> bool:
        """True once it has ended."""
        return self._ended

    def pause_reading(self) -> None:
        """Do nothing: what comes is in memory already."""

    resume_reading = pause_reading

    def is_reading(self) -> bool:
        """Return True: nothing stops it."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing waits to be sent."""
        return 0
