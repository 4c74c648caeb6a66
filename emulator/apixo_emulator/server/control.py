"""The control API under ``/_emulator/``: look at deliveries and steer them.

It listens beside the API on a developer's machine, so a web page must not reach it: the Host must
name this machine (DNS rebinding) and an Origin must be the Host's own (CSRF). Only `health`, which
tells and changes nothing, is open to container orchestrators under any name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from apixo_emulator.core.addresses import is_loopback_name
from apixo_emulator.core.deliveries import Attempt, Delivery
from apixo_emulator.core.envelope import failure, refusal
from apixo_emulator.core.wire import HttpResponse
from apixo_emulator.server.hosts import HOST
from apixo_emulator.service import Emulator

PREFIX = "/_emulator/"
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _BAD = 403, 404, 409, 400
_PAGE = 100


class Control:
    """The control API of one emulator, as an ASGI app."""

    def __init__(self, emulator: Emulator) -> None:
        self._callbacks = emulator.callbacks
        self._router = Router(
            [
                _route("health", "GET", _health),
                _route("deliveries", "GET", self._guarded(self._deliveries)),
                _route("deliveries/{task_id}", "GET", self._guarded(self._delivery)),
                _route("deliveries/{task_id}/redeliver", "POST", self._guarded(self._redeliver)),
            ],
            default=_unknown,
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one control call."""
        await self._router(scope, receive, send)

    @staticmethod
    def _guarded(
        answer: Callable[[Request], Response],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            refused = _stranger(request)
            return _error(_FORBIDDEN, refused) if refused else answer(request)

        return guarded

    def _deliveries(self, request: Request) -> Response:
        limit, offset = (
            request.query_params.get("limit", _PAGE),
            request.query_params.get("offset", 0),
        )
        try:
            found = self._callbacks.deliveries(_count(limit), _count(offset))
        except ValueError:
            words = f"limit and offset: expected whole numbers, found {limit!r} and {offset!r}"
            return _error(_BAD, words)
        return JSONResponse({"deliveries": [_shown(delivery) for delivery in found]})

    def _delivery(self, request: Request) -> Response:
        task_id = request.path_params["task_id"]
        delivery = self._callbacks.delivery(task_id)
        if delivery is None:
            return _no_delivery(task_id)
        attempts = [_attempt(entry) for entry in self._callbacks.attempts(task_id)]
        return JSONResponse({**_shown(delivery), "attempts": attempts})

    def _redeliver(self, request: Request) -> Response:
        task_id = request.path_params["task_id"]
        if self._callbacks.delivery(task_id) is None:
            return _no_delivery(task_id)
        delivery = self._callbacks.redeliver(task_id)
        if delivery is None:
            return _error(
                _CONFLICT,
                f"the callback of task {task_id!r} cannot be sent again now: the task has not ended,"
                " or an attempt is under way; wait for its end and ask again",
            )
        return JSONResponse(_shown(delivery))


Answering = Callable[[Request], Awaitable[Response]]


def _route(path: str, method: str, answer: Answering) -> Route:
    """Route a path, with the envelope for the wrong method, too."""

    async def checked(request: Request) -> Response:
        if request.method not in (method, "HEAD" if method == "GET" else method):
            return _plain(refusal("method_not_allowed", (b"allow", method.encode())))
        return await answer(request)

    everything = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Route(PREFIX + path, checked, methods=everything)


def _no_delivery(task_id: str) -> Response:
    return _error(_NOT_FOUND, f"no task {task_id!r} in callback mode; see {PREFIX}deliveries")


def _count(value: object) -> int:
    number = int(str(value))
    if not 0 <= number < 2**31:
        raise ValueError(value)
    return number


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    await _plain(refusal("path_not_found"))(scope, receive, send)


def _stranger(request: Request) -> str | None:
    """Say why a caller must not steer, None for one on this machine."""
    hosts = request.headers.getlist("host")
    host = hosts[0] if len(hosts) == 1 else ""
    found = HOST.fullmatch(host.encode("latin-1"))
    name = found[1].decode().strip("[]") if found else host
    if found is None or not is_loopback_name(name):
        return (
            f"control calls are taken under a name of this machine only, found the host {name[:80]!r};"
            f" use http://127.0.0.1 with the emulator's port"
        )
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{host}":
        return f"control calls from another site are not taken, found the origin {origin[:80]!r}"
    return None


def _shown(delivery: Delivery) -> dict[str, Any]:
    return {
        "taskId": delivery.task_id,
        "url": delivery.url,
        "state": delivery.state,
        "dueTime": delivery.due_ms,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "time": attempt.at_ms,
        "durationMs": attempt.duration_ms,
        "status": attempt.status,
        "answer": attempt.excerpt,
        "error": attempt.error,
    }


def _error(status: int, words: str) -> Response:
    return _plain(failure(status, words))


def _plain(response: HttpResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Response(response.body, response.status, headers)
