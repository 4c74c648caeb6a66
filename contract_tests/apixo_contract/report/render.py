"""The forms of a report: terminal, JSON, HTML, JUnit XML and Markdown, and the files they go to.

All but JSON are templates; this module computes what they show.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup, escape

from apixo_contract.options import UsageError
from apixo_contract.report.model import (
    Beyond,
    CheckResult,
    LedgerEntry,
    Report,
    ShownExchange,
    Standing,
    Verdict,
)
from apixo_contract.text import clipped, escape_invisible, one_line, plural
from apixo_schemas import contract

if TYPE_CHECKING:
    from apixo_contract.diff import Comparison

# What each verdict means, for a person who reads a report for the first time.
MEANINGS = {
    Verdict.FAIL: "a promise is broken: the target drifted",
    Verdict.REFUTED: "an assumption does not hold here; no failure",
    Verdict.PASS: "a promise is kept",
    Verdict.CONFIRMED: "an assumption holds here",
    Verdict.SKIPPED: "this run could not judge it; the reason says how to",
}
_STANDINGS = {
    Standing.LIVE: "a live run agreed with it",
    Standing.CONTRADICTED: "a live run contradicted it",
    Standing.DOCUMENTED: "the Image Upscaler page says it",
    Standing.PLATFORM: "another page of the vendor, or a public client, says it",
    Standing.ASSUMED: "it is not documented; this project assumes it",
}
_BEYOND_TITLE = "Seen beyond the contract"


# --- words that all forms share -----------------------------------------------------------------


def _assumptions(report: Report, verdict: Verdict) -> list[dict[str, Any]]:
    """Return the assumptions with a verdict, each with its question, and what was assumed."""
    known = contract().assumptions
    results = [result for result in report.of(verdict) if result.assumption_id is not None]
    # A report of another version may have other assumptions.
    found = [known.get(result.assumption_id or "") for result in results]
    return [
        {"result": r, "question": k.question if k else r.title, "choice": k.choice if k else ""}
        for r, k in zip(results, found, strict=True)
    ]


def source_of(result: CheckResult) -> str:
    """Return a check's grade and source, and what the source states."""
    stated = f": {plain(result.statement)}" if result.statement else ""
    return f"{result.grade.value}, {result.source}{stated}"


def cost_line(report: Report) -> str:
    """Return what a run did and cost as one line."""
    return (
        f"{plural(report.calls, 'call')} in {report.duration_s:.1f} s, cost at most "
        f"{_cost(report)}, seed {report.seed}"
    )


def _cost(report: Report) -> str:
    return f"${report.spent_usd:.2f} of ${report.budget_usd:.2f}"


def _facts(report: Report) -> list[tuple[str, str]]:
    """Return what there is to know about a run beside its checks, as names and values."""
    found = [
        ("target", report.target),
        ("started", report.started.strftime("%Y-%m-%d %H:%M:%S %Z")),
        ("took", f"{report.duration_s:.1f} s"),
        ("calls", str(report.calls)),
        ("cost at most", _cost(report)),
        ("seed", str(report.seed)),
    ]
    for tier, times in sorted(report.measured.get("latency_ms", {}).items()):
        found.append((f"{tier} tasks took", _span(times)))
    return found


def _span(times_ms: Iterable[int]) -> str:
    ordered = sorted(ms / 1000 for ms in times_ms)
    low, high = f"{ordered[0]:.1f}", f"{ordered[-1]:.1f}"
    return f"{low} s" if low == high else f"{low} to {high} s ({len(ordered)} tasks)"


def beyond_line(found: Beyond) -> str:
    """Return one thing seen beyond the contract as a line."""
    example = f", e.g. {found.example}" if found.example else ""
    return f"{found.kind} {found.name}: in {found.where}, {plural(found.count, 'time')}{example}"


def by_standing(report: Report) -> dict[Standing, list[LedgerEntry]]:
    """Return the rules that a run judged by how well they are known, the best known first."""
    found = {
        standing: [e for e in report.ledger if e.standing is standing] for standing in Standing
    }
    return {standing: entries for standing, entries in found.items() if entries}


def _share(entries: list[LedgerEntry], report: Report) -> str:
    return f"{100 * len(entries) / len(report.ledger):.0f} %"


def _ledger_line(report: Report) -> str:
    parts = [
        f"{len(entries)} {standing.value} ({_share(entries, report)})"
        for standing, entries in by_standing(report).items()
    ]
    return (
        f"{len(report.ledger)} rules judged: {', '.join(parts)}" if parts else "No rule was judged."
    )


# --- forms --------------------------------------------------------------------------------------


def render_terminal(report: Report, *, color: bool = False) -> str:
    """Return the report as lines of text, what is wrong first and the outcome at the end.

    Args:
        report: What to show.
        color: Whether the text may hold the terminal's codes.
    """
    return _render("terminal.txt.j2", report, _terminal_text, color=color)


def render_json(report: Report) -> str:
    """Return the report as JSON."""
    return f"{json.dumps(report.to_json(), indent=2, ensure_ascii=False)}\n"


def render_html(report: Report) -> str:
    """Return the report as one HTML page; what came from the target stays text."""
    return _render("report.html.j2", report, escape_invisible)


def render_junit(report: Report) -> str:
    """Return the report as JUnit XML: a failed check is a failure, a refuted assumption is not."""
    return _render("junit.xml.j2", report, escape_invisible)


def render_markdown(report: Report) -> str:
    """Return the report as Markdown, for the step summary of GitHub Actions."""
    return _render("summary.md.j2", report, _markdown_text)


def render_comparison(found: Comparison) -> str:
    """Return what differs between two targets as lines of text."""
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    more = {"beyond": found.beyond, "exit_code": found.exit_code}
    return render_text("diff.txt.j2", _short_line, **values, **more)


def _short_line(text: str) -> str:
    return one_line(text, 500)


def render_text(name: str, shown: Callable[[str], str] = escape_invisible, **values: Any) -> str:
    """Return a text by a template; every value that it prints passes ``shown``, but not Markup."""
    return _environment(shown).get_template(name).render(**values)


def _render(name: str, report: Report, shown: Callable[[str], str], **more: Any) -> str:
    """Return a report by a template; every value that it prints passes ``shown``."""
    return render_text(
        name,
        shown,
        report=report,
        Verdict=Verdict,
        meanings=MEANINGS,
        standings=_STANDINGS,
        beyond_title=_BEYOND_TITLE,
        facts=_facts(report),
        refuted=_assumptions(report, Verdict.REFUTED),
        confirmed=_assumptions(report, Verdict.CONFIRMED),
        unseen=_assumptions(report, Verdict.SKIPPED),
        by_standing=by_standing(report),
        **more,
    )


@cache
def _environment(shown: Callable[[str], str]) -> Environment:
    def finalize(value: object) -> object:
        # Markup is made of values that have passed already.
        return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    made = Environment(
        loader=PackageLoader("apixo_contract", "report/templates"),
        autoescape=select_autoescape(["html.j2", "xml.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    made.filters |= {
        "answer": _answer,
        "beyond": beyond_line,
        "block": _block,
        "code": _markdown_code,
        "cost": cost_line,
        "ledger": _ledger_line,
        "plain": plain,
        "plural": plural,
        "share": _share,
        "source": source_of,
        "story": story,
        "style": _style,
        "ticks": _markdown_ticks if shown is _markdown_text else _html_ticks,
    }
    return made


# --- texts of a terminal ------------------------------------------------------------------------


def _terminal_text(text: str) -> str:
    # Continued lines of a text are indented, so that none looks like a line of the report.
    return escape_invisible(text).replace("\n", "\n  ")


@pass_context
def _style(context: Context, text: str, color: str | None = None, **more: bool) -> str:
    """Return a text in a colour, bold or dim, if the terminal shows that."""
    if not context["color"]:
        return text
    return Markup(click.style(_terminal_text(text), fg=color, **more))  # noqa: S704 - no HTML


def plain(text: str) -> str:
    """Return a text of ours without the backticks of its code."""
    return text.replace("`", "")


def story(result: CheckResult) -> str:
    """Return a result with its examples as lines of text."""
    return render_text("story.txt.j2", str, result=result).rstrip("\n")


# --- texts of HTML and Markdown -----------------------------------------------------------------

_LONGEST = 2000


def _markdown_text(text: str) -> str:
    """Return a text that Markdown takes as nothing but text, on one line."""
    flat = one_line(text, _LONGEST)
    return re.sub(r"[^\w\s,.;]", lambda found: f"&#{ord(found[0])};", flat, flags=re.ASCII)


def _markdown_code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(Markup(_markdown_text(text)))  # noqa: S704 - escaped


def _markdown_ticks(text: str) -> Markup:
    """Return a text as Markdown, what stands between backticks as code."""
    return _ticked(_markdown_text(text).replace("&#96;", "`"))


def _html_ticks(text: str) -> Markup:
    """Return a text as HTML, what stands between backticks as code."""
    return _ticked(escape(escape_invisible(text)))


def _ticked(escaped: str) -> Markup:
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escaped)))  # noqa: S704 - escaped


def _block(text: str) -> Markup:
    """Return a text as a block that Markdown leaves alone: a blank line would end it."""
    shown = clipped(escape_invisible(text), _LONGEST)
    return Markup("<pre>{}</pre>").format(shown).replace("\n", Markup("&#10;"))


def _answer(exchange: ShownExchange) -> str:
    if exchange.status is None:
        return f"no answer: {exchange.trouble or 'the connection was closed'}"
    return f"HTTP {exchange.status}"


# --- files ------------------------------------------------------------------------------------


def append_step_summary(report: Report, environ: Mapping[str, str] = os.environ) -> bool:
    """Add the report to the step summary; False if GitHub Actions is not running this.

    Raises:
        UsageError: The file cannot be written; the message names it and the reason.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(render_markdown(report))
    except OSError as error:
        raise UsageError(f"cannot write {path}, GITHUB_STEP_SUMMARY: {error.strerror}") from None
    return True


def print_report(
    report: Report, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Print the report: with colours on a terminal, unless ``NO_COLOR`` is set; plain elsewhere."""
    out = sys.stdout if stream is None else stream
    color = out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    encoding = getattr(out, "encoding", None) or "utf-8"
    text = render_terminal(report, color=color).encode(encoding, "backslashreplace")
    out.write(text.decode(encoding))
    out.flush()
