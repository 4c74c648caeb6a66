"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from apixo_contract._ledger import shares
from apixo_contract._report import Report, ShownExchange, Standing, Verdict
from apixo_contract._reporting._words import (
    MEANINGS,
    assumptions,
    facts,
    skipped_by_reason,
    source_of,
)
from apixo_contract._visible import visible

_STANDINGS = {
    Standing.LIVE: "a live run has seen it hold",
    Standing.CONTRADICTED: "a live run has seen otherwise",
    Standing.DOCUMENTED: "the page says so",
    Standing.PLATFORM: "another page, or a public client, says so",
    Standing.ASSUMED: "nobody says so",
}


def render_html(report: Report) -> str:
    """Give the report as an HTML page; what came from the target stays text."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        Verdict=Verdict,
        meanings=MEANINGS,
        standings=_STANDINGS,
        facts=facts(report),
        refuted=list(assumptions(report, Verdict.REFUTED)),
        confirmed=list(assumptions(report, Verdict.CONFIRMED)),
        unseen=list(assumptions(report, Verdict.SKIPPED)),
        skipped=skipped_by_reason(report),
        shares=shares(report.ledger),
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("apixo_contract", "_reporting/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every printed value passes here, so that nothing invisible acts on the page.
        finalize=_shown,
    )
    made.filters["pretty"] = _pretty
    made.filters["ticks"] = _ticks
    made.filters["answer"] = _answer
    made.filters["source"] = source_of
    return made


def _shown(value: object) -> object:
    # Markup is made of values that have passed already.
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _ticks(text: str) -> Markup:
    """Give what stands between backticks as code."""
    pieces = visible(text).split("`")
    if len(pieces) % 2 == 0:
        return escape(visible(text))
    code = Markup("<code>{}</code>")
    return Markup().join(
        code.format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )


def _pretty(text: str | None) -> str:
    """Give JSON indented where that changes nothing else: no repeated key, no rounded number."""
    raw = text or ""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    written = (
        json.dumps(value, ensure_ascii=ascii_only, separators=separators)
        for ascii_only in (False, True)
        for separators in ((",", ":"), (", ", ": "))
    )
    same = any(form == raw for form in written)
    return json.dumps(value, indent=2, ensure_ascii=False) if same else raw


def _answer(exchange: ShownExchange) -> str:
    if exchange.status is None:
        return f"no answer: {exchange.trouble or 'the connection was closed'}"
    return f"HTTP {exchange.status}"
