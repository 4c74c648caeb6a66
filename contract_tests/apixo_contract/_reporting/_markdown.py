"""The report as Markdown, for the step summary of GitHub Actions."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from apixo_contract._report import CheckResult, Report, Verdict
from apixo_contract._reporting._words import (
    MEANINGS,
    assumptions,
    facts,
    ledger_line,
    skipped_by_reason,
    source_of,
)
from apixo_contract._visible import one_line, visible

# GitHub refuses a summary beyond 1 MiB.
_MOST_FAILURES = 30
_LONGEST = 2000


def render_markdown(report: Report) -> str:
    """Give the report as Markdown; what came from the target stays text."""
    parts = [_head(report), *_failures(report), *_assumptions(report), *_skipped(report)]
    return "\n\n".join([*parts, f"**Evidence.** {_text(ledger_line(report))}"]) + "\n"


def _text(value: str, limit: int = _LONGEST) -> str:
    """Give a text that Markdown takes as nothing but text, on one line."""
    flat = one_line(value, limit)
    return re.sub(r"[^\w\s,.;]", lambda found: f"&#{ord(found[0])};", flat, flags=re.ASCII)


def _code(value: str, limit: int = _LONGEST) -> str:
    return f"<code>{_text(value, limit)}</code>"


def _block(value: str) -> str:
    text = visible(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    # Blank lines would end a block of HTML.
    return f"<pre>{html.escape(text).replace(chr(10), '&#10;')}</pre>"


def _head(report: Report) -> str:
    mark = "❌" if report.exit_code else "✅"
    counts = "\n".join(
        f"| {verdict.value} | {report.counts[verdict]} | {_text(meaning)} |"
        for verdict, meaning in MEANINGS.items()
    )
    told = " · ".join(f"{name}: {_code(value)}" for name, value in facts(report))
    table = f"| verdict | checks | |\n| --- | ---: | --- |\n{counts}"
    return f"## {mark} apixo-contract: {_text(report.headline)}\n\n{told}\n\n{table}"


def _failures(report: Report) -> Iterator[str]:
    failed = report.of(Verdict.FAIL)
    if failed:
        yield "### Broken promises"
    yield from (_failure(result) for result in failed[:_MOST_FAILURES])
    if len(failed) > _MOST_FAILURES:
        yield f"… and {len(failed) - _MOST_FAILURES} more."


def _failure(result: CheckResult) -> str:
    lines = [f"#### {_code(result.id)} {_text(result.title)}", ""]
    lines += [f"{_text(result.evidence)} ({_text(source_of(result))})", ""]
    for example in result.examples[:1]:
        lines += ["| expected | observed |", "| --- | --- |"]
        lines += [f"| {_code(example.expected)} | {_code(example.observed)} |", ""]
        lines += [_block(shown.curl) for shown in example.exchanges[:1] if shown.curl]
    return "\n".join(lines).rstrip()


def _assumptions(report: Report) -> Iterator[str]:
    refuted = list(assumptions(report, Verdict.REFUTED))
    if refuted:
        rows = "\n".join(
            f"| {_code(row.result.assumption_id or '')} | {_text(row.choice)} | "
            f"{_text(row.result.evidence)} |"
            for row in refuted
        )
        head = "| assumption | assumed | observed |\n| --- | --- | --- |"
        yield f"### Assumptions that turned out otherwise\n\n{head}\n{rows}"
    confirmed = [row.result.assumption_id or "" for row in assumptions(report, Verdict.CONFIRMED)]
    if confirmed:
        yield f"**Confirmed assumptions ({len(confirmed)}):** {', '.join(map(_code, confirmed))}"


def _skipped(report: Report) -> Iterator[str]:
    reasons = skipped_by_reason(report)
    if reasons:
        rows = "\n".join(
            f"- {_text(reason)}: {', '.join(_code(result.id) for result in results)}"
            for reason, results in reasons.items()
        )
        yield f"<details><summary>Skipped</summary>\n\n{rows}\n\n</details>"
