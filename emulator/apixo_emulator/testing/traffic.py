"""Whose call it is: every adapter asks here before it lets a call out.

Adapters patch their libraries for the whole process while any block is open. A call goes to the
block that its thread or task has entered last, else to the one that was entered last anywhere, so
that threads of an application are served too. Of nested blocks the inner one answers.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.testing.errors import NetworkBlockedError
from apixo_emulator.testing.sites import Origin, Site, Sites, live_site, origin_of

# Answered by every door and by nobody else, so that an adapter can prove that it is attached.
PROBE_PATH = "/-/apixo-emulator/attached"
PROBE_STATUS = 299


class Emulates(Protocol):
    """Who answers."""

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call."""
        ...

    async def aanswer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call from async code."""
        ...

    def note_caller(self) -> None:
        """Remember who calls."""
        ...

    def is_caller(self) -> bool:
        """Tell whether the running thread or task has called."""
        ...


@dataclass(eq=False, slots=True)
class Line:
    """An open block: where the API is for it, and who answers there."""

    emulator: Emulates
    sites: Sites
    block_network: bool
    patch_sleep: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """Where a call goes instead of the network."""

    line: Line
    site: Site

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call."""
        if request.path == PROBE_PATH:
            return HttpResponse(PROBE_STATUS, b"")
        return self.line.emulator.answer(request)

    async def aanswer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call from async code."""
        if request.path == PROBE_PATH:
            return HttpResponse(PROBE_STATUS, b"")
        return await self.line.emulator.aanswer(request)


_lines: tuple[Line, ...] = ()
_lock = threading.Lock()
_entered: ContextVar[tuple[Line, ...]] = ContextVar("apixo_emulator_lines", default=())


def connect(line: Line) -> None:
    """Open a line."""
    global _lines  # noqa: PLW0603 - replaced as a whole, so that readers need no lock
    with _lock:
        _lines = (*_lines, line)
    _entered.set((*_entered.get(), line))


def disconnect(line: Line) -> None:
    """Close a line; also from another task or thread than the one that opened it."""
    global _lines  # noqa: PLW0603 - as above
    with _lock:
        _lines = tuple(other for other in _lines if other is not line)
    _entered.set(tuple(other for other in _entered.get() if other is not line))


def lines() -> list[Line]:
    """Give the open lines in the order in which they are asked."""
    every = _lines
    own = [line for line in _entered.get() if line in every]
    return [*reversed(own), *(line for line in reversed(every) if line not in own)]


def find(scheme: str, host: str, port: int | None) -> Door | None:
    """Give where a call to an origin goes, None where it is not the API's; see `let_out`."""
    return find_at(origin_of(scheme, host, port))


def find_at(origin: Origin) -> Door | None:
    """Do as `find` does.

    Asked anew for each call: a connection may be kept for longer than a block is open.
    """
    for line in lines():
        site = line.sites.find(origin)
        if site is not None:
            return Door(line, site)
    return None


def let_out(origin: Origin) -> None:
    """Let a call go to the network, unless an open block refuses that.

    Raises:
        NetworkBlockedError: One does, and the host is not this machine; or the host is the API's,
            which is elsewhere there, so that a mistaken address would send a key to the live one.
    """
    scheme, host, port = origin
    if is_loopback_name(host) or not lines():
        return
    found = f"a call to {scheme}://{host}:{port} was refused: "
    live = live_site()
    if host == live.origin[1]:
        raise NetworkBlockedError(
            f"{found}the API is at {live.base_url}. If yours is there, give it as base_url=… or"
            " APIXO_BASE_URL."
        )
    if any(line.block_network for line in lines()):
        raise NetworkBlockedError(
            f"{found}intercept(block_network=True) lets out calls to this machine only. Is it the"
            " API's address? Give it as base_url=… or APIXO_BASE_URL."
        )
