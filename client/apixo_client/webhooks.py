"""Callbacks: read their bodies, or take them in an ASGI application.

A callback is the envelope of a status response, sent by POST (platform fact P4). The same callback
can come more than once (platform fact P5).
"""

from __future__ import annotations

import hmac
import inspect
import logging
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from apixo_client.errors import CallbackError
from apixo_client.models import Task, one_line, parse_json, read_task, read_task_id

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("apixo_client")

# Bytes. A callback has a few hundred.
MAX_BYTES = 1024 * 1024
# Callbacks that are remembered, to recognise a repeated one.
_MOST_SEEN = 10_000


def parse_callback(body: bytes | str | Mapping[str, Any]) -> Task:
    """Return the task of a callback, given as raw body or as the JSON object that a framework read.

    Unknown fields, states and fail codes are accepted: a state that is not documented gives a task
    that is not final. No signature is documented, so a body alone proves nothing: put a secret into
    the callback URL, or poll the task before you rely on it.

    Raises:
        CallbackError: It is no callback, or longer than 1 MiB; the message says what was expected
            and found.
    """
    envelope = _parsed(body) if isinstance(body, (bytes, str)) else body
    if not isinstance(envelope, Mapping):
        raise _unlike("a JSON object", envelope)
    data = envelope.get("data")
    if not isinstance(data, Mapping):
        raise _unlike("an object under `data`", data)
    task_id = read_task_id(data)
    if task_id is None:
        raise _unlike("a text under `data.taskId`", data.get("taskId"))
    return read_task(data, Task(task_id))


def _parsed(body: bytes | str) -> Any:
    if len(body) > MAX_BYTES:
        raise CallbackError(f"expected a callback of at most {MAX_BYTES} bytes, found more")
    return parse_json(body)


def _unlike(expected: str, found: Any) -> CallbackError:
    blank = found is None or (isinstance(found, str) and not found.strip())
    kind = "none" if blank else f"a value of type {type(found).__name__}"
    return CallbackError(f"expected {expected}, found {kind}: no callback of this API")


class SeenTasks:
    """The latest callbacks, to distinguish a repeated one from a new one.

    A final task is new once. A task in an undocumented state, which still runs, is new once in each
    state, and no more after its end. Memory does not depend on the length of ids, which come from
    outside.
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def is_new(self, task: Task) -> bool:
        """Record a callback; True if it was not recorded before."""
        key = _key(task)
        if key in self._keys or _key(task, ended=True) in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > _MOST_SEEN:
            self._keys.popitem(last=False)
        return True

    def forget(self, task: Task) -> None:
        """Remove a callback, so that the next one like it is new."""
        self._keys.pop(_key(task), None)


def _key(task: Task, *, ended: bool = False) -> bytes:
    state = None if ended or task.is_final else str(task.state)
    return blake2b(repr((task.id, state)).encode(), digest_size=16).digest()


class CallbackReply(NamedTuple):
    """What a callback is answered with."""

    status: int
    text: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The text in UTF-8."""
        return self.text.encode()

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """All header fields, with type and length of the body."""
        fields = (
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(self.body))),
            *self.headers,
        )
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


NO_SECRET = CallbackReply(403, "expected the query parameter `secret`, found another or none")
TOO_LARGE = CallbackReply(413, f"expected at most {MAX_BYTES} bytes, found more")


def answer(method: str, body: bytes) -> tuple[CallbackReply, Task | None]:
    """Return what a call is answered with, and its task if it is a callback."""
    if method != "POST":
        return CallbackReply(405, "expected a POST", (("allow", "POST"),)), None
    if len(body) > MAX_BYTES:
        return TOO_LARGE, None
    try:
        return CallbackReply(200, "ok"), parse_callback(body)
    except CallbackError as error:
        return CallbackReply(400, str(error)), None


class CallbackReceiver:
    """An ASGI application that answers callbacks 200 at once and hands each task over once.

    The response to a refused call says why: 400 if it is no callback, 403 without the secret, 405 if it is no
    POST, 413 above 1 MiB. The latest 10,000 callbacks are remembered, in this process: after a
    restart, or beside another worker process, a task can come again.

    Args:
        handler: Gets each task, after the answer was sent; a function (run in a thread) or a
            coroutine function. If it raises, that is logged, and the next callback of the task,
            such as one that was asked for by *redeliver*, is handed over again.
        secret: If given, callbacks must bring it as the query parameter ``secret``; put it into the
            callback URL. No signature of callbacks is documented.

    Raises:
        ValueError: `secret` is empty.

    Example: ``app = CallbackReceiver(print)``, then ``uvicorn module:app``.
    """

    def __init__(
        self,
        handler: Callable[[Task], Awaitable[object] | object],
        *,
        secret: str | None = None,
    ) -> None:
        if secret == "":
            raise ValueError("a secret was expected, got an empty text; None asks for no secret")
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

    async def drain(self) -> None:
        """Wait until every task that was handed over has been handled."""
        import asyncio

        while self._running:
            await asyncio.wait(self._running)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST" and not self._trusts(scope):
            await _reply(send, NO_SECRET)
            return
        body = await _read(receive)
        if body is None:
            return
        reply, task = answer(scope["method"], body)
        await _reply(send, reply)
        if task is not None and self._seen.is_new(task):
            self._hand_over(task)

    def _trusts(self, scope: Scope) -> bool:
        if self._secret is None:
            return True
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return hmac.compare_digest(query.get("secret", "").encode(), self._secret.encode())

    def _hand_over(self, task: Task) -> None:
        import asyncio

        running = asyncio.create_task(self._run(task))
        # The event loop holds tasks only weakly.
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, task: Task) -> None:
        import asyncio

        try:
            if inspect.iscoroutinefunction(self._handler):
                await self._handler(task)
                return
            # Objects and lambdas may return an awaitable too.
            outcome = await asyncio.to_thread(_call, self._handler, task)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:  # noqa: BLE001 - the sender has been answered; this is the user's code
            self._seen.forget(task)
            _log.exception("the handler failed on the callback of task %s", one_line(task.id))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.drain()
        await send({"type": "lifespan.shutdown.complete"})


def _call(handler: Callable[[Task], object], task: Task) -> object:
    try:
        return handler(task)
    except StopIteration as error:
        # A future cannot carry it: the wait for the thread would never end.
        raise RuntimeError("the handler raised StopIteration") from error


async def _read(receive: Receive) -> bytes | None:
    """Return the body, cut off after its limit; None if the sender hung up."""
    body = bytearray()
    while len(body) <= MAX_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return bytes(body)


async def _reply(send: Send, reply: CallbackReply) -> None:
    start = {"type": "http.response.start", "status": reply.status, "headers": reply.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": reply.body})
