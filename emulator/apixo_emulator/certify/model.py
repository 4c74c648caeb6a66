"""Verdicts and results of certification, the same for receivers and clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a case ended, from the best to the worst."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"


_ORDER = list(Verdict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement within a case: what was expected, and what was observed."""

    verdict: Verdict
    expected: str
    observed: str

    @property
    def why(self) -> str:
        """The finding as one sentence."""
        return f"expected {self.expected}, observed {self.observed}"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one case.

    Attributes:
        evidence: Requests as curl lines, records of the emulator, output of the command.
        duration_s: How long the case took, in seconds.
    """

    id: str
    title: str
    matters: str
    advice: str
    findings: Sequence[Finding]
    evidence: Sequence[str] = ()
    duration_s: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the findings."""
        return worst(finding.verdict for finding in self.findings)

    @property
    def why(self) -> str:
        """The findings that decide the verdict, as sentences; empty if the case passed."""
        if self.verdict is Verdict.PASS:
            return ""
        deciding = [finding.why for finding in self.findings if finding.verdict is self.verdict]
        return "; ".join(dict.fromkeys(deciding))

    def to_json(self) -> dict[str, Any]:
        """Return the case as the JSON report shows it."""
        return {
            "id": self.id,
            "title": self.title,
            "verdict": self.verdict.value,
            "why": self.why,
            "matters": self.matters,
            "advice": "" if self.verdict is Verdict.PASS else self.advice,
            "duration_s": round(self.duration_s, 3),
            "findings": [
                {
                    "verdict": finding.verdict.value,
                    "expected": finding.expected,
                    "observed": finding.observed,
                }
                for finding in self.findings
            ],
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """All results of one run, with figures that concern the run as a whole."""

    kind: str
    target: str
    results: Sequence[Result]
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Verdict]:
        """How many cases have each verdict."""
        return Counter(result.verdict for result in self.results)

    @property
    def failed(self) -> bool:
        """True if at least one case failed."""
        return self.counts[Verdict.FAIL] > 0

    def to_json(self) -> dict[str, Any]:
        """Return the whole run as the JSON report."""
        counts = {verdict.value: self.counts[verdict] for verdict in Verdict}
        return {
            "kind": self.kind,
            "target": self.target,
            "cases": [result.to_json() for result in self.results],
            "summary": {**counts, **self.figures},
        }


class NothingToJudgeError(Exception):
    """The receiver cannot be reached, or the command cannot be started."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts; *skipped* is worse than *pass* and better than *warn*."""
    return max(verdicts, key=_ORDER.index, default=Verdict.PASS)
