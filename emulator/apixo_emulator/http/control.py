"""The control API under ``/_emulator/``: the operations over HTTP, events, and who may call them.

A request acts on the world of ``?world=``; where every key has its own, on that of the bearer key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from hmac import compare_digest
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.accounts import ONE_WORLD, account_of, bearer_key
from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.deliveries import DEPTH_HEADER
from apixo_emulator.domain.problems import ContradictoryError
from apixo_emulator.domain.responses import failure, refusal
from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_COOKIE, TOKEN_HEADER, HttpResponse
from apixo_emulator.http.api import HOST, own_origin, root_url, route_path
from apixo_emulator.http.openapi import control_document, schema_document, schema_names
from apixo_emulator.http.operations import OPERATIONS, Operation, Text
from apixo_emulator.runtime import Runtime
from apixo_emulator.service import Emulator
from apixo_emulator.service.control import ConflictError, NotFoundError, WorldControl
from apixo_emulator.storage import StoreUnavailable

_FORBIDDEN = 403
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (ContradictoryError, 409),
    (StoreUnavailable, 503),
    (ValueError, 400),
)
EXPECTED = tuple(kind for kind, _ in _STATUS)
# Bytes; a rule or an expectation is a few hundred.
_LARGEST_BODY = 1_048_576
_SHOWN = 80
# A proxy adds one of these to the requests of other machines.
_FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

Endpoint = Callable[[Request], Awaitable[Response]]


class Control:
    """The control API of one emulator and its dashboard, as an ASGI application."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._token = runtime.settings.control_token
        # Of the emulator that was open when it was made.
        self._dashboard: tuple[Emulator, Router] | None = None
        by_path: dict[str, dict[str, Endpoint]] = {"health": {"GET": _health}}
        for operation in OPERATIONS:
            answer = self._guarded(self._operation(operation))
            by_path.setdefault(operation.path, {})[operation.method] = answer
        by_path["events"] = {"GET": self._guarded(self._events)}
        # What is the same for every caller and holds no state is open to all.
        by_path["openapi.json"] = {"GET": _openapi}
        by_path["schemas"] = {"GET": _schemas}
        by_path["schemas/{name}"] = {"GET": _schema}
        # What is named in full comes before what is named by a pattern.
        paths = sorted(by_path.items(), key=lambda entry: "{" in entry[0])
        routes: list[BaseRoute] = [_route(path, methods) for path, methods in paths]
        self._router = Router(routes, default=self._page, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if route_path(scope) == CONTROL_PREFIX and self._token is not None:
            given = Request(scope).query_params.get("token", "")
            if compare_digest(given.encode(), self._token.encode()):
                await _welcome(scope, self._token)(scope, receive, send)
                return
        await self._router(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page of the dashboard, which is imported when first asked for."""
        emulator = self._runtime.emulator
        if self._dashboard is None or self._dashboard[0] is not emulator:
            self._dashboard = (emulator, self._pages())
        await self._dashboard[1](scope, receive, send)

    def _pages(self) -> Router:
        from apixo_emulator.http.dashboard import Dashboard

        runtime = self._runtime
        dashboard = Dashboard(runtime.emulator, runtime.pictures, runtime.stopping)
        pages = [
            Route(route.path, self._guarded(route.endpoint), methods=route.methods)
            for route in dashboard.routes
        ]
        return Router([*pages, *dashboard.open_routes], default=_unknown, redirect_slashes=False)

    def _guarded(self, answer: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            reason = reject_reason(request, self._token)
            return _error(_FORBIDDEN, reason) if reason else await answer(request)

        return guarded

    def _operation(self, operation: Operation) -> Endpoint:
        async def answer(request: Request) -> Response:
            if operation.page is not None and _wants_a_page(request):
                return _redirect(request, operation.page)
            try:
                body = await _body(request)
                # In a thread: it may wait for a store, or go through a long journal.
                found = await asyncio.to_thread(self._run, operation, request, body)
            except EXPECTED as error:
                return _error(status_of(error), f"{error}")
            if isinstance(found, Text):
                return Response(found.text, media_type=found.media_type)
            return Response(orjson.dumps(found), media_type="application/json")

        return answer

    def _run(self, operation: Operation, request: Request, body: bytes) -> object:
        given = operation.read(request.path_params, dict(request.query_params), body)
        return operation.run(self._operator(request, changes=operation.method != "GET"), given)

    def _operator(self, request: Request, *, changes: bool = False) -> WorldControl:
        """Return the operator of the world that a request is about.

        Raises:
            NotFoundError: There is no such world.
            ConflictError: The request ``changes`` a world, and does not say which of many.
        """
        emulator = self._runtime.emulator
        worlds = emulator.worlds
        named = request.query_params.get("world")
        key = bearer_key(request.headers.get("authorization", "").encode("latin-1"))
        if named is None and key is not None and worlds.per_key:
            return WorldControl(emulator, worlds.of(account_of(key, own_world=True)))
        if named is None and worlds.per_key and changes:
            raise ConflictError(
                "every key has a world of its own here: say which is meant, with the key in"
                " `Authorization: Bearer KEY` (--key on the command line) or with ?world=; see"
                f" {CONTROL_PREFIX}worlds"
            )
        if named in (None, ONE_WORLD):
            return WorldControl(emulator, worlds.get(ONE_WORLD))
        found = next((world for world in worlds.all() if world.id == named), None)
        if found is None:
            raise NotFoundError(f"no world {named!r}; see {CONTROL_PREFIX}worlds")
        return WorldControl(emulator, found)

    async def _events(self, request: Request) -> Response:
        try:
            operator = await asyncio.to_thread(self._operator, request)
        except EXPECTED as error:
            return _error(status_of(error), f"{error}")
        return StreamingResponse(
            _stream(operator, self._runtime),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )


# Who may control the emulator


def reject_reason(request: Request, token: str | None) -> str | None:
    """Return why a request must not control the emulator; None if it may.

    A web page must not reach the control API: the Host must name this machine (DNS rebinding), an
    Origin must be the Host's own, and a button must be pressed on a page of the dashboard (CSRF). Nor
    must another machine without the token, or a callback that the emulator itself makes.
    """
    headers = request.headers
    if DEPTH_HEADER.decode() in headers:
        return "the emulator's own callbacks and fetches do not control it"
    hosts = headers.getlist("host")
    host = hosts[0] if len(hosts) == 1 else ""
    origin = headers.get("origin")
    if origin is not None and origin != own_origin(request):
        return f"requests from another site are not taken, found the origin {origin[:_SHOWN]!r}"
    if _is_button(request) and not _is_pressed_on_a_page(request):
        return (
            "a button of the dashboard takes a form from a page of the same origin, found none;"
            f" use the operations under {CONTROL_PREFIX} instead"
        )
    if _has_token(request, token):
        return None
    return _other_machine(request, host)


def _other_machine(request: Request, host: str) -> str | None:
    """Return why a request may come from another machine; forwarded headers never make it local."""
    found = HOST.fullmatch(host.encode("latin-1"))
    name = found[1].decode().strip("[]") if found else host
    if found is None or not is_loopback_name(name):
        return (
            f"control requests are taken under a name of this machine only, found the host"
            f" {name[:_SHOWN]!r}; use http://127.0.0.1 with the emulator's port, or send the"
            f" emulator's --control-token in the header {TOKEN_HEADER}"
        )
    needed = f"need the emulator's --control-token in the header {TOKEN_HEADER}"
    if request.client is not None and not is_loopback_name(request.client.host):
        return (
            f"control requests from another machine {needed}, found one from"
            f" {request.client.host} without it"
        )
    proxy = next((name for name in _FORWARDING if name in request.headers), None)
    if proxy is not None:
        return f"control requests through a proxy {needed}, found the header {proxy} without it"
    return None


def _is_button(request: Request) -> bool:
    path = route_path(request.scope)
    return request.method == "POST" and path.startswith(f"{CONTROL_PREFIX}ui/")


def _is_pressed_on_a_page(request: Request) -> bool:
    """True for a form of a page of the same origin; an Origin was checked already."""
    headers = request.headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type in _FORMS and (
        "origin" in headers or headers.get("sec-fetch-site") == "same-origin"
    )


def _has_token(request: Request, token: str | None) -> bool:
    if token is None:
        return False
    given = request.headers.get(TOKEN_HEADER) or request.cookies.get(TOKEN_COOKIE) or ""
    return compare_digest(given.encode("latin-1", "replace"), token.encode("latin-1", "replace"))


def _welcome(scope: Scope, token: str) -> Response:
    """Let a browser that has shown the token keep it: the dashboard works from other machines too."""
    path = scope.get("root_path", "") + CONTROL_PREFIX
    response = RedirectResponse(path, status_code=303)
    response.set_cookie(TOKEN_COOKIE, token, path=path, httponly=True, samesite="strict")
    return response


# Pages instead of JSON


def _wants_a_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _redirect(request: Request, page: str) -> Response:
    """Send a browser to the page that shows what an operation returns."""
    path = request.scope.get("root_path", "") + CONTROL_PREFIX + page
    world = request.query_params.get("world")
    query = "" if world is None else f"?world={world}"
    return RedirectResponse(path.format(**request.path_params) + query)


# Events

# A person does not notice less; a change costs one look at numbers in memory.
_INTERVAL_S = 0.2
_KEEP_ALIVE_S = 15.0
_AT_ONCE = 200


async def _stream(operator: WorldControl, runtime: Runtime) -> AsyncIterator[bytes]:
    """Send a world's requests, and changes of its clock and rules, until the server stops."""
    changes = await asyncio.to_thread(_Changes, operator)
    yield _event("clock", operator.clock())
    quiet_s = 0.0
    while not runtime.stopping.is_set():
        await asyncio.sleep(_INTERVAL_S)
        # In a thread: the store may be across a network.
        found = await asyncio.to_thread(changes.collect)
        quiet_s = 0.0 if found else quiet_s + _INTERVAL_S
        if found:
            yield b"".join(found)
        elif quiet_s >= _KEEP_ALIVE_S:
            quiet_s = 0.0
            yield b": still here\n\n"


class _Changes:
    """Collects what has changed in a world since the last time."""

    def __init__(self, operator: WorldControl) -> None:
        self._operator = operator
        self._seen = operator.last_number()
        self._clock = operator.clock_state()
        self._rules = operator.rule_ids()

    def collect(self) -> list[bytes]:
        """Return what is new, as events."""
        found = self._requests()
        if self._operator.clock_state() != self._clock:
            self._clock = self._operator.clock_state()
            found.append(_event("clock", self._operator.clock()))
        if self._operator.rule_ids() != self._rules:
            self._rules = self._operator.rule_ids()
            found.append(_event("scenarios", {"rules": list(self._rules)}))
        return found

    def _requests(self) -> list[bytes]:
        last = self._operator.last_number()
        self._seen = min(self._seen, last)  # a reset starts the numbers again
        if last == self._seen:
            return []
        entries = self._operator.requests(after=self._seen, limit=_AT_ONCE)
        self._seen = entries[-1].number if entries else last
        return [_event("request", entry.to_json()) for entry in entries]


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


# Responses


def _route(path: str, methods: dict[str, Endpoint]) -> Route:
    """Route a path; the wrong method gets the envelope, too."""
    allowed = ", ".join(sorted(methods.keys() | ({"HEAD"} if "GET" in methods else set())))

    async def chosen(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        answer = methods.get(method)
        if answer is None:
            return _plain(refusal("method_not_allowed", (b"allow", allowed.encode())))
        return await answer(request)

    everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route(CONTROL_PREFIX + path, chosen, methods=everything)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > _LARGEST_BODY:
                raise ValueError(f"the body is larger than {_LARGEST_BODY} bytes")
    except HTTPException as error:
        raise ValueError(error.detail) from None
    return bytes(body)


async def _health(_request: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def _openapi(request: Request) -> Response:
    document = control_document(root_url(request))
    return Response(orjson.dumps(document), media_type="application/json")


async def _schemas(_request: Request) -> Response:
    return Response(orjson.dumps({"schemas": schema_names()}), media_type="application/json")


async def _schema(request: Request) -> Response:
    name = request.path_params["name"]
    try:
        found = schema_document(name, root_url(request))
    except KeyError as error:
        return _error(404, str(error.args[0]))
    kind = "schema+json" if "$schema" in found else "json"
    return Response(orjson.dumps(found), media_type=f"application/{kind}")


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await _plain(refusal("path_not_found"))(scope, receive, send)


def status_of(error: Exception) -> int:
    """Return the status with which an expected error is answered."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def _error(status: int, words: str) -> Response:
    return _plain(failure(status, words))


def _plain(response: HttpResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, headers)
