"""The addresses of the API, which emulator answers a call, and which connections are refused.

HTTP libraries are patched for the whole process while any session is open. A call goes to the
session that its thread or task entered last, else to the one that was opened last anywhere, so that
worker threads of an application are served too. Of nested sessions the inner one answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.text import shown
from apixo_emulator.domain.wire import HttpRequest
from apixo_schemas import contract

if TYPE_CHECKING:
    from apixo_emulator.testing.emulator import InProcess

BASE_URL_VARIABLE = "APIXO_BASE_URL"
_DEFAULT_PORTS = {"http": 80, "https": 443}

# A scheme, a host in lower case without brackets, and a port.
Origin = tuple[str, str, int]


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
        """Return a call as the emulator takes it; ``target`` is its path and query, or its URL."""
        if not target.startswith("/"):
            target = f"/{target.partition('://')[2].partition('/')[2]}"
        path, _, query = target.partition("#")[0].partition("?")
        path = unquote(path) or "/"
        if self.folder and path.startswith(f"{self.folder}/"):
            path = path[len(self.folder) :]
        named = [(name.lower(), value) for name, value in headers]
        return HttpRequest(method, path, query.encode("latin-1"), named, body, self.url)


def _origin(scheme: str, host: str, port: int | None) -> Origin:
    """Return an origin in the form in which origins are compared."""
    return scheme, host.lower().strip("[]").rstrip("."), port or _DEFAULT_PORTS.get(scheme, 0)


@lru_cache(64)
def base_url_of(text: str) -> BaseUrl:
    """Return a base URL that was given with or without ``/api/v1``.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    expected = f"expected an absolute URL such as {contract().live_base_url}, found {shown(text)}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:  # of the port, or of an IPv6 address
        raise ValueError(f"{expected}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(expected)
    folder = parts.path.rstrip("/")
    while folder.endswith(contract().prefix):
        folder = folder.removesuffix(contract().prefix).rstrip("/")
    origin = _origin(parts.scheme, parts.hostname, port)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = origin[2] == _DEFAULT_PORTS[parts.scheme]
    return BaseUrl(origin, host if usual else f"{host}:{origin[2]}", unquote(folder))


def live() -> BaseUrl:
    """Return the live API's base URL."""
    return base_url_of(contract().live_base_url)


def of_environment() -> BaseUrl | None:
    """Return the base URL of the variable ``APIXO_BASE_URL``, None if it is not set.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    text = os.environ.get(BASE_URL_VARIABLE)
    return base_url_of(text) if text else None


class InterceptionError(RuntimeError):
    """A call cannot reach the emulator because of another mock; the message says what to do."""


class NetworkBlockedError(RuntimeError):
    """A call or connection to another host was refused.

    It is no error of an HTTP library, so that no retry and no fallback hides it.
    """


class Session:
    """An open block or fixture: its emulator, and the addresses whose calls go there.

    They are the live one, those given, and that of ``APIXO_BASE_URL``. The variable is read at each
    look-up, because a test may set it at any time.
    """

    def __init__(self, emulator: InProcess, base_urls: Iterable[BaseUrl] = ()) -> None:
        self.emulator = emulator
        self._by_origin = {base_url.origin: base_url for base_url in (live(), *base_urls)}

    def base_url(self, origin: Origin) -> BaseUrl | None:
        """Return the base URL at an origin, None if the origin is not the API's."""
        known = self._by_origin.get(origin)
        if known is not None:
            return known
        try:
            base_url = of_environment()
        except ValueError:  # the client that uses the variable reports it
            return None
        return base_url if base_url is not None and base_url.origin == origin else None


class Target(NamedTuple):
    """Where a call is answered."""

    emulator: InProcess
    base_url: BaseUrl


# Origins of emulators on a real port in this process, which are called over their sockets.
served: set[Origin] = set()
_sessions: tuple[Session, ...] = ()
_entered: ContextVar[tuple[Session, ...]] = ContextVar("apixo_emulator_sessions", default=())


def add(session: Session) -> None:
    """Open a session; the caller holds a lock."""
    global _sessions  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    _sessions = (*_sessions, session)
    _entered.set((*_entered.get(), session))


def remove(session: Session) -> None:
    """Close a session, also from another task or thread than the one that opened it."""
    global _sessions  # noqa: PLW0603 - as above
    _sessions = tuple(other for other in _sessions if other is not session)
    _entered.set(tuple(other for other in _entered.get() if other is not session))


def sessions() -> list[Session]:
    """Return the open sessions in the order in which they are asked."""
    every = _sessions
    own = [session for session in _entered.get() if session in every]
    return [*reversed(own), *(other for other in reversed(every) if other not in own)]


def origin_of_url(url: str) -> tuple[str, str, int | None] | None:
    """Return where a whole URL points, as a proxy is asked for one; None for a path."""
    parts = None if url.startswith("/") else urlsplit(url)
    return (parts.scheme, parts.hostname, parts.port) if parts and parts.hostname else None


def is_answered(url: str) -> bool:
    """True if the emulator answers calls to a URL."""
    origin = origin_of_url(url)
    return origin is not None and find(*origin) is not None


def find(scheme: str, host: str, port: int | None) -> Target | None:
    """Return where a call to an origin is answered, None if it goes to the network.

    Raises:
        NetworkBlockedError: It may not go there: a session blocks the network and the host is not
            this machine, or the live host is called at an origin that is not the API's.
    """
    origin = _origin(scheme, host, port)
    asked = sessions() if _sessions and origin not in served else []
    for session in asked:
        base_url = session.base_url(origin)
        if base_url is not None:
            return Target(session.emulator, base_url)
    if asked and origin[1] == live().origin[1]:
        reason = f"the API is at {live().url}. If yours is there, give it as"
    elif not is_loopback_name(origin[1]) and any(
        session.emulator.setup.block_network for session in asked
    ):
        reason = (
            "block_network=True lets out calls to this machine only. If it is the API's address, give"
            " it as"
        )
    else:
        return None
    called = f"{scheme}://{origin[1]}:{origin[2]}"
    raise NetworkBlockedError(
        f"a call to {called} was refused: {reason} base_url=… or {BASE_URL_VARIABLE}."
    )


def check_connection(host: str | bytes | None, port: object = None) -> None:
    """Refuse a connection, or the look-up of a name, that would go past the emulator.

    That is any to the live host, which could cost money, and those to the other base URLs.

    Raises:
        NetworkBlockedError: It is one of these.
    """
    if not _sessions or not isinstance(host, str | bytes):
        return
    name = host.decode("latin-1") if isinstance(host, bytes) else host
    text = port.decode() if isinstance(port, bytes) else str(port)
    number = int(text) if text.isdecimal() else 0
    origins = {_origin(scheme, name, number) for scheme in _DEFAULT_PORTS if number}
    if _origin("https", name, None)[1] == live().origin[1] or any(
        session.base_url(origin) for session in _sessions for origin in origins - served
    ):
        raise NetworkBlockedError(
            f"a connection to {name} was refused, because the emulator answers for this host in this"
            " process and the call went past it. Either the HTTP library is not one that is"
            " intercepted, or another mock sent the call on. docs/mocks-and-clocks.md says which"
            " libraries and mocks work together and how."
        )
