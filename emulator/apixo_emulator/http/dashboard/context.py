"""A call of a page, as its handler sees it: whose world it is about, and what was asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.api import root_url
from apixo_emulator.http.dashboard.inbox import Inbox
from apixo_emulator.http.dashboard.thumbnails import Thumbnails
from apixo_emulator.service import Emulator
from apixo_emulator.service.control import NotFoundError, WorldControl

API_PATH = "/api/v1"
_DIGITS = 15
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Shared:
    """What all pages share."""

    emulator: Emulator
    thumbnails: Thumbnails
    inbox: Inbox
    # Set when the server begins to stop: streams end then, so that it need not wait for them.
    stopping: threading.Event


@dataclass(frozen=True, slots=True)
class PageContext:
    """One call of a page. ``origin`` is the URL under which the client reaches the application."""

    shared: Shared
    operator: WorldControl
    origin: str
    here: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The path under which the application is mounted, empty where it is not."""
        return urlsplit(self.origin).path

    @property
    def api(self) -> str:
        """The API's base URL."""
        return f"{self.origin}{API_PATH}"

    @property
    def base_url(self) -> str:
        """The origin of links to results."""
        return self.shared.emulator.options.public_url or self.origin

    @property
    def world(self) -> str:
        """The id of the world that the call is about."""
        return self.operator.world.id

    def number(self, name: str) -> int | None:
        """Read a number of the query, None where there is none.

        Raises:
            ValueError: It is no number, or one that nothing can have.
        """
        text = self.query.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            raise ValueError(f"{name}: expected a whole number, found {text[:_SHOWN]!r}")
        return int(text) if text else None

    def link(self, page: str = "", **query: object) -> str:
        """Return the address of a page in the same world; what is None is left out of the query."""
        asked = {name: str(value) for name, value in query.items() if value not in {None, ""}}
        if self.world != ONE_WORLD:
            asked["world"] = self.world
        return (
            self.prefix + CONTROL_PREFIX + quote(page) + (f"?{urlencode(asked)}" if asked else "")
        )


def context_of(shared: Shared, request: Request, form: Mapping[str, str]) -> PageContext:
    """Read a call.

    Raises:
        NotFoundError: There is no such world.
    """
    query = dict(request.query_params)
    return PageContext(
        shared=shared,
        operator=operator_of(shared.emulator, query.get("world")),
        origin=root_url(request),
        here=request.url.path,
        path=request.path_params,
        query=query,
        form=form,
    )


def operator_of(emulator: Emulator, world: str | None) -> WorldControl:
    """Return the operator of a world by its id; None is the one that is always there.

    Raises:
        NotFoundError: There is no such world.
    """
    worlds = emulator.worlds
    if world in {None, ONE_WORLD}:
        return WorldControl(emulator, worlds.get(ONE_WORLD))
    found = next((entry for entry in worlds.all() if entry.id == world), None)
    if found is None:
        raise NotFoundError(f"no world {world!r}; the page's menu has those that there are")
    return WorldControl(emulator, found)
