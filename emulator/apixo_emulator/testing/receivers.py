"""Receivers of callbacks in process: an ASGI or WSGI app, or a function."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apixo_emulator.service.callbacks import Call, Reply
from apixo_schemas import contract

if TYPE_CHECKING:
    import httpx

_EXCERPT = 1024
_ERROR = 500
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an app answered."""

    status: int
    excerpt: str


class _Kind(StrEnum):
    FUNCTION = "function"
    WSGI = "wsgi"
    ASGI = "asgi"


_BY_PARAMETERS = {0: _Kind.FUNCTION, 1: _Kind.FUNCTION, 2: _Kind.WSGI, 3: _Kind.ASGI}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
# An app, or a function of a `Callback` that returns None or a status, at once or awaited.
App = Callable[..., Any]


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
        self._kind = _kind(self.app) if self.app is not None else _Kind.FUNCTION

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
            answer = self._asked(call)
            if inspect.isawaitable(answer):
                answer = _awaited(answer)
        except Exception as error:  # noqa: BLE001 - as a server does, whatever the app raises
            return _failed(call, error)
        return _reply(answer)

    async def areply(self, call: Call) -> Reply:
        """Do the same; an async app runs in the caller's event loop."""
        try:
            answer = self._asked(call)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(call, error)
        return _reply(answer)

    def _asked(self, call: Call) -> Any:
        callback = Callback(call.url, dict(call.headers), call.body, call.at_ms)
        self.received.append(callback)
        if self.app is None:
            return None
        if self._kind is _Kind.FUNCTION:
            return self.app(callback)
        import httpx

        request = httpx.Request("POST", call.url, headers=call.headers, content=call.body)
        if self._kind is _Kind.ASGI:
            return _asgi(self.app, request)
        answer = httpx.WSGITransport(self.app).handle_request(request)
        return _Answer(answer.status_code, _excerpt(answer.read()))


def _kind(app: App) -> _Kind:
    wrong = (
        f"a receiver: expected an ASGI app, a WSGI app or a function of one callback, found {app!r}"
    )
    try:
        given = inspect.signature(app).parameters.values()
    except TypeError:
        raise ValueError(wrong) from None
    except ValueError:  # written in C, such as a list's append
        return _Kind.FUNCTION
    needed = [
        entry for entry in given if entry.kind in _POSITIONAL and entry.default is entry.empty
    ]
    if len(needed) not in _BY_PARAMETERS:
        raise ValueError(f"{wrong}, which takes {len(needed)} arguments")
    return _BY_PARAMETERS[len(needed)]


async def _asgi(app: App, request: httpx.Request) -> _Answer:
    import httpx

    answer = await httpx.ASGITransport(app).handle_async_request(request)
    return _Answer(answer.status_code, _excerpt(await answer.aread()))


def _excerpt(body: bytes) -> str:
    return body[:_EXCERPT].decode(errors="replace")


def _awaited(answer: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await answer

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    # This thread's loop is busy with the caller; the app needs one that runs.
    with ThreadPoolExecutor(1, thread_name_prefix="receiver") as pool:
        return pool.submit(asyncio.run, wait()).result()


# No time goes by on the emulator's clock while a receiver works: every duration is 0.


def _reply(answer: Any) -> Reply:
    if answer is None:
        return Reply(0, contract().callbacks.success_status)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return Reply(0, answer)
    if isinstance(answer, _Answer):
        return Reply(0, answer.status, answer.excerpt)
    # A mock, or a handler that returns something else: it has taken the callback.
    return Reply(0, contract().callbacks.success_status, repr(answer)[:_EXCERPT])


def _failed(call: Call, error: Exception) -> Reply:
    if isinstance(error, TimeoutError):
        seconds = contract().callbacks.timeout_ms / 1000
        return Reply(0, error=f"{call.url} did not answer within {seconds:g} s")
    _log.error("the receiver of %s raised; that is the answer 500", call.url, exc_info=error)
    return Reply(0, _ERROR, error=f"the receiver raised {type(error).__name__}: {error}")


def not_received(call: Call) -> Reply:
    """Return the outcome of a callback for which there is no receiver; none goes to the network."""
    return Reply(
        0,
        error=f"no receiver for {call.url} in process: register one with"
        f" emulator.receiver({call.url!r}, app)",
    )
