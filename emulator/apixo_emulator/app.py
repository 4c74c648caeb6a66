"""The whole application: its routes, what becomes of errors, and what runs while it is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from apixo_emulator.domain.responses import failure, refusal
from apixo_emulator.domain.routes import ordinary_calls
from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.api import Api, Deferred, as_response, root_url, route_path
from apixo_emulator.process import descriptor_limit
from apixo_emulator.runtime import Runtime
from apixo_emulator.service.callback_worker import MOST_CALLBACKS, CallbackWorker
from apixo_emulator.settings import Settings, use_profile_file
from apixo_schemas import contract, document, openapi_document


def create_app(settings: Settings | None = None, **options: Any) -> Starlette:
    """Return the emulator as a Starlette application.

    It can be served by any ASGI server, mounted under a prefix, and called by `httpx.ASGITransport`.
    Its state is opened at the first request or at startup, and closed at shutdown. Callbacks are made
    while its lifespan runs.

    Args:
        settings: All options as one value.
        options: Instead of ``settings``, the options of ``serve`` by name, such as
            ``ephemeral=True, seed=1, latency="fast"``.

    Raises:
        TypeError: There is no such option, or both are given.
        SettingsError: A value is out of range.
    """
    if settings is not None and options:
        raise TypeError(f"expected settings or options, found both: {', '.join(options)}")
    return application(Runtime(settings or Settings.of(**options)))


def application(runtime: Runtime) -> Starlette:
    """Return the application of one emulator.

    Raises:
        ValueError: The profile of its settings cannot be used.
    """
    use_profile_file(runtime.settings.profile)  # before a document shows the contract
    api = Api(runtime)
    app = _Application(
        api,
        routes=_routes(runtime, api),
        exception_handlers={
            HTTPException: _http_error,
            ClientDisconnect: _disconnected,
            Exception: _server_error,
        },
        lifespan=_lifespan,
    )
    app.router.default = _unknown(api, app.router.default)
    app.router.redirect_slashes = False
    app.state.runtime = runtime
    return app


class _Application(Starlette):
    """Answers calls of the API before Starlette's own middlewares and routing.

    These handle errors, which `Api` does itself, and cost as much as the answer to a poll. A program
    that adds a middleware gets all requests there.
    """

    def __init__(self, api: Api, **options: Any) -> None:
        super().__init__(**options)
        self._api = api
        self._paths = {path for _, _, path in ordinary_calls().values()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if (
            scope["type"] == "http"
            and route_path(scope) in self._paths
            and not self.user_middleware
        ):
            await self._api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _routes(runtime: Runtime, api: Api) -> list[Route]:
    model = document("model.json")
    paths = model["api"]
    prefix = paths["prefix"]
    return [
        # The documented endpoints; `Emulator` answers 405 for another method.
        Route(prefix + paths["status"]["path"], api, name="status"),
        Route(prefix + paths["submit"]["path"], api, name="submit"),
        Route(prefix + paths["balance"]["path"], api, name="balance"),
        Route("/files/{name}", api, name="file"),
        Route("/docs/models/schemas/index.json", api, name="model-index"),
        Route(f"/docs/{model['schema_path']}", api, name="model-schema"),
        # For people and their tools: OpenAPI, control operations, events, dashboard.
        Route("/", _index),
        Route("/openapi.json", _openapi),
        Route(CONTROL_PREFIX.rstrip("/"), _to_dashboard),
        Route(CONTROL_PREFIX + "{path:path}", Deferred(partial(_control, runtime)), name="control"),
    ]


def _unknown(api: Api, default: ASGIApp) -> ASGIApp:
    """Return what answers paths without a route: 404 in the envelope, noted in the journal."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (api if scope["type"] == "http" else default)(scope, receive, send)

    return answer


def _control(runtime: Runtime) -> ASGIApp:
    from apixo_emulator.http.control import Control  # late: most servers need none

    return Control(runtime)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Make callbacks until shutdown, then close the store."""
    runtime: Runtime = app.state.runtime
    # Half of the descriptors are left to clients and files.
    most = min(MOST_CALLBACKS, descriptor_limit() // 2)
    worker = CallbackWorker(runtime.emulator, ca_file=runtime.settings.ca_file, most=most)
    delivering = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        delivering.cancel()
        with suppress(asyncio.CancelledError):
            await delivering
        runtime.close()


async def _index(request: Request) -> Response:
    """Return where the API and the dashboard are, as JSON or as HTML."""
    root = root_url(request)
    found = {
        "api": root + contract().prefix,
        "dashboard": root + CONTROL_PREFIX,
        "openapi": f"{root}/openapi.json",
    }
    if "text/html" in request.headers.get("accept", ""):
        links = "".join(f'<p>{name}: <a href="{url}">{url}</a></p>' for name, url in found.items())
        return Response(
            f"<!doctype html><title>apixo-emulator</title>{links}", media_type="text/html"
        )
    return Response(orjson.dumps(found), media_type="application/json")


async def _openapi(request: Request) -> Response:
    """Return the API as an OpenAPI document; this emulator is the first of its servers."""
    document = openapi_document(root_url(request))
    return Response(orjson.dumps(document), media_type="application/json")


async def _to_dashboard(request: Request) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + CONTROL_PREFIX)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    known = {404: "path_not_found", 405: "method_not_allowed", 413: "payload_too_large"}
    headers = dict(getattr(error, "headers", None) or {})
    if status not in known:
        return as_response(failure(status, str(getattr(error, "detail", ""))), headers)
    return as_response(refusal(known[status]), headers)


async def _disconnected(_request: Request, _error: Exception) -> Response:
    # No client receives it: the request ended before its body was complete, and nothing is done.
    return Response(status_code=400)


async def _server_error(_request: Request, _error: Exception) -> Response:
    # Starlette raises the error again, and the server logs it.
    return as_response(refusal("server_error"))
