"""The control API under ``/_emulator/``: the operator's verbs over HTTP.

Each verb is declared once, in `server.verbs`; its OpenAPI document is made from the same table. A
call acts on the world of ``?world=``; where every key has its own, on that of the bearer key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hmac import compare_digest

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.accounts import ONE_WORLD, account_of, bearer_key
from apixo_emulator.domain.control_names import CONTROL_PREFIX, TOKEN_COOKIE
from apixo_emulator.domain.envelope import failure, refusal
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.http.events import events
from apixo_emulator.http.guard import stranger
from apixo_emulator.http.openapi import openapi
from apixo_emulator.http.verbs import VERBS, Plain, Verb
from apixo_emulator.runtime import Runtime
from apixo_emulator.service.operator import ConflictError, NotFoundError, Operator
from apixo_emulator.storage import StoreUnavailable

_BAD, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _UNAVAILABLE = 400, 403, 404, 409, 503
# Bytes; a rule or an expectation is a few hundred.
_LARGEST_BODY = 1_048_576

Endpoint = Callable[[Request], Awaitable[Response]]


class Control:
    """The control API of one emulator, as an ASGI app."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._token = runtime.settings.control_token
        self._pages: Router | None = None
        by_path: dict[str, dict[str, Endpoint]] = {"health": {"GET": _health}}
        for verb in VERBS:
            by_path.setdefault(verb.path, {})[verb.method] = self._guarded(self._verb(verb))
        by_path["events"] = {"GET": self._guarded(self._events)}
        by_path["openapi.json"] = {"GET": self._guarded(_openapi)}
        # What is named in full comes before what is named by a pattern.
        paths = sorted(by_path.items(), key=lambda entry: "{" in entry[0])
        routes: list[BaseRoute] = [_route(path, methods) for path, methods in paths]
        self._router = Router(routes, default=self._page, redirect_slashes=False)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page of the dashboard, which is loaded when first asked for."""
        if self._pages is None:
            from apixo_emulator.http.dashboard import Dashboard

            runtime = self._runtime
            dashboard = Dashboard(runtime.emulator, runtime.pictures, runtime.stopping)
            routes: list[BaseRoute] = [
                Route(route.path, self._guarded(route.endpoint), methods=route.methods)
                for route in dashboard.routes
            ]
            self._pages = Router(
                [*routes, *dashboard.open_routes], default=_unknown, redirect_slashes=False
            )
        await self._pages(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one control call."""
        if scope["path"] == CONTROL_PREFIX and self._token is not None:
            given = Request(scope).query_params.get("token", "")
            if compare_digest(given.encode(), self._token.encode()):
                await _welcome(self._token)(scope, receive, send)
                return
        await self._router(scope, receive, send)

    def _guarded(self, answer: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            refused = stranger(request, self._token)
            return _error(_FORBIDDEN, refused) if refused else await answer(request)

        return guarded

    def _verb(self, verb: Verb) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                body = await _body(request)
                # In a thread: it may wait for a store, or look through a long journal.
                found = await asyncio.to_thread(self._act, verb, request, body)
            except ValueError as error:
                return _error(_BAD, str(error))
            except NotFoundError as error:
                return _error(_NOT_FOUND, f"{error}")
            except ConflictError as error:
                return _error(_CONFLICT, str(error))
            except StoreUnavailable as error:
                return _error(_UNAVAILABLE, str(error))
            if isinstance(found, Plain):
                return Response(found.text, media_type=found.media_type)
            return Response(orjson.dumps(found), media_type="application/json")

        return answer

    def _act(self, verb: Verb, request: Request, body: bytes) -> object:
        asked = verb.read(request.path_params, dict(request.query_params), body)
        return verb.act(self._operator(request, steers=verb.method != "GET"), asked)

    def _operator(self, request: Request, *, steers: bool = False) -> Operator:
        """Give the operator of the world that a call is about.

        Raises:
            NotFoundError: There is no such world.
            ConflictError: The call ``steers``, and does not say which of many worlds.
        """
        emulator = self._runtime.emulator
        worlds = emulator.worlds
        named = request.query_params.get("world")
        key = bearer_key(request.headers.get("authorization", "").encode("latin-1"))
        if named is None and key is not None and worlds.per_key:
            return Operator(emulator, worlds.of(account_of(key, own_world=True)))
        if named is None and worlds.per_key and steers:
            raise ConflictError(
                "every key has a world of its own here: say which is meant, with the key in"
                " `Authorization: Bearer KEY` (--key on the command line) or with ?world=; see"
                f" {CONTROL_PREFIX}worlds"
            )
        if named in (None, ONE_WORLD):
            return Operator(emulator, worlds.get(ONE_WORLD))
        found = next((world for world in worlds.all() if world.id == named), None)
        if found is None:
            raise NotFoundError(f"no world {named!r}; see {CONTROL_PREFIX}worlds")
        return Operator(emulator, found)

    async def _events(self, request: Request) -> Response:
        try:
            operator = await asyncio.to_thread(self._operator, request)
        except NotFoundError as error:
            return _error(_NOT_FOUND, str(error))
        return events(operator, self._runtime.stopping)


def _welcome(token: str) -> Response:
    """Let a browser that has shown the token keep it: the dashboard works from other machines too."""
    response = RedirectResponse(CONTROL_PREFIX, status_code=303)
    response.set_cookie(TOKEN_COOKIE, token, path=CONTROL_PREFIX, httponly=True, samesite="strict")
    return response


def _route(path: str, methods: dict[str, Endpoint]) -> Route:
    """Route a path, with the envelope for the wrong method, too."""
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
    document = openapi(str(request.base_url).rstrip("/"))
    return Response(orjson.dumps(document), media_type="application/json")


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await _plain(refusal("path_not_found"))(scope, receive, send)


def _error(status: int, words: str) -> Response:
    return _plain(failure(status, words))


def _plain(response: HttpResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, headers)
