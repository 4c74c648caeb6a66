"""The forms of a report: terminal, JSON, HTML, JUnit XML and Markdown, and the files they go to."""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree as ET

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from rich.console import Console
from rich.text import Text

from apixo_contract.report.model import (
    Beyond,
    CheckResult,
    Example,
    LedgerEntry,
    Report,
    ShownExchange,
    Standing,
    Verdict,
)
from apixo_contract.text import escape_invisible, one_line, plural
from apixo_schemas import contract

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


@dataclass(frozen=True, slots=True)
class Assumed:
    """An assumption beside the result of its check."""

    result: CheckResult
    question: str
    choice: str


def assumptions(report: Report, *verdicts: Verdict) -> list[Assumed]:
    """Return the assumptions with these verdicts, in the order of the report."""
    known = contract().assumptions
    rows = []
    for result in report.of(*verdicts):
        found = known.get(result.assumption_id or "")
        if result.assumption_id is not None:
            # A report of another version may know other assumptions.
            question, choice = (found.question, found.choice) if found else (result.title, "")
            rows.append(Assumed(result, question, choice))
    return rows


def skipped_by_reason(report: Report) -> dict[str, list[CheckResult]]:
    """Return the skipped checks by the reason they share, in the order of the report."""
    found: dict[str, list[CheckResult]] = {}
    for result in report.of(Verdict.SKIPPED):
        found.setdefault(result.evidence, []).append(result)
    return found


def source_of(result: CheckResult) -> str:
    """Return a check's grade and source, and what the source states."""
    stated = f": {_plain(result.statement)}" if result.statement else ""
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


@dataclass(frozen=True, slots=True)
class Share:
    """How many rules have a standing; ``percent`` of all that were judged, rounded."""

    standing: Standing
    count: int
    percent: int
    entries: tuple[LedgerEntry, ...]


def shares(entries: Iterable[LedgerEntry]) -> list[Share]:
    """Return the standings that occur, with their counts and percentages."""
    found = list(entries)
    counts = Counter(entry.standing for entry in found)
    return [
        Share(
            standing,
            counts[standing],
            round(100 * counts[standing] / len(found)),
            tuple(entry for entry in found if entry.standing is standing),
        )
        for standing in Standing
        if counts[standing]
    ]


def _ledger_line(report: Report) -> str:
    parts = [f"{s.count} {s.standing.value} ({s.percent} %)" for s in shares(report.ledger)]
    return f"{len(report.ledger)} rules judged: {', '.join(parts)}" if parts else "No rule judged"


# --- terminal ---------------------------------------------------------------------------------

_STYLES = {
    Verdict.FAIL: "bold red",
    Verdict.PASS: "green",
    Verdict.REFUTED: "yellow",
    Verdict.CONFIRMED: "cyan",
    Verdict.SKIPPED: "bright_black",
}
_PLAIN_WIDTH = 100
_NARROWEST = 40


def render_terminal(report: Report, *, color: bool = False, width: int | None = None) -> str:
    """Return the report as lines of text, what is wrong first and the sum at the end.

    Args:
        report: What to show.
        color: Whether the text may hold the terminal's codes.
        width: The terminal's columns. None leaves every line in one piece, for pipes and logs.
    """
    out = io.StringIO()
    console = Console(
        file=out,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        width=width or _PLAIN_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=width is None,
        legacy_windows=False,
    )
    _Terminal(console).show(report)
    return out.getvalue()


class _Terminal:
    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, report: Report) -> None:
        self._line(f"apixo-contract: {report.target}", "bold")
        for result in report.of(Verdict.FAIL):
            self._failure(result)
        self._assumptions(report)
        self._skipped(report)
        self._beyond(report)
        self._line()
        for remark in report.remarks:
            self._line(remark)
        self._line(_ledger_line(report))
        self._line(" · ".join(f"{verdict.value} {n}" for verdict, n in report.counts.items()))
        self._line(cost_line(report))
        style = _STYLES[Verdict.FAIL if report.exit_code else Verdict.PASS]
        self._line(report.headline, style)

    def _line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        pad = " " * indent
        # Continued lines of a text stand under its first one.
        shown = "\n".join(pad + line for line in escape_invisible(text).split("\n"))
        self._console.print(Text(shown, style=style))

    def _titled(self, verdict: Verdict, text: str) -> None:
        self._line()
        head = Text(verdict.value.upper(), style=_STYLES[verdict])
        self._console.print(head + Text(f" {escape_invisible(text)}"))

    def _failure(self, result: CheckResult) -> None:
        self._titled(result.verdict, f"{result.id}: {_plain(result.title)}")
        self._line(source_of(result), "dim", indent=2)
        self._line(result.evidence, indent=2)
        for example in result.examples:
            self._line(f"expected: {_plain(example.expected)}", "green", indent=2)
            self._line(f"observed: {example.observed}", "red", indent=2)
            for exchange in example.exchanges[:1]:
                if exchange.curl:
                    self._line(exchange.curl, indent=2)

    def _assumptions(self, report: Report) -> None:
        for row in assumptions(report, Verdict.REFUTED):
            name = row.result.assumption_id
            self._titled(Verdict.REFUTED, f"{name}: {_plain(row.question)}")
            self._line(f"assumed:  {_plain(row.choice)}", indent=2)
            self._line(f"observed: {row.result.evidence}", "yellow", indent=2)
        confirmed = assumptions(report, Verdict.CONFIRMED)
        if confirmed:
            names = ", ".join(row.result.assumption_id or "" for row in confirmed)
            self._titled(Verdict.CONFIRMED, names)

    def _skipped(self, report: Report) -> None:
        for reason, results in skipped_by_reason(report).items():
            self._titled(Verdict.SKIPPED, reason)
            self._line(", ".join(result.id for result in results), "dim", indent=2)

    def _beyond(self, report: Report) -> None:
        if report.beyond:
            self._line()
            self._line(f"{_BEYOND_TITLE} (no failure):", "bold")
        for found in report.beyond:
            self._line(beyond_line(found), indent=2)


def _plain(text: str) -> str:
    """Return a text of ours without the backticks of its code."""
    return text.replace("`", "")


# --- HTML -------------------------------------------------------------------------------------


def render_html(report: Report) -> str:
    """Return the report as one HTML page; what came from the target stays text."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        report=report,
        Verdict=Verdict,
        meanings=MEANINGS,
        standings=_STANDINGS,
        facts=_facts(report),
        refuted=assumptions(report, Verdict.REFUTED),
        confirmed=assumptions(report, Verdict.CONFIRMED),
        unseen=assumptions(report, Verdict.SKIPPED),
        skipped=skipped_by_reason(report),
        shares=shares(report.ledger),
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("apixo_contract", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every printed value passes here, so that nothing invisible acts on the page.
        finalize=_shown,
    )
    made.filters["pretty"] = _pretty
    made.filters["ticks"] = _ticks
    made.filters["plain"] = _plain
    made.filters["answer"] = _answer
    made.filters["source"] = source_of
    return made


def _shown(value: object) -> object:
    # Markup is made of values that have passed already.
    if isinstance(value, str) and not isinstance(value, Markup):
        return escape_invisible(value)
    return value


def _ticks(text: str) -> Markup:
    """Return a text with what stands between backticks as code."""
    pieces = escape_invisible(text).split("`")
    if len(pieces) % 2 == 0:
        return escape(escape_invisible(text))
    code = Markup("<code>{}</code>")
    return Markup().join(
        code.format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )


def _pretty(text: str | None) -> str:
    """Return JSON indented if that changes nothing else: no repeated key, no rounded number."""
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


# --- JUnit XML --------------------------------------------------------------------------------

_SUITE = "apixo-contract"


def render_junit(report: Report) -> str:
    """Return the report as JUnit XML: a failed check is a failure, a refuted assumption is not."""
    counts = report.counts
    totals = {
        "name": _SUITE,
        "tests": str(len(report.results)),
        "failures": str(counts[Verdict.FAIL]),
        "errors": "0",
        "skipped": str(counts[Verdict.SKIPPED]),
        "time": f"{report.duration_s:.3f}",
    }
    root = ET.Element("testsuites", totals)
    started = report.started.replace(microsecond=0, tzinfo=None).isoformat()
    suite = ET.SubElement(root, "testsuite", {**totals, "timestamp": started})
    properties = ET.SubElement(suite, "properties")
    for name in ("target", "seed", "live", "spent_usd", "calls"):
        value = escape_invisible(str(getattr(report, name)))
        ET.SubElement(properties, "property", {"name": name, "value": value})
    for result in report.results:
        _case(suite, result)
    notes = [*report.remarks, *(f"{_BEYOND_TITLE}: {beyond_line(b)}" for b in report.beyond)]
    if notes:
        ET.SubElement(suite, "system-out").text = escape_invisible("\n".join(notes))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, result: CheckResult) -> None:
    group = result.id.partition(".")[0]
    names = {"classname": f"{_SUITE}.{group}", "name": result.id, "time": "0"}
    case = ET.SubElement(suite, "testcase", names)
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", {"message": escape_invisible(result.summary)})
        failure.set("type", "drift")
        failure.text = escape_invisible(story(result))
    elif result.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", {"message": escape_invisible(result.evidence)})
    else:
        ET.SubElement(case, "system-out").text = escape_invisible(story(result))


def story(result: CheckResult) -> str:
    """Return a result with its examples as lines of text."""
    head = [f"{result.verdict.value}: {result.title}", source_of(result), result.evidence]
    return "\n".join([*head, *(line for example in result.examples for line in _lines(example))])


def _lines(example: Example) -> list[str]:
    told = [f"expected: {example.expected}", f"observed: {example.observed}"]
    shown = []
    for exchange in example.exchanges:
        shown.append(exchange.curl or f"{exchange.method} {exchange.url}")
        shown.append(exchange.trouble or f"HTTP {exchange.status} {exchange.response_body}")
    return ["", example.title, *told, *shown]


# --- Markdown ---------------------------------------------------------------------------------

# GitHub refuses a summary beyond 1 MiB.
_MOST_FAILURES = 30
_LONGEST = 2000


def render_markdown(report: Report) -> str:
    """Return the report as Markdown, for the step summary of GitHub Actions."""
    parts = [_markdown_head(report), *_markdown_failures(report), *_markdown_assumptions(report)]
    parts += _markdown_rest(report)
    return "\n\n".join([*parts, f"**Evidence.** {_text(_ledger_line(report))}"]) + "\n"


def _text(value: str, limit: int = _LONGEST) -> str:
    """Return a text that Markdown takes as nothing but text, on one line."""
    flat = one_line(value, limit)
    return re.sub(r"[^\w\s,.;]", lambda found: f"&#{ord(found[0])};", flat, flags=re.ASCII)


def _code(value: str) -> str:
    return f"<code>{_text(value)}</code>"


def _ours(text: str) -> str:
    """Return a text of ours, what stands between its backticks as code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return _text(text)
    return "".join(_code(p) if place % 2 else _text_piece(p) for place, p in enumerate(pieces))


def _text_piece(piece: str) -> str:
    # `one_line` would remove the spaces beside code.
    head = " " if piece.startswith(" ") else ""
    tail = " " if piece.endswith(" ") and piece.strip() else ""
    return f"{head}{_text(piece)}{tail}"


def _block(value: str) -> str:
    text = escape_invisible(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    # Blank lines would end a block of HTML.
    return f"<pre>{html.escape(text).replace(chr(10), '&#10;')}</pre>"


def _markdown_head(report: Report) -> str:
    mark = "❌" if report.exit_code else "✅"
    counts = "\n".join(
        f"| {verdict.value} | {report.counts[verdict]} | {_text(meaning)} |"
        for verdict, meaning in MEANINGS.items()
    )
    told = " · ".join(f"{name}: {_code(value)}" for name, value in _facts(report))
    table = f"| verdict | checks | |\n| --- | ---: | --- |\n{counts}"
    return f"## {mark} apixo-contract: {_text(report.headline)}\n\n{told}\n\n{table}"


def _markdown_failures(report: Report) -> Iterator[str]:
    failed = report.of(Verdict.FAIL)
    if failed:
        yield "### Broken promises"
    yield from (_markdown_failure(result) for result in failed[:_MOST_FAILURES])
    if len(failed) > _MOST_FAILURES:
        yield f"… and {len(failed) - _MOST_FAILURES} more."


def _markdown_failure(result: CheckResult) -> str:
    lines = [f"#### {_code(result.id)} {_ours(result.title)}", ""]
    lines += [f"{_text(result.evidence)} ({_text(source_of(result))})", ""]
    for example in result.examples[:1]:
        lines += ["| expected | observed |", "| --- | --- |"]
        lines += [f"| {_code(example.expected)} | {_code(example.observed)} |", ""]
        lines += [_block(shown.curl) for shown in example.exchanges[:1] if shown.curl]
    return "\n".join(lines).rstrip()


def _markdown_assumptions(report: Report) -> Iterator[str]:
    refuted = assumptions(report, Verdict.REFUTED)
    if refuted:
        rows = "\n".join(
            f"| {_code(row.result.assumption_id or '')} | {_ours(row.choice)} | "
            f"{_text(row.result.evidence)} |"
            for row in refuted
        )
        head = "| assumption | assumed | observed |\n| --- | --- | --- |"
        yield f"### Refuted assumptions\n\n{head}\n{rows}"
    confirmed = [row.result.assumption_id or "" for row in assumptions(report, Verdict.CONFIRMED)]
    if confirmed:
        yield f"**Confirmed assumptions ({len(confirmed)}):** {', '.join(map(_code, confirmed))}"


def _markdown_rest(report: Report) -> Iterator[str]:
    reasons = skipped_by_reason(report)
    if reasons:
        rows = "\n".join(
            f"- {_text(reason)}: {', '.join(_code(result.id) for result in results)}"
            for reason, results in reasons.items()
        )
        yield f"<details><summary>Skipped</summary>\n\n{rows}\n\n</details>"
    if report.beyond:
        rows = "\n".join(f"- {_text(beyond_line(found))}" for found in report.beyond)
        yield f"<details><summary>{_BEYOND_TITLE}</summary>\n\n{rows}\n\n</details>"
    if report.remarks:
        yield "\n".join(f"- {_text(remark)}" for remark in report.remarks)


# --- files ------------------------------------------------------------------------------------


def write_reports(
    report: Report,
    *,
    json_path: Path | None = None,
    html_path: Path | None = None,
    junit_path: Path | None = None,
) -> None:
    """Write the asked-for files, each at once, so that a reader never sees half of one.

    Raises:
        OSError: A file cannot be written.
    """
    if json_path is not None:
        text = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
        _write(json_path, f"{text}\n")
    if html_path is not None:
        _write(html_path, render_html(report))
    if junit_path is not None:
        _write(junit_path, render_junit(report))


def _write(path: Path, text: str) -> None:
    # Half a surrogate pair, which JSON can name but UTF-8 cannot hold, becomes an escape again.
    content = text.encode("utf-8", "backslashreplace")
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # a pipe or a device
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.replace(path)


def append_step_summary(report: Report, environ: Mapping[str, str] = os.environ) -> bool:
    """Add the report to the step summary; False if GitHub Actions is not running this.

    Raises:
        OSError: The file cannot be written.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as summary:
        summary.write(render_markdown(report))
    return True


def print_report(
    report: Report, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Print the report: with colours on a terminal, unless ``NO_COLOR`` is set; plain elsewhere."""
    out = sys.stdout if stream is None else stream
    terminal = out.isatty()
    width = max(_NARROWEST, shutil.get_terminal_size().columns) if terminal else None
    color = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    text = render_terminal(report, color=color, width=width)
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    out.flush()
