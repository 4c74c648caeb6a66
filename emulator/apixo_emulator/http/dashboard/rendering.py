"""Pages rendered from templates that escape everything, and the files that pages load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.dashboard import formatting
from apixo_emulator.http.dashboard.inbox import INBOX, Inbox
from apixo_emulator.pictures import PictureStore
from apixo_emulator.service import Emulator
from apixo_emulator.service.control import WorldControl
from apixo_schemas import contract

# Nothing inline, nothing from elsewhere: what a task carries cannot run, whatever it holds.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it browsers send `Origin: null`, which the guard must refuse.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
# Of a file that must neither be shown nor run.
SANDBOX = {**HEADERS, "content-security-policy": "default-src 'none'; sandbox"}
NAVIGATION = (
    ("", "Tasks"),
    ("ui/requests", "Requests"),
    ("ui/callbacks", "Callbacks"),
    ("inbox", "Inbox"),
    ("ui/scenarios", "Scenarios"),
    ("ui/clock", "Clock & keys"),
)
_DIGITS = 15
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class PageContext:
    """One call of a page. ``origin`` is the URL under which the client reaches the application."""

    emulator: Emulator
    pictures: PictureStore
    inbox: Inbox
    control: WorldControl
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
        return self.origin + contract().prefix

    @property
    def inbox_url(self) -> str:
        """The address to use as ``callback_url``."""
        return f"{self.origin}{CONTROL_PREFIX}{INBOX}"

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
        if self.control.world.id != ONE_WORLD:
            asked["world"] = self.control.world.id
        text = f"?{urlencode(asked)}" if asked else ""
        return self.prefix + CONTROL_PREFIX + quote(page) + text


class Page(NamedTuple):
    """What a handler shows: a template and what it is filled with."""

    template: str
    context: Mapping[str, Any]
    status: int = 200


class Done(NamedTuple):
    """What a button did, in a sentence; the page that it stands on then looks again."""

    notice: str
    status: int = 200


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("apixo_emulator.http.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {function.__name__: function for function in formatting.FILTERS}
    environment.globals |= {"asset": address_of, "navigation": NAVIGATION}
    return environment


def shown(page: Page, context: PageContext) -> Response:
    """Render a page."""
    clock = context.control.clock()
    common = {
        "context": context,
        "link": context.link,
        "clock": clock,
        "now": clock["now"],
        "worlds": context.control.worlds() if context.emulator.worlds.per_key else [],
    }
    text = _environment().get_template(page.template).render({**common, **page.context})
    return Response(text, page.status, {**HEADERS}, "text/html")


def download(content: str | bytes, name: str) -> Response:
    """Return content as a file to be saved: a browser neither shows nor runs it."""
    headers = {**SANDBOX, "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, 200, headers, "application/octet-stream")


def done(what: Done) -> Response:
    """Tell the page what its button did; it shows the sentence as text."""
    good = what.status < 400  # noqa: PLR2004 - HTTP's line between success and error
    detail = {"text": what.notice, "good": good}
    headers = {**HEADERS, "hx-trigger": json.dumps({"notice": detail})}
    if good:
        return Response(None, 204, headers)
    return Response(what.notice, what.status, headers, "text/plain")


# Scripts, styles, the icon

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "txt": "text/plain"}
_FOREVER = "public, max-age=31536000, immutable"


@cache
def _contents() -> dict[str, bytes]:
    folder = files("apixo_emulator.http.dashboard") / "static"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}


@cache
def _edition() -> str:
    digest = blake2b(digest_size=6)
    for name, content in sorted(_contents().items()):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def address_of(name: str) -> str:
    """Return the address of a file; all of them change together, as scripts import each other."""
    return f"{CONTROL_PREFIX}static/{_edition()}/{name}"


async def asset(request: Request) -> Response:
    """Send a file."""
    name = request.path_params["name"]
    content = _contents().get(name)
    if content is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    headers = {"cache-control": _FOREVER, "x-content-type-options": "nosniff"}
    return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
