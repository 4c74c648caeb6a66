"""The endpoint of the documented API and of result files, as a plain ASGI callable.

It is no function of a `Request`: building requests and responses costs more than answering a poll. The
emulator decides what a path and a method mean, because the in-process adapters need that too.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apixo_emulator.domain.addresses import AddressRefused, is_loopback_name, scope_of
from apixo_emulator.domain.responses import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.http.faults import TRANSPORT, send_faulty
from apixo_emulator.runtime import Runtime
from apixo_emulator.settings import Cors
from apixo_schemas import contract

# A name or address, and a port (RFC 3986, 3.2.2); the first group is the name, brackets included.
HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_log = logging.getLogger("apixo_emulator")
# Bytes. A body that announces more is read only if key and model are accepted.
SMALL_BODY = 65_536
# Bytes of a body that are still read, and dropped, behind an early response such as 413: many clients
# read the response only when they have sent all, and a connection that was closed until then is an
# error to them.
MOST_DROPPED = 67_108_864
_EXPOSED = b"content-range, etag, retry-after"
_PREFLIGHT_MAX_AGE_S = b"600"


class _BodyTooLarge(Exception):
    """The body is larger than the contract's limit (assumption ``body.limit``)."""


class _ClientDisconnected(Exception):
    """The client disconnected before its body was complete."""


class _Head(NamedTuple):
    """The headers of a request, and what they say about it."""

    headers: Sequence[tuple[bytes, bytes]]
    given: Mapping[bytes, bytes]
    # The origin of a web page that may call the API.
    page: bytes | None
    # Such a page asks whether it may call.
    is_preflight: bool
    # The request is of a web page that must not call.
    is_foreign: bool
    # Bytes of the body, None where it comes in chunks.
    announced: int | None


class Api:
    """Answers API calls from a socket, and calls of unknown paths: 404 in the envelope."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._cors = runtime.settings.page_policy()
        # Calls mostly have the headers of the one before them. Kept once they also take about 1 KiB
        # less for each call in the journal.
        self._head = self._read([])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = self._head
        if scope["headers"] != head.headers:
            head = self._head = self._read(scope["headers"])
        if head.page is not None:
            send = _with_cors(send, head.page)
        try:
            response = await self._response(scope, head, receive)
            if response.picture is not None:
                from apixo_emulator.http.files import send_file  # late: a start does not need it

                await send_file(self._runtime.pictures, response.picture, scope, receive, send)
                return
        except _BodyTooLarge:
            await _drop_body(scope, head.given, receive)
            response = self._runtime.emulator.too_large(_request(scope, head, b""))
        except _ClientDisconnected:
            return
        except asyncio.CancelledError:  # the server stops, and this request took too long
            response = refusal("unavailable")
        except Exception:  # noqa: BLE001 - the client gets the envelope, the log the traceback
            _log.exception("%s %s failed", scope["method"], scope["path"])
            response = refusal("server_error")
        await send_response(response, scope, receive, send)

    async def _response(self, scope: Scope, head: _Head, receive: Receive) -> HttpResponse:
        body = b""
        if scope["method"] == "POST":
            if head.is_foreign or head.announced is None or head.announced > SMALL_BODY:
                refused = self._refused(scope, head)
                if refused is not None:
                    await _drop_body(scope, head.given, receive)
                    return refused
            body = await _read_body(receive)
        elif head.is_preflight and scope["method"] == "OPTIONS":
            return _preflight(head.given)
        found = self._runtime.batcher.handle(_request(scope, head, body))
        return found if isinstance(found, HttpResponse) else await found

    def _read(self, headers: Sequence[tuple[bytes, bytes]]) -> _Head:
        given = dict(headers)
        origin = given.get(b"origin")
        page = origin if origin is not None and _may_call(origin, self._cors) else None
        return _Head(
            headers,
            given,
            page,
            is_preflight=page is not None and b"access-control-request-method" in given,
            is_foreign=self._cors is not Cors.ANY and _is_rebound(given),
            announced=_announced(given),
        )

    def _refused(self, scope: Scope, head: _Head) -> HttpResponse | None:
        """Return the answer to a request whose body is not read; None if it is."""
        emulator, request = self._runtime.emulator, _request(scope, head, b"")
        transport = scope.get("extensions", {}).get(TRANSPORT)
        if transport is not None and transport.is_closing():
            raise _ClientDisconnected  # the body was malformed, and the protocol has said so
        if head.is_foreign:
            response = refusal("foreign_page")
            emulator.note(request, response, "the request comes from a web page")
            return response
        refused = emulator.refuses(request)
        if refused is not None:
            emulator.note(request, refused, "refused unread")
            return refused
        if head.announced is not None and head.announced > contract().assumed("body.limit"):
            return emulator.too_large(request)
        return None


class Deferred:
    """An application that is made when it is first called, as importing it takes tens of milliseconds."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._app is None:
            made = await asyncio.to_thread(self._make)
            self._app = self._app or made
        await self._app(scope, receive, send)


async def send_response(response: HttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response whole, or broken as its fault says."""
    if response.fault is not None:
        await send_faulty(response, scope, receive, send)
        return
    body, headers = response.body, response.headers
    if response.status != HTTPStatus.NO_CONTENT:
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def as_response(response: HttpResponse, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response as Starlette has it, with more headers."""
    own = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, {**own, **(headers or {})})


def _request(scope: Scope, head: _Head, body: bytes) -> HttpRequest:
    return HttpRequest(
        scope["method"],
        route_path(scope),
        scope["query_string"],
        head.headers,
        body,
        base_url(scope["scheme"], head.given, scope.get("server")) + scope.get("root_path", ""),
    )


def route_path(scope: Scope) -> str:
    """Return the path below the prefix under which the application is mounted."""
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "")
    return path.removeprefix(prefix) if prefix and path.startswith(f"{prefix}/") else path


def base_url(
    scheme: str, headers: Mapping[bytes, bytes], server: tuple[str, int | None] | None
) -> str:
    """Return the origin that the client used, so that links work through port maps and proxies."""
    if headers.get(b"x-forwarded-proto") == b"https":
        scheme = "https"
    return origin_of(scheme, headers.get(b"host"), server and (server[0], server[1]))


def own_origin(request: Request) -> str:
    """Return the origin under which the client reaches the application."""
    headers = dict(request.scope["headers"])
    return base_url(request.url.scheme, headers, request.scope.get("server"))


def root_url(request: Request) -> str:
    """Return the URL under which the client reaches the application, without a slash at the end."""
    prefix: str = request.scope.get("root_path", "")
    return own_origin(request) + prefix


@lru_cache(maxsize=256)
def is_host(value: bytes) -> bool:
    """True if a Host header's value is a name or address, and at most a port."""
    return HOST.fullmatch(value) is not None


@lru_cache(maxsize=256)
def origin_of(scheme: str, host: bytes | None, server: tuple[str, int | None] | None) -> str:
    """Return an origin by the Host header, without a usable one by the address of the server."""
    if host is not None and is_host(host):
        return f"{scheme}://{host.decode()}"
    name, port = server or ("127.0.0.1", None)
    return f"{scheme}://{name}:{port}" if port else f"{scheme}://{name}"


# Bodies


def _announced(headers: Mapping[bytes, bytes]) -> int | None:
    """Return the announced length of a body in bytes, None where it comes in chunks."""
    length = headers.get(b"content-length")
    if length is not None and length.isdigit():
        return int(length)
    return None if b"transfer-encoding" in headers else 0


async def _read_body(receive: Receive) -> bytes:
    """Read a whole body, within the limit. How long it may take is the server's business."""
    pieces: list[bytes] = []
    left: int = contract().assumed("body.limit")
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _ClientDisconnected
        piece = message.get("body", b"")
        left -= len(piece)
        if left < 0:
            raise _BodyTooLarge
        if not message.get("more_body"):
            return b"".join((*pieces, piece)) if pieces else piece
        pieces.append(piece)


async def _drop_body(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> None:
    """Read the rest of a body that is not used, if the connection closes after the response.

    A client that sends all before it reads would see a reset instead of the response. One that sends
    ``Expect`` waits for it.
    """
    closes = scope["http_version"] == "1.0" or b"close" in headers.get(b"connection", b"").lower()
    left = MOST_DROPPED if closes and b"expect" not in headers else 0
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


# Web pages


def _may_call(origin: bytes, cors: Cors) -> bool:
    """True if web pages of an origin may read answers of the API."""
    if cors is Cors.LOOPBACK:
        _, separator, host = origin.partition(b"://")
        found = HOST.fullmatch(host)
        return bool(separator and found and is_loopback_name(found[1].decode().strip("[]")))
    return cors is Cors.ANY


def _preflight(headers: Mapping[bytes, bytes]) -> HttpResponse:
    """Allow what a browser asks for; the API checks the request itself."""
    answer = [
        (b"access-control-allow-methods", b"GET, HEAD, POST"),
        (b"access-control-max-age", _PREFLIGHT_MAX_AGE_S),
    ]
    asked = headers.get(b"access-control-request-headers")
    if asked is not None:
        answer.append((b"access-control-allow-headers", asked))
    if headers.get(b"access-control-request-private-network") == b"true":
        answer.append((b"access-control-allow-private-network", b"true"))
    return HttpResponse(204, b"", tuple(answer))


def _with_cors(send: Send, origin: bytes) -> Send:
    """Let the page that made a request read the response."""
    added = (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    )

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = (header for header in message["headers"] if header[0] != b"vary")
            message = {**message, "headers": [*own, *added]}
        await send(message)

    return sending


def _is_rebound(headers: Mapping[bytes, bytes]) -> bool:
    """True if a web page calls whose host name was rebound to this machine (DNS rebinding).

    Such a page is of one origin with the emulator, so the browser asks no preflight.
    """
    origin, host = headers.get(b"origin"), headers.get(b"host", b"")
    if origin is None or origin.partition(b"://")[2] != host:
        return False
    name = HOST.fullmatch(host)
    return name is not None and not _is_of_this_machine(name[1].decode().strip("[]"))


def _is_of_this_machine(name: str) -> bool:
    """True for a name of this machine and for an address: neither can be rebound."""
    if is_loopback_name(name):
        return True
    try:
        scope_of(name)
    except AddressRefused:
        return False
    return True
