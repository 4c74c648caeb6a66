"""A receiver of callbacks as an ASGI app, for any server or framework that mounts one."""

from __future__ import annotations

import hmac
import inspect
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from apixo_client._callbacks import MAX_BYTES, SeenTasks, parse_callback
from apixo_client._errors import CallbackError
from apixo_client._progress import one_line

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, MutableMapping

    from apixo_client._models import Task

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("apixo_client")
# Tasks that are kept for `tasks` and `next`.
_MOST_KEPT = 1000


class _Answer(NamedTuple):
    status: int
    words: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class CallbackReceiver:
    """Answers callbacks 200 at once, drops repeated ones, and hands each task over once.

    What is refused is told why: 400 for what is no callback, 403 without the secret, 404 for
    another path, 405 for what is no POST, 413 for more than 1 MiB. It remembers the latest 10,000
    callbacks, in this process: after a restart, or beside another worker, a task can come again.

    Args:
        handler: Gets each task; a function (run in a thread) or a coroutine function. It runs
            after the answer. If it raises, that is logged, and the next callback of the task,
            such as one that was asked for by *redeliver*, is handed over again. Without a handler
            take the tasks from `next` or `tasks`.
        path: If given, the only path that is served, such as ``/webhooks/apixo``; below the prefix
            that the receiver is mounted under.
        secret: If given, callbacks must bring it as the query parameter ``secret``; put it into the
            callback URL. No signature of callbacks is documented.

    Raises:
        ValueError: `path` does not begin with a slash, or `secret` is empty.

    Example: ``app = CallbackReceiver(print)``, then ``uvicorn module:app``.
    """

    def __init__(
        self,
        handler: Callable[[Task], Awaitable[object] | object] | None = None,
        *,
        path: str | None = None,
        secret: str | None = None,
    ) -> None:
        if path is not None and not path.startswith("/"):
            raise ValueError(f"a path that begins with / was expected, got {path!r}")
        if secret == "":
            raise ValueError("a secret was expected, got an empty text; None asks for no secret")
        self._handler = handler
        self._path = path
        self._secret = secret
        self._seen = SeenTasks()
        self._tasks: deque[Task] = deque(maxlen=_MOST_KEPT)
        self._unread: deque[Task] = deque(maxlen=_MOST_KEPT)
        self._arrivals: list[asyncio.Event] = []
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    def tasks(self) -> tuple[Task, ...]:
        """Give the tasks that came, without repeated ones, oldest first; the latest 1,000."""
        return tuple(self._tasks)

    async def next(self, *, timeout: float = 5.0) -> Task:  # noqa: ASYNC109 - as in `Apixo`
        """Wait until a task has come that `next` has not given yet, in the receiver's event loop.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        import asyncio

        try:
            async with asyncio.timeout(timeout):
                return await self._arrived()
        except TimeoutError:
            came = f"{len(self._tasks)} came before"
            raise TimeoutError(f"a callback within {timeout:g} s was expected; {came}") from None

    async def _arrived(self) -> Task:
        import asyncio

        while not self._unread:
            # One for each wait: an event belongs to the loop that it was waited for in.
            arrival = asyncio.Event()
            self._arrivals.append(arrival)
            try:
                await arrival.wait()
            finally:
                self._arrivals.remove(arrival)
        return self._unread.popleft()

    async def drain(self) -> None:
        """Wait until all that was handed over has been handled."""
        import asyncio

        while self._running:
            await asyncio.wait(self._running)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await _say(send, refusal)
            return
        body = await _read(receive)
        if body is None:
            return
        try:
            task = parse_callback(body)
        except CallbackError as error:
            await _say(send, _Answer(413 if len(body) > MAX_BYTES else 400, str(error)))
            return
        await _say(send, _Answer(200, "ok"))
        if self._seen.is_new(task):
            self._hand_over(task)

    def _refusal(self, scope: Scope) -> _Answer | None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self._path not in {None, path}:
            return _Answer(404, f"expected the path {self._path}, found another")
        if scope["method"] != "POST":
            return _Answer(405, "expected a POST", ((b"allow", b"POST"),))
        if not self._trusts(scope):
            return _Answer(403, "expected the query parameter `secret`, found another or none")
        return None

    def _trusts(self, scope: Scope) -> bool:
        if self._secret is None:
            return True
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return hmac.compare_digest(query.get("secret", "").encode(), self._secret.encode())

    def _hand_over(self, task: Task) -> None:
        import asyncio

        self._tasks.append(task)
        self._unread.append(task)
        for arrival in self._arrivals:
            arrival.set()
        if self._handler is None:
            return
        running = asyncio.create_task(self._run(self._handler, task))
        # The loop itself holds tasks only weakly.
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, handler: Callable[[Task], object], task: Task) -> None:
        import asyncio

        try:
            if inspect.iscoroutinefunction(handler):
                await handler(task)
                return
            # Objects and lambdas may give something to await too.
            outcome = await asyncio.to_thread(_call, handler, task)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:  # noqa: BLE001 - the caller has been answered; this is the user's code
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
        # A future cannot carry it: who waits for the thread would wait for ever.
        raise RuntimeError("the handler raised StopIteration") from error


async def _read(receive: Receive) -> bytes | None:
    """Read the body, no further than its limit; None where its sender hung up."""
    body = bytearray()
    while len(body) <= MAX_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return bytes(body)


async def _say(send: Send, answer: _Answer) -> None:
    body = answer.words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
