"""The control API under ``/_emulator/``: the operations over HTTP, and who may call them.

A request acts on the world of ``?world=``; where every key has its own, on that of the bearer key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.accounts import ONE_WORLD, account_of, bearer_key
from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.deliveries import DEPTH_HEADER
from apixo_emulator.domain.problems import ContradictoryError
from apixo_emulator.domain.responses import failure, refusal
from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_COOKIE, TOKEN_HEADER
from apixo_emulator.http.api import HOST, Deferred, as_response, own_origin, root_url, route_path
from apixo_emulator.http.events import Changes, event_stream
from apixo_emulator.http.openapi import control_document, schema_document, schema_names
from apixo_emulator.http.operations import OPERATIONS, Operation
from apixo_emulator.runtime import Runtime
from apixo_emulator.service import Emulator
from apixo_emulator.service.control import ConflictError, NotFoundError, WorldControl
from apixo_emulator.storage import StoreError, StoreUnavailable

_FORBIDDEN = 403


class TooLargeError(ValueError):
    """A body is larger than what is read."""


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (ContradictoryError, 409),
    (StoreUnavailable, 503),
    (StoreError, 500),
    (TooLargeError, 413),
    (ValueError, 400),
)
EXPECTED = tuple(kind for kind, _ in _STATUS)
# Bytes; a rule or an expectation is a few hundred.
_LARGEST_BODY = 1_048_576
_SHOWN = 80
# A proxy adds headers with such names to the requests of other machines.
_FORWARDED = re.compile(
    "forwarded|via|x-forwarded.*|x-original-.*|x-real-ip|x-client-ip|true-client-ip|cf-connecting-ip"
)
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")

Endpoint = Callable[[Request], Awaitable[Response]]


class Control:
    """The control API of one emulator and its dashboard, as an ASGI application."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._token = runtime.settings.control_token
        # What is the same for every caller and holds no state is open to all.
        by_path: dict[str, dict[str, Endpoint]] = {
            path: {"GET": answer} for path, answer in _OPEN.items()
        }
        by_path["events"] = {"GET": self._guarded(self._events)}
        for operation in OPERATIONS:
            answer = self._guarded(self._operation(operation))
            by_path.setdefault(operation.path, {})[operation.method] = answer
        # What is named in full comes before what is named by a pattern.
        paths = sorted(by_path.items(), key=lambda entry: "{" in entry[0])
        routes: list[BaseRoute] = [_route(path, methods) for path, methods in paths]
        self._router = Router(routes, default=Deferred(self._dashboard), redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if route_path(scope) == CONTROL_PREFIX and self._token is not None:
            given = Request(scope).query_params.get("token", "")
            if compare_digest(given.encode(), self._token.encode()):
                await _welcome(scope, self._token)(scope, receive, send)
                return
        await self._router(scope, receive, send)

    def _dashboard(self) -> Router:
        from apixo_emulator.http.dashboard import Dashboard

        dashboard = Dashboard(self._runtime)
        routes = [
            Route(route.path, self._guarded(route.endpoint), methods=route.methods)
            for route in dashboard.routes
        ]
        return Router([*routes, *dashboard.open_routes], default=_unknown, redirect_slashes=False)

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
                body = await read_body(request, _LARGEST_BODY)
                # In a thread: it may wait for a store, or go through a long journal.
                found = await asyncio.to_thread(self._run, operation, request, body)
            except EXPECTED as error:
                return _error(status_of(error), f"{error}")
            if operation.returns is None:
                return Response(found, media_type="text/plain; version=0.0.4")
            return _json(found)

        return answer

    def _run(self, operation: Operation, request: Request, body: bytes) -> Any:
        run = operation.bound(request.path_params, dict(request.query_params), body)
        return run(self._control(request, changes=operation.method != "GET"))

    def _control(self, request: Request, *, changes: bool = False) -> WorldControl:
        """Return the control of the world that a request is about.

        Raises:
            NotFoundError: There is no such world.
            ConflictError: The request ``changes`` a world, and does not say which of many.
        """
        emulator = self._runtime.emulator
        worlds = emulator.worlds
        named = request.query_params.get("world")
        if named is None and worlds.per_key:
            key = bearer_key(request.headers.get("authorization", "").encode("latin-1"))
            if key is not None:
                return WorldControl(emulator, worlds.of(account_of(key, own_world=True)))
            if changes:
                raise ConflictError(
                    "every key has a world of its own here: say which is meant, with the key in"
                    " `Authorization: Bearer KEY` (--key on the command line) or with ?world=; see"
                    f" {CONTROL_PREFIX}worlds"
                )
        return control_of(emulator, named)

    async def _events(self, request: Request) -> Response:
        try:
            control = await asyncio.to_thread(self._control, request)
        except EXPECTED as error:
            return _error(status_of(error), f"{error}")
        changes = await asyncio.to_thread(Changes, control)
        return event_stream(changes.collect, self._runtime.stopping)


def control_of(emulator: Emulator, world: str | None) -> WorldControl:
    """Return the control of a world by its id; None is the one that is always there.

    Raises:
        NotFoundError: There is no such world.
    """
    if world in (None, ONE_WORLD):
        return WorldControl(emulator)
    found = emulator.worlds.find(world)
    if found is None:
        raise NotFoundError(f"no world {world!r}; see {CONTROL_PREFIX}worlds")
    return WorldControl(emulator, found)


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
    proxy = next(filter(_FORWARDED.fullmatch, request.headers), None)
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


# Responses


def _route(path: str, methods: dict[str, Endpoint]) -> Route:
    """Route a path; the wrong method gets the envelope, too."""
    allowed = ", ".join(sorted(methods.keys() | ({"HEAD"} if "GET" in methods else set())))

    async def chosen(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        answer = methods.get(method)
        if answer is None:
            return as_response(refusal("method_not_allowed", (b"allow", allowed.encode())))
        return await answer(request)

    everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route(CONTROL_PREFIX + path, chosen, methods=everything)


async def read_body(request: Request, most: int) -> bytes:
    """Read a body of at most so many bytes.

    Raises:
        TooLargeError: It is larger.
        ClientDisconnect: It is incomplete; the application answers that.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise TooLargeError(f"the body: expected at most {most} bytes, found more")
    return bytes(body)


async def _health(_request: Request) -> Response:
    return _json({"status": "ok"})


async def _openapi(request: Request) -> Response:
    return _json(control_document(root_url(request)))


async def _schemas(_request: Request) -> Response:
    return _json({"schemas": schema_names()})


async def _schema(request: Request) -> Response:
    try:
        found = schema_document(request.path_params["name"], root_url(request))
    except KeyError as error:
        return _error(404, str(error.args[0]))
    return _json(found, "schema+json" if "$schema" in found else "json")


_OPEN: dict[str, Endpoint] = {
    "health": _health,
    "openapi.json": _openapi,
    "schemas": _schemas,
    "schemas/{name}": _schema,
}


def _json(value: object, kind: str = "json") -> Response:
    """Return a value as JSON; entries of the journal and verifications say themselves what they are."""
    option = orjson.OPT_PASSTHROUGH_DATACLASS
    content = orjson.dumps(value, lambda entry: entry.to_json(), option)
    return Response(content, media_type=f"application/{kind}")


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await as_response(refusal("path_not_found"))(scope, receive, send)


def status_of(error: Exception) -> int:
    """Return the status with which an expected error is answered."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def _error(status: int, words: str) -> Response:
    return as_response(failure(status, words))
