"""The ASGI application: a thin adapter from a socket's call to the gate and back.

A raw ASGI callable and not a router with middleware: `Emulator.handle` routes already, and every
answer, 404 and 405 and 500 too, must be its envelope.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.control_names import CONTROL_PREFIX
from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.http.body import (
    BodyTooLargeError,
    ClientGoneError,
    announces_little,
    read_body,
)
from apixo_emulator.http.gathering import Gathering
from apixo_emulator.http.hosts import is_rebound, origin_of
from apixo_emulator.http.wire import send_response
from apixo_emulator.pictures import Gallery
from apixo_emulator.service import Emulator
from apixo_emulator.service.callbacks import Bounds, CallbackWorker
from apixo_emulator.storage import StoreUnavailable

if TYPE_CHECKING:
    from apixo_emulator.http.control import Control
    from apixo_emulator.http.results import ResultDesk

_log = logging.getLogger("apixo_emulator")


class App:
    """Serves one emulator and its pictures."""

    def __init__(
        self,
        emulator: Emulator,
        gallery: Gallery,
        *,
        callback_ca: Path | None = None,
        bounds: Bounds | None = None,
        control_token: str | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self._emulator = emulator
        self._gallery = gallery
        self._callback_ca = callback_ca
        self._bounds = bounds
        self._control_token = control_token
        self._stopping = stopping
        self._gathering = Gathering(emulator) if emulator.blocking else None

    # Loaded when first asked for: a start need not wait for it, and most servers are never steered.

    @cached_property
    def _control(self) -> Control:
        from apixo_emulator.http.control import Control

        return Control(self._emulator, self._gallery, self._control_token, self._stopping)

    @cached_property
    def _results(self) -> ResultDesk:
        from apixo_emulator.http.results import ResultDesk

        return ResultDesk(self._gallery)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, or follow the server's start and end."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            # A WebSocket handshake; there is none in this API. The server answers it with 403.
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"].startswith(CONTROL_PREFIX):
                await self._control(scope, receive, send)
                return
            response = await self._answer(scope, receive)
            if response.picture is not None:
                await self._results.send(response.picture, scope, receive, send)
                return
        except BodyTooLargeError:
            response = self._emulator.too_large(_request(scope, b""))
        except ClientGoneError:
            return
        except TimeoutError:
            response = self._refused(scope, "request_timeout", "the body did not arrive in time")
        except asyncio.CancelledError:  # the server stops, and this call took longer than its grace
            response = refusal("unavailable")
        except StoreUnavailable as error:
            _log.error("%s %s failed: %s", scope["method"], scope["path"], error)
            response = refusal("server_error")
        except Exception:  # noqa: BLE001 - the caller gets the envelope, the log the traceback
            _log.exception("%s %s failed", scope["method"], scope["path"])
            response = refusal("server_error")
        await send_response(response, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> HttpResponse:
        body = b""
        if scope["method"] == "POST":
            if is_rebound(scope["headers"]):
                return self._refused(scope, "foreign_page", "the call comes from a web page")
            if not announces_little(scope):
                refused = self._emulator.refuses(_request(scope, b""))
                if refused is not None:
                    self._emulator.note(_request(scope, b""), refused, "refused unread")
                    return refused
            body = await read_body(scope, receive)
        return await self._handle(_request(scope, body))

    def _refused(self, scope: Scope, error_id: str, decision: str) -> HttpResponse:
        response = refusal(error_id)
        self._emulator.note(_request(scope, b""), response, decision)
        return response

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        if self._gathering is not None:
            return await self._gathering.handle(request)
        return self._emulator.handle(request)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        worker = CallbackWorker(self._emulator, ca_file=self._callback_ca, bounds=self._bounds)
        delivering = asyncio.create_task(worker.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
        if self._gathering is not None:
            self._gathering.close()
        if "_results" in vars(self):
            self._results.close()
        self._emulator.close()
        await send({"type": "lifespan.shutdown.complete"})


def _request(scope: Scope, body: bytes) -> HttpRequest:
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        headers=scope["headers"],
        body=body,
        base_url=_base_url(scope),
    )


def _base_url(scope: Scope) -> str:
    host = next((value for name, value in scope["headers"] if name == b"host"), None)
    return origin_of(scope["scheme"], host, scope.get("server"))
