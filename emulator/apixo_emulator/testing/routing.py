"""Which calls are the API's, which emulator answers them, and which connections are refused.

HTTP libraries are patched for the whole process while any session is open. A call goes to the
session that its thread or task entered last, else to the one that was opened last anywhere, so that
worker threads of an application are served too. Of nested sessions the inner one answers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.problems import found
from apixo_emulator.domain.text import shown
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.testing.clock import VirtualClock
from apixo_schemas import contract

BASE_URL_VARIABLE = "APIXO_BASE_URL"
DOCUMENTATION = "docs/mocks-and-clocks.md"
_DEFAULT_PORTS = {"http": 80, "https": 443}

# A scheme, a host in lower case without brackets, and a port.
Origin = tuple[str, str, int]


class InterceptionError(RuntimeError):
    """A call cannot reach the emulator because of another mock; the message says what to do."""


class NetworkBlockedError(RuntimeError):
    """A call or connection to another host was refused.

    It is no error of an HTTP library, so that no retry and no fallback hides it.
    """


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """An address of the API. ``folder`` is what its paths have before ``/api/v1``, mostly nothing."""

    origin: Origin
    authority: str
    folder: str

    @property
    def url(self) -> str:
        """The address to which the API's paths are appended, as result links carry it."""
        return f"{self.origin[0]}://{self.authority}{self.folder}"

    def request(
        self, method: str, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> HttpRequest:
        """Return a call as the emulator takes it; ``target`` is its path and query as sent."""
        path, _, query = target.partition("#")[0].partition("?")
        path = unquote(path) or "/"
        if self.folder and path.startswith(f"{self.folder}/"):
            path = path[len(self.folder) :]
        named = [(name.lower(), value) for name, value in headers]
        return HttpRequest(method, path, query.encode("latin-1"), named, body, self.url)


def origin_of(scheme: str, host: str, port: int | None) -> Origin:
    """Return an origin in the form in which origins are compared."""
    return scheme, host.lower().strip("[]").rstrip("."), port or _DEFAULT_PORTS.get(scheme, 0)


@lru_cache(64)
def base_url_of(text: str) -> BaseUrl:
    """Return a base URL that was given with or without ``/api/v1``.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    expected = f"expected an absolute URL such as {contract().live_base_url}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:  # of the port, or of an IPv6 address
        raise ValueError(f"{expected}, found {shown(text)}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{expected}, found {shown(text)}")
    folder = parts.path.rstrip("/")
    while folder.endswith(contract().prefix):
        folder = folder.removesuffix(contract().prefix).rstrip("/")
    origin = origin_of(parts.scheme, parts.hostname, port)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = origin[2] == _DEFAULT_PORTS[parts.scheme]
    return BaseUrl(origin, host if usual else f"{host}:{origin[2]}", unquote(folder))


def live() -> BaseUrl:
    """Return the live API's base URL."""
    return base_url_of(contract().live_base_url)


class BaseUrls:
    """The base URLs of one session: the live one, those given, and that of ``APIXO_BASE_URL``.

    The environment is read at each look-up, because a test may set the variable at any time.

    Raises:
        TypeError: A base URL is no text.
        ValueError: It is no absolute http(s) URL.
    """

    def __init__(self, given: Any = (), also: str | None = None) -> None:
        known = [live(), *(base_url_of(_checked(url)) for url in _listed(given))]
        if also is not None:
            known.append(base_url_of(also))
        self._by_origin = {base_url.origin: base_url for base_url in known}

    def find(self, origin: Origin) -> BaseUrl | None:
        """Return the base URL at an origin, None if the origin is not the API's."""
        known = self._by_origin.get(origin)
        if known is not None:
            return known
        text = os.environ.get(BASE_URL_VARIABLE)
        if not text:
            return None
        try:
            base_url = base_url_of(text)
        except ValueError:  # the client that uses the variable reports it
            return None
        return base_url if base_url.origin == origin else None


def _listed(given: Any) -> Sequence[Any]:
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    return tuple(given) if is_list else (given,)


def _checked(url: Any) -> str:
    if isinstance(url, str):
        return url
    expected = f"expected a URL such as {contract().live_base_url}, or a list of them"
    raise TypeError(f"base_url: {expected}; found {found(url)}")


class Answers(Protocol):
    """An emulator as the transports see it."""

    @property
    def clock(self) -> VirtualClock:
        """Its time, for code that sleeps in it."""
        ...

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call."""
        ...

    async def aanswer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call of async code."""
        ...

    def note_caller(self) -> None:
        """Remember that the running thread and task call the API."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Session:
    """An open block or fixture: its emulator, and which calls go there."""

    emulator: Answers
    base_urls: BaseUrls
    block_network: bool = False


class Target(NamedTuple):
    """Where a call is answered."""

    emulator: Answers
    base_url: BaseUrl


# Emulators on a real port in this process; they are called over their sockets.
served: set[Origin] = set()
_sessions: tuple[Session, ...] = ()
_lock = threading.Lock()
_entered: ContextVar[tuple[Session, ...]] = ContextVar("apixo_emulator_sessions", default=())


def add(session: Session) -> None:
    """Open a session."""
    global _sessions  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    with _lock:
        _sessions = (*_sessions, session)
    _entered.set((*_entered.get(), session))


def remove(session: Session) -> None:
    """Close a session; also from another task or thread than the one that opened it."""
    global _sessions  # noqa: PLW0603 - as above
    with _lock:
        _sessions = tuple(other for other in _sessions if other is not session)
    _entered.set(tuple(other for other in _entered.get() if other is not session))


def sessions() -> list[Session]:
    """Return the open sessions in the order in which they are asked."""
    every = _sessions
    own = [session for session in _entered.get() if session in every]
    return [*reversed(own), *(other for other in reversed(every) if other not in own)]


def find(scheme: str, host: str, port: int | None) -> Target | None:
    """Return where a call to an origin is answered, None if it goes to the network.

    Raises:
        NetworkBlockedError: It may not go there: a session blocks the network and the host is not
            this machine, or the live host is called at an origin that is not the API's.
    """
    if not _sessions:
        return None
    origin = origin_of(scheme, host, port)
    if origin in served:
        return None
    asked = sessions()
    for session in asked:
        base_url = session.base_urls.find(origin)
        if base_url is not None:
            return Target(session.emulator, base_url)
    _check_allowed(origin, block_network=any(session.block_network for session in asked))
    return None


def _check_allowed(origin: Origin, *, block_network: bool) -> None:
    scheme, host, port = origin
    refused = f"a call to {scheme}://{host}:{port} was refused: "
    if host == live().origin[1]:
        raise NetworkBlockedError(
            f"{refused}the API is at {live().url}. If yours is there, give it as base_url=… or"
            f" {BASE_URL_VARIABLE}."
        )
    if block_network and not is_loopback_name(host):
        raise NetworkBlockedError(
            f"{refused}block_network=True lets out calls to this machine only. If it is the API's"
            f" address, give it as base_url=… or {BASE_URL_VARIABLE}."
        )


def check_connection(host: object, port: object = None) -> None:
    """Refuse a connection, or the look-up of a name, that would go past the emulator.

    That is any to the live host, which could cost money, and those to the other base URLs.

    Raises:
        NetworkBlockedError: It is one of these.
    """
    asked = _sessions
    if not asked:
        return
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    if not isinstance(name, str):
        return
    name = name.lower().strip("[]").rstrip(".")
    number = int(port) if isinstance(port, int | str) and str(port).isdecimal() else None
    if name == live().origin[1] or any(
        session.base_urls.find((scheme, name, number))
        for session in asked
        for scheme in _DEFAULT_PORTS
        if number is not None and (scheme, name, number) not in served
    ):
        raise NetworkBlockedError(
            f"a connection to {name} was refused, because the emulator answers for this host in this"
            " process and the call went past it. Either the HTTP library is not one that is"
            f" intercepted, or another mock sent the call on. {DOCUMENTATION} says which libraries"
            " and mocks work together and how."
        )
