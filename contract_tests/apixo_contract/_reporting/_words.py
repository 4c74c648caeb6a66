"""What all forms of a report say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apixo_contract._ledger import shares
from apixo_contract._report import CheckResult, Report, Verdict
from apixo_schemas import contract

# What each verdict means, for a person who reads a report for the first time.
MEANINGS = {
    Verdict.FAIL: "a promise is broken: the target drifted",
    Verdict.REFUTED: "an assumption turned out otherwise; no failure",
    Verdict.PASS: "a promise is kept",
    Verdict.CONFIRMED: "an assumption turned out right",
    Verdict.SKIPPED: "nothing was seen that tells",
}


@dataclass(frozen=True, slots=True)
class Assumed:
    """An assumption beside what it turned out to be."""

    result: CheckResult
    question: str
    choice: str


def assumptions(report: Report, *verdicts: Verdict) -> Iterator[Assumed]:
    """Give the assumptions with these verdicts, in the order of the report."""
    known = contract().assumptions
    for result in report.of(*verdicts):
        name = result.assumption_id
        if name is None:
            continue
        found = known.get(name)
        # A report of another version may know other assumptions.
        question, choice = (found.question, found.choice) if found else (result.title, "")
        yield Assumed(result, question, choice)


def skipped_by_reason(report: Report) -> dict[str, list[CheckResult]]:
    """Give the skipped checks by the reason they share, in the order of the report."""
    found: dict[str, list[CheckResult]] = {}
    for result in report.of(Verdict.SKIPPED):
        found.setdefault(result.evidence, []).append(result)
    return found


def source_of(result: CheckResult) -> str:
    """Give a check's grade and source, said once where the source is an assumption."""
    said = result.assumption_id or result.source.startswith(result.grade.value)
    return result.source if said else f"{result.grade.value}: {result.source}"


def cost_of(report: Report) -> str:
    """Give what a run cost, of what it might have."""
    return f"${report.spent_usd:.2f} of ${report.budget_usd:.2f}"


def cost_line(report: Report) -> str:
    """Give what a run did and cost as one line."""
    return (
        f"{report.calls} calls in {report.duration_s:.1f} s, cost at most {cost_of(report)}, "
        f"seed {report.seed}"
    )


def facts(report: Report) -> list[tuple[str, str]]:
    """Give what there is to know about a run beside its checks, as names and values."""
    found = [
        ("target", report.target),
        ("started", report.started.strftime("%Y-%m-%d %H:%M:%S %Z")),
        ("took", f"{report.duration_s:.1f} s"),
        ("calls", str(report.calls)),
        ("cost at most", cost_of(report)),
        ("seed", str(report.seed)),
    ]
    for tier, times in sorted(report.measured.get("latency_ms", {}).items()):
        found.append((f"{tier} tasks took", _span(times)))
    return found


def _span(times_ms: Iterable[int]) -> str:
    ordered = sorted(ms / 1000 for ms in times_ms)
    low, high = f"{ordered[0]:.1f}", f"{ordered[-1]:.1f}"
    return f"{low} s" if low == high else f"{low} to {high} s ({len(ordered)} tasks)"


def ledger_line(report: Report) -> str:
    """Give the ledger's counts as one sentence."""
    parts = [f"{s.count} {s.standing.value} ({s.percent} %)" for s in shares(report.ledger)]
    return f"{len(report.ledger)} rules touched: {', '.join(parts)}" if parts else "no rule touched"
