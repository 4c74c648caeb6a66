"""The patched transports: where calls leave the HTTP libraries, they go to the emulator instead.

What lies above a patch (retries, redirects, hooks, cookies) works as always. Each call is routed when
it is made, so connections that were opened before a session, or are kept for longer, do not matter.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from http import HTTPStatus
from http.client import IncompleteRead
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import h11

from apixo_emulator.domain.responses import announced_bytes
from apixo_emulator.domain.wire import Headers, HttpRequest, HttpResponse, WireFault
from apixo_emulator.testing import routing
from apixo_emulator.testing.patches import Patches
from apixo_emulator.testing.routing import Target

_HTTPS_PORT = 443
_Function = Callable[..., Any]


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
    return (*response.headers, (b"content-length", b"%d" % announced_bytes(response)))


def _body(response: HttpResponse, method: str) -> bytes:
    return b"" if method == "HEAD" else response.body


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _on_the_wire(response: HttpResponse, method: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}".encode()]
    lines += [b"%b: %b" % header for header in _headers(response)]
    return b"\r\n".join((*lines, b"", _body(response, method)))


# httpx, and httpx2, which has the same interface


def patch_httpx(httpx: Any, patches: Patches) -> None:
    """Patch the transports for the network; transports of the user's own make no network.

    The clients are patched too, to see that the transports stay patched.
    """
    sync, asynchronous = partial(_httpx_handling, httpx), partial(_httpx_handling_async, httpx)

    def put_on_top() -> None:
        """Patch the transports, also where another mock has replaced the patches since."""
        patches.put(httpx.HTTPTransport, "handle_request", sync)
        patches.put(httpx.AsyncHTTPTransport, "handle_async_request", asynchronous)

    def sending(send: _Function) -> _Function:
        def send_through_patches(client: Any, request: Any, **options: Any) -> Any:
            if _httpx_target(request) is not None:
                put_on_top()
            return send(client, request, **options)

        return send_through_patches

    put_on_top()
    for client in (httpx.Client, httpx.AsyncClient):
        patches.put(client, "send", sending)


def _httpx_handling(httpx: Any, handle: _Function) -> _Function:
    def handle_request(transport: Any, request: Any) -> Any:
        target = _httpx_target(request)
        if target is None:
            return handle(transport, request)
        request.read()
        return _httpx_response(httpx, request, target.emulator.answer(_asked(target, request)))

    return handle_request


def _httpx_handling_async(httpx: Any, handle: _Function) -> _Function:
    async def handle_async_request(transport: Any, request: Any) -> Any:
        target = _httpx_target(request)
        if target is None:
            return await handle(transport, request)
        await request.aread()
        answer = await target.emulator.aanswer(_asked(target, request))
        return _httpx_response(httpx, request, answer)

    return handle_async_request


def _httpx_target(request: Any) -> Target | None:
    url = request.url
    return routing.find(url.scheme, url.host, url.port)


def _asked(target: Target, request: Any) -> HttpRequest:
    path = request.url.raw_path.decode("ascii")
    return target.base_url.request(request.method, path, request.headers.raw, request.content)


def _httpx_response(httpx: Any, request: Any, response: HttpResponse) -> Any:
    if response.fault is WireFault.RESET:
        raise httpx.ReadError(str(_reset()), request=request)
    body = _body(response, request.method)
    if response.fault is WireFault.TRUNCATED:
        error = httpx.RemoteProtocolError(
            "peer closed connection without sending complete message body (received"
            f" {len(body)} bytes, expected {announced_bytes(response)})",
            request=request,
        )
        stream = _in_pieces(httpx)([body], error)
    elif response.fault is WireFault.DRIP:
        stream = _in_pieces(httpx)([bytes((value,)) for value in body])
    else:
        stream = httpx.ByteStream(body)
    return httpx.Response(
        response.status,
        headers=list(_headers(response)),
        stream=stream,
        extensions={"http_version": b"HTTP/1.1"},
    )


@cache
def _in_pieces(httpx: Any) -> Any:
    """Return the class of a library's streams that come in pieces, or end with an error."""

    class InPieces(httpx.SyncByteStream, httpx.AsyncByteStream):  # type: ignore[misc] # Any
        def __init__(self, pieces: Iterable[bytes], error: Exception | None = None) -> None:
            self._pieces, self._error = pieces, error

        def __iter__(self) -> Iterator[bytes]:
            yield from self._pieces
            if self._error is not None:
                raise self._error

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in self:
                yield piece

    return InPieces


# urllib3, and with it requests


def patch_requests(requests: Any, patches: Patches) -> None:
    """Answer without urllib3's pools, which cost a third of the time, unless they are to retry."""
    urllib3 = import_module("urllib3")

    def replacing(send: _Function) -> _Function:
        def send_in_process(adapter: Any, request: Any, *args: Any, **options: Any) -> Any:
            if adapter.max_retries.total != 0 or not routing.is_answered(request.url):
                return send(adapter, request, *args, **options)
            origin = routing.origin_of_url(request.url)
            connection = _Urllib3Connection(origin=origin, urllib3=urllib3)
            call = request.method, request.url, request.body, request.headers
            try:
                connection.request(*call, preload_content=False, decode_content=False)
                response = connection.getresponse()
            except ConnectionError as error:
                aborted = urllib3.exceptions.ProtocolError("Connection aborted.", error)
                raise requests.ConnectionError(aborted, request=request) from error
            return adapter.build_response(request, response)

        return send_in_process

    patches.put(requests.adapters.HTTPAdapter, "send", replacing)


def patch_urllib3(urllib3: Any, patches: Patches) -> None:
    """Send the API's calls through a pool of our own, so that retries work as in any pool."""

    def replacing(urlopen: _Function) -> _Function:
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
            origin = routing.origin_of_url(url) or (pool.scheme, pool.host, pool.port)
            if routing.find(*origin) is not None:
                headers = pool.headers if headers is None else headers
                retries = pool.retries if retries is None else retries
                pool = _urllib3_pool(urllib3, *origin)
            return urlopen(pool, method, url, body, headers, retries, *args, **options)

        return urlopen_in_process

    patches.put(urllib3.HTTPConnectionPool, "urlopen", replacing)


@cache
def _urllib3_pool(urllib3: Any, scheme: str, host: str, port: int | None) -> Any:
    """Return the pool of an origin whose connections go to the emulator."""
    kind: Any = type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": _Urllib3Connection})
    pool = kind(host, port, origin=(scheme, host, port), urllib3=urllib3)
    pool.scheme = scheme
    return pool


class _Urllib3Connection:
    """A connection as a pool uses it, to the emulator of the session that is open then.

    It is no `urllib3.connection.HTTPConnection`: an open cassette replaces that.
    """

    proxy = None
    is_closed = is_connected = True  # nothing to connect, and never dropped

    def __init__(self, *, origin: Any, urllib3: Any, timeout: Any = None, **_options: Any) -> None:
        self.timeout = timeout
        self._origin = origin
        self._urllib3 = urllib3

    def close(self) -> None:
        pass

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any
    ) -> None:
        target = routing.find(*self._origin)
        if target is None:  # the session has ended between two attempts
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        asked = target.base_url.request(method, url, _encoded(headers or {}), _read(body))
        options.pop("chunked", None)
        self._options = {**options, "request_method": method, "request_url": url}
        self._response = target.emulator.answer(asked)

    def getresponse(self) -> Any:
        response = self._response
        if response.fault is WireFault.RESET:
            raise _reset()
        headers = [(name.decode(), value.decode("latin-1")) for name, value in _headers(response)]
        whole = response.fault is not WireFault.TRUNCATED
        return self._urllib3.HTTPResponse(
            (io.BytesIO if whole else _Truncated)(_body(response, self._options["request_method"])),
            self._urllib3.HTTPHeaderDict(headers),
            response.status,
            version=11,
            version_string="HTTP/1.1",
            reason=HTTPStatus(response.status).phrase,
            **self._options,
        )


class _Truncated(io.BytesIO):
    """A body that ends before its announced length: reading to the end is an error."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is None or size < 0:
            raise IncompleteRead(data)
        return data


# http.client, and with it urllib.request


def patch_http_client(client: Any, patches: Patches) -> None:
    """Patch requests and responses of the connections; urllib3 has its own for both."""
    connection_kind = _http_connection()
    patches.put(connection_kind, "request", _http_client_request)
    patches.put(connection_kind, "getresponse", partial(_http_client_getresponse, client))


def _http_client_request(request: _Function) -> _Function:
    def request_in_process(
        connection: Any,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        **options: Any,
    ) -> None:
        target, headers = routing.find(*_http_client_origin(connection, url)), headers or {}
        vars(connection).pop("apixo_answer", None)
        if target is None:
            request(connection, method, url, body, headers, **options)
            return
        asked = target.base_url.request(method, url, _encoded(headers), _read(body))
        connection.apixo_answer = (target.emulator.answer(asked), method)

    return request_in_process


def _http_client_getresponse(client: Any, getresponse: _Function) -> _Function:
    def getresponse_in_process(connection: Any) -> Any:
        answered = vars(connection).pop("apixo_answer", None)
        if answered is None:
            return getresponse(connection)
        response, method = answered
        if response.fault is WireFault.RESET:
            raise _reset()
        data = io.BytesIO(_on_the_wire(response, method))
        socket = SimpleNamespace(makefile=lambda _mode: data)
        received = client.HTTPResponse(socket, method=method)
        received.begin()
        return received

    return getresponse_in_process


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
    origin = routing.origin_of_url(url)
    if origin is not None:
        return origin
    scheme = "https" if connection.default_port == _HTTPS_PORT else "http"
    tunnel = getattr(connection, "_tunnel_host", None)  # nothing public holds the tunnel's end
    if tunnel:
        return scheme, tunnel, connection._tunnel_port  # noqa: SLF001 - as above
    return scheme, connection.host, connection.port


# aiohttp


def patch_aiohttp(aiohttp: Any, patches: Patches) -> None:
    """Patch the connectors; what a request writes is parsed, as aiohttp offers no higher place."""
    protocol_kind = import_module("aiohttp.client_proto").ResponseHandler

    def replacing(connect: _Function) -> _Function:
        async def connect_in_process(
            connector: Any, request: Any, *args: Any, **options: Any
        ) -> Any:
            url = request.url
            target = routing.find(url.scheme, url.host or "", url.port)
            if target is None:
                return await connect(connector, request, *args, **options)
            # This is the caller's task; the answer has one of its own.
            target.emulator.clock.note_caller()
            loop = asyncio.get_running_loop()
            protocol = protocol_kind(loop=loop)
            protocol.connection_made(_MemoryTransport(target, protocol, loop))
            protocol.force_close()  # it serves one call and is not kept
            return aiohttp.connector.Connection(connector, request.connection_key, protocol, loop)

        return connect_in_process

    patches.put(aiohttp.BaseConnector, "connect", replacing)


class _MemoryTransport(asyncio.Transport):
    """A connection whose other end is the emulator."""

    def __init__(self, target: Target, protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._target, self._protocol, self._loop = target, protocol, loop
        self._http = h11.Connection(h11.SERVER)
        self._body = b""
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._http.receive_data(bytes(data))
        while True:
            match self._http.next_event():
                case h11.Request() as head:
                    self._head = head
                    if self._http.they_are_waiting_for_100_continue:
                        go_on = h11.InformationalResponse(
                            status_code=HTTPStatus.CONTINUE, headers=[], reason=b"Continue"
                        )
                        self._loop.call_soon(self._protocol.data_received, self._http.send(go_on))
                case h11.Data() as piece:
                    self._body += bytes(piece.data)
                case h11.EndOfMessage():
                    self._answering = self._loop.create_task(self._answer())
                    return
                case _:  # more is to come
                    return

    async def _answer(self) -> None:
        method, path = self._head.method.decode(), self._head.target.decode("latin-1")
        request = self._target.base_url.request(method, path, self._head.headers, self._body)
        try:
            response = await self._target.emulator.aanswer(request)
        except Exception as error:  # noqa: BLE001 - the caller waits, and gets it
            self._protocol.set_exception(error)
            self.close()
            return
        if response.fault is WireFault.RESET:
            self._end(_reset())
            return
        self._protocol.data_received(_on_the_wire(response, method))
        if response.fault is WireFault.TRUNCATED:
            self.close()

    def _end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._protocol.connection_lost, error)

    def close(self) -> None:
        self._end(None)

    abort = close

    def is_closing(self) -> bool:
        return self._ended

    def get_write_buffer_size(self) -> int:
        return 0
