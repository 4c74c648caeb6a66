"""Pages rendered from templates that escape everything, and the files that pages load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.dashboard import formatting
from apixo_emulator.http.dashboard.context import PageContext

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
NAVIGATION = (
    ("", "Tasks", "t"),
    ("ui/requests", "Requests", "r"),
    ("ui/callbacks", "Callbacks", "c"),
    ("inbox", "Inbox", "i"),
    ("ui/scenarios", "Scenarios", "s"),
    ("ui/clock", "Clock & keys", "k"),
    ("ui/try", "Try it", "y"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """What a handler wants to be shown: a template and what it is filled with."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Done:
    """What a button did, in a sentence; the page that it stands on then looks again.

    ``to`` is where the browser goes instead.
    """

    notice: str
    status: int = 200
    to: str = ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("apixo_emulator.http.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "instant": formatting.instant,
        "time_of_day": formatting.time_of_day,
        "span": formatting.span,
        "size": formatting.size,
        "short": formatting.short,
        "body": formatting.body,
        "is_cut": formatting.is_cut,
        "source": formatting.source,
        "ticks": formatting.ticks,
    }
    environment.globals |= {"asset": address_of, "navigation": NAVIGATION}
    return environment


def shown(page: Page, context: PageContext) -> Response:
    """Render a page."""
    clock = context.operator.clock()
    common = {
        "context": context,
        "link": context.link,
        "clock": clock,
        "now": clock["now"],
        "worlds": context.operator.worlds() if context.shared.emulator.worlds.per_key else [],
    }
    text = _environment().get_template(page.template).render({**common, **page.context})
    return Response(text, page.status, {**HEADERS}, "text/html")


def download(content: str | bytes, name: str) -> Response:
    """Return content as a file to be saved: a browser neither shows nor runs it."""
    headers = {
        **HEADERS,
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": f'attachment; filename="{name}"',
    }
    return Response(content, 200, headers, "application/octet-stream")


def done(what: Done) -> Response:
    """Tell the page what its button did; it shows the sentence as text."""
    good = what.status < 400  # noqa: PLR2004 - HTTP's line between success and error
    detail = {"text": what.notice, "good": good, "to": what.to}
    headers = {**HEADERS, "hx-trigger": json.dumps({"notice": detail})}
    if good:
        return Response(None, 204, headers)
    return Response(what.notice, what.status, headers, "text/plain")


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
    content = _contents().get(request.path_params["name"])
    if content is None:
        return Response("There is no such file.\n", 404, media_type="text/plain")
    kind = _TYPES[request.path_params["name"].rpartition(".")[2]]
    headers = {"cache-control": _FOREVER, "x-content-type-options": "nosniff"}
    return Response(content, headers=headers, media_type=kind)
