"""The report for a terminal: what is wrong first, the sum at the end, where the eye is."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from apixo_contract._report import CheckResult, Example, Report, Verdict
from apixo_contract._reporting._words import (
    assumptions,
    cost_line,
    ledger_line,
    skipped_by_reason,
    source_of,
)
from apixo_contract._visible import visible

_STYLES = {
    Verdict.FAIL: "bold red",
    Verdict.PASS: "green",
    Verdict.REFUTED: "yellow",
    Verdict.CONFIRMED: "cyan",
    Verdict.SKIPPED: "bright_black",
}
_PLAIN_WIDTH = 100


def render_terminal(report: Report, *, color: bool = False, width: int | None = None) -> str:
    """Give the report as lines of text.

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
    _Page(console).show(report)
    return out.getvalue()


class _Page:
    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, report: Report) -> None:
        self._line(f"apixo-contract: {report.target}", "bold")
        for result in report.of(Verdict.FAIL):
            self._failure(result)
        self._assumptions(report)
        self._skipped(report)
        self._line()
        self._line(ledger_line(report))
        counts = " · ".join(f"{verdict.value} {n}" for verdict, n in report.counts.items())
        self._line(counts)
        self._line(cost_line(report))
        style = _STYLES[Verdict.FAIL if report.exit_code else Verdict.PASS]
        self._line(report.headline, style)

    def _line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        pad = " " * indent
        # Continued lines of a text stand under its first one.
        shown = "\n".join(pad + line for line in visible(text).split("\n"))
        self._console.print(Text(shown, style=style))

    def _titled(self, verdict: Verdict, text: str) -> None:
        head = Text(verdict.value.upper(), style=_STYLES[verdict])
        self._console.print(head + Text(f" {visible(text)}"))

    def _failure(self, result: CheckResult) -> None:
        self._line()
        self._titled(result.verdict, f"{result.id}: {result.title}")
        self._line(source_of(result), "dim", indent=2)
        self._line(result.evidence, indent=2)
        for example in result.examples:
            self._example(example)

    def _example(self, example: Example) -> None:
        self._line(f"expected: {example.expected}", "green", indent=2)
        self._line(f"observed: {example.observed}", "red", indent=2)
        for exchange in example.exchanges[:1]:
            if exchange.curl:
                self._line(exchange.curl, indent=2)

    def _assumptions(self, report: Report) -> None:
        for row in assumptions(report, Verdict.REFUTED):
            self._line()
            self._titled(Verdict.REFUTED, f"{row.result.assumption_id}: {row.question}")
            self._line(f"assumed:  {row.choice}", indent=2)
            self._line(f"observed: {row.result.evidence}", "yellow", indent=2)
        confirmed = [
            row.result.assumption_id or "" for row in assumptions(report, Verdict.CONFIRMED)
        ]
        if confirmed:
            self._line()
            self._titled(Verdict.CONFIRMED, ", ".join(confirmed))

    def _skipped(self, report: Report) -> None:
        for reason, results in skipped_by_reason(report).items():
            self._line()
            self._titled(Verdict.SKIPPED, reason)
            self._line(", ".join(result.id for result in results), "dim", indent=2)
