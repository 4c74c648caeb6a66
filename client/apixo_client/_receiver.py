"""A receiver of callbacks as an ASGI app, for any server or framework that mounts one."""

from __future__ import annotations

import hmac
import inspect
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from apixo_client._callbacks import MAX_BYTES, parse_callback
from apixo_client._errors import CallbackError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, MutableMapping

    from apixo_client._models import Task

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("apixo_client")
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")


class SeenTasks:
    """The ids of the latest tasks, so that a repeated callback is told from a new one."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, task_id: str) -> bool:
        """Note an id; tell whether it was not there."""
        if task_id in self._ids:
            return False
        self._ids[task_id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return True

    def forget(self, task_id: str) -> None:
        """Take an id back, so that the next callback of it is new again."""
        self._ids.pop(task_id, None)


class CallbackReceiver:
    """Answers callbacks 200 at once, drops repeated ones, and hands each task over once.

    Args:
        handler: Gets the finished `Task`; a function (run in a thread) or a coroutine function. It
            runs after the answer. If it raises, that is logged, and the next callback of the task,
            such as one that was asked for by *redeliver*, is handed over again.
        secret: If given, callbacks must bring it as the query parameter ``secret``; put it into the
            callback URL. No signature of callbacks is documented.

    Example: ``app = CallbackReceiver(print)``, then ``uvicorn module:app``.
    """

    def __init__(
        self, handler: Callable[[Task], Awaitable[object] | object], *, secret: str | None = None
    ) -> None:
        self._handler = handler
        self._secret = secret
        self._seen = SeenTasks()
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _answer(send, 405, "expected a POST", (b"allow", b"POST"))
            return
        if not self._trusts(scope):
            await _answer(send, 403, "expected the query parameter `secret`, found another or none")
            return
        body = await _read(receive)
        if body is None:
            await _answer(send, 413, f"expected at most {MAX_BYTES} bytes")
            return
        try:
            task = parse_callback(body)
        except CallbackError as error:
            await _answer(send, 400, str(error))
            return
        await _answer(send, 200, "ok")
        if self._seen.is_new(task.id):
            self._hand_over(task)

    def _trusts(self, scope: Scope) -> bool:
        if self._secret is None:
            return True
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return hmac.compare_digest(query.get("secret", "").encode(), self._secret.encode())

    def _hand_over(self, task: Task) -> None:
        import asyncio

        running = asyncio.create_task(self._run(task))
        # The loop itself holds tasks only weakly.
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, task: Task) -> None:
        import asyncio

        try:
            if inspect.iscoroutinefunction(self._handler):
                await self._handler(task)
            else:
                await asyncio.to_thread(self._handler, task)
        except Exception:  # noqa: BLE001 - the caller has been answered; this is the user's code
            self._seen.forget(task.id)
            _log.exception("the handler failed on the callback of task %s", task.id)

    async def drain(self) -> None:
        """Wait until all that was handed over has been handled."""
        import asyncio

        while self._running:
            await asyncio.gather(*self._running)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain()
        await send({"type": "lifespan.shutdown.complete"})


async def _read(receive: Receive) -> bytes | None:
    """Read the body; None where it is too long, or its sender hung up."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _answer(send: Send, status: int, words: str, *headers: tuple[bytes, bytes]) -> None:
    body = words.encode()
    length = (b"content-length", b"%d" % len(body))
    await send(
        {"type": "http.response.start", "status": status, "headers": [_PLAIN, length, *headers]}
    )
    await send({"type": "http.response.body", "body": body})
