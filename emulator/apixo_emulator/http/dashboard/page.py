"""Rendering pages: templates that escape all they are given, and headers that keep pages in bounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from apixo_emulator.http.dashboard import words
from apixo_emulator.http.dashboard.assets import address_of
from apixo_emulator.http.dashboard.visit import Visit

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
        "instant": words.instant,
        "time_of_day": words.time_of_day,
        "span": words.span,
        "size": words.size,
        "short": words.short,
        "body": words.body,
        "source": words.source,
        "ticks": words.ticks,
    }
    environment.globals |= {"asset": address_of, "navigation": NAVIGATION}
    return environment


def shown(page: Page, visit: Visit) -> Response:
    """Render a page."""
    clock = visit.operator.clock()
    common = {
        "visit": visit,
        "link": visit.link,
        "clock": clock,
        "now": clock["now"],
        "worlds": visit.operator.worlds() if visit.desk.emulator.worlds.per_key else [],
    }
    text = _environment().get_template(page.template).render({**common, **page.context})
    return Response(text, page.status, {**HEADERS}, "text/html")


def done(what: Done) -> Response:
    """Tell the page what its button did; it shows the sentence as text."""
    good = what.status < 400  # noqa: PLR2004 - HTTP's line between success and error
    detail = {"text": what.notice, "good": good, "to": what.to}
    headers = {**HEADERS, "hx-trigger": json.dumps({"notice": detail})}
    if good:
        return Response(None, 204, headers)
    return Response(what.notice, what.status, headers, "text/plain")
