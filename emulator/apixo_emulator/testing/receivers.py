"""Receivers of callbacks in process: an application, or a function, that takes them."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apixo_emulator.service.callbacks import Call, Reply
from apixo_schemas import contract

if TYPE_CHECKING:
    import httpx

# An app, or a function of a `Callback` that returns None or a status, at once or awaited.
App = Callable[..., Any]

# Of a receiver's answer.
_EXCERPT = 1024
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_WSGI, _ASGI = 2, 3  # arguments
_log = logging.getLogger("apixo_emulator")


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback as it was received. ``at_ms`` is the emulator's clock in Unix ms."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int

    def json(self) -> Any:
        """Return the body, parsed: the envelope of a status response.

        Raises:
            ValueError: It is malformed, as a scenario can ask for.
        """
        return json.loads(self.body)

    @property
    def task(self) -> Any:
        """What the envelope carries: ``taskId``, ``state`` and so on.

        Raises:
            ValueError: As `json` does.
        """
        return self.json()["data"]


@dataclass
class Receiver:
    """Takes the callbacks to a URL and to all below it.

    Without an ``app`` the answer is 200. ``received`` keeps every callback, whatever the answer was.
    An exception of the app is logged and counts as the answer 500, as on a server. A function that
    raises `TimeoutError` stands for a receiver that does not answer in time.

    Raises:
        ValueError: The URL is none, or the app is neither ASGI nor WSGI nor a function of one value.
    """

    url: str
    app: App | None = None
    received: list[Callback] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"a receiver's URL: expected http(s)://…, found {self.url!r}")
        self._arguments = 1 if self.app is None else _arguments(self.app)

    def takes(self, url: str) -> bool:
        """True if a callback to this URL is for this receiver."""
        mine, other = urlsplit(self.url), urlsplit(url)
        if (mine.scheme, mine.netloc.lower()) != (other.scheme.lower(), other.netloc.lower()):
            return False
        folder = mine.path.rstrip("/")
        return f"{other.path}/".startswith(f"{folder}/")

    def reply(self, call: Call) -> Reply:
        """Pass a callback to the app and return its answer; an async app gets its own event loop."""
        try:
            answer = self._ask(call)
            return _reply(_awaited(answer) if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - as a server does, whatever the app raises
            return _failed(call, error)

    async def areply(self, call: Call) -> Reply:
        """Do the same; an async app runs in the caller's event loop."""
        try:
            answer = self._ask(call)
            return _reply(await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(call, error)

    def _ask(self, call: Call) -> Any:
        callback = Callback(call.url, dict(call.headers), call.body, call.at_ms)
        self.received.append(callback)
        if self.app is None:
            return None
        if self._arguments < _WSGI:
            return self.app(callback)
        import httpx

        request = httpx.Request("POST", call.url, headers=call.headers, content=call.body)
        if self._arguments == _ASGI:
            return _asgi(self.app, request)
        answer = httpx.WSGITransport(self.app).handle_request(request)
        answer.read()
        return answer


async def _asgi(app: App, request: httpx.Request) -> httpx.Response:
    import httpx

    answer = await httpx.ASGITransport(app).handle_async_request(request)
    await answer.aread()
    return answer


def _arguments(app: App) -> int:
    """Return how many arguments an app needs, which shows what kind of app it is."""
    wrong = (
        f"a receiver: expected an ASGI app, a WSGI app or a function of one callback, found {app!r}"
    )
    try:
        parameters = inspect.signature(app).parameters.values()
    except TypeError:
        raise ValueError(wrong) from None
    except ValueError:  # written in C, such as a list's append
        return 1
    needed = sum(one.kind in _POSITIONAL and one.default is one.empty for one in parameters)
    if needed > _ASGI:
        raise ValueError(f"{wrong}, which takes {needed} arguments")
    return needed


def _awaited(answer: Awaitable[Any]) -> Any:
    """Await in an event loop of its own, on another thread if this one's loop waits for it."""

    async def wait() -> Any:
        return await answer

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1, thread_name_prefix="receiver") as pool:
        return pool.submit(asyncio.run, wait()).result()


def _reply(answer: Any) -> Reply:
    """Return what an app has answered; no time goes by meanwhile on the emulator's clock."""
    if answer is None:
        return Reply(0, contract().callbacks.success_status)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return Reply(0, answer)
    status, content = getattr(answer, "status_code", None), getattr(answer, "content", None)
    if isinstance(status, int) and isinstance(content, bytes):  # a response of some library
        return Reply(0, status, content[:_EXCERPT].decode(errors="replace"))
    # A mock, or a handler that returns something else: it has taken the callback.
    return Reply(0, contract().callbacks.success_status, repr(answer)[:_EXCERPT])


def _failed(call: Call, error: Exception) -> Reply:
    if isinstance(error, TimeoutError):
        seconds = contract().callbacks.timeout_ms / 1000
        return Reply(0, error=f"{call.url} did not answer within {seconds:g} s")
    _log.error("the receiver of %s raised; that is the answer 500", call.url, exc_info=error)
    return Reply(0, 500, error=f"the receiver raised {type(error).__name__}: {error}")
