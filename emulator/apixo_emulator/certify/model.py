"""Verdicts and results of certification, the same for receivers and clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a case ended, from the best to the worst."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"

    @property
    def badness(self) -> int:
        """The place in the order from the best to the worst."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement within a case: what was expected, and what was observed."""

    verdict: Verdict
    expected: str
    observed: str


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
        found = (finding.verdict for finding in self.findings)
        return max(found, key=lambda verdict: verdict.badness, default=Verdict.PASS)

    @property
    def why(self) -> str:
        """The findings that decide the verdict, as sentences; empty if the case passed."""
        if self.verdict is Verdict.PASS:
            return ""
        deciding = [
            f"expected {finding.expected}, observed {finding.observed}"
            for finding in self.findings
            if finding.verdict is self.verdict
        ]
        return "; ".join(dict.fromkeys(deciding))

    def to_json(self) -> dict[str, Any]:
        """Return the case as the JSON report shows it."""
        fields = asdict(self) | {"verdict": self.verdict, "why": self.why}
        fields["duration_s"] = round(self.duration_s, 3)
        if self.verdict is Verdict.PASS:
            fields["advice"] = ""
        return fields


@dataclass(frozen=True, slots=True)
class Certificate:
    """All results of one run, with figures that concern the run as a whole."""

    kind: str
    target: str
    results: Sequence[Result]
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[Verdict]:
        """How many cases have each verdict."""
        return Counter(result.verdict for result in self.results)

    @property
    def failed(self) -> bool:
        """True if at least one case failed."""
        return self.counts[Verdict.FAIL] > 0

    @property
    def troubled(self) -> list[Result]:
        """The cases that failed or got a warning."""
        return [each for each in self.results if each.verdict in {Verdict.FAIL, Verdict.WARN}]

    def to_json(self) -> dict[str, Any]:
        """Return the whole run as the JSON report."""
        return {
            "kind": self.kind,
            "target": self.target,
            "cases": [result.to_json() for result in self.results],
            "summary": {verdict: self.counts[verdict] for verdict in Verdict} | dict(self.figures),
        }


class NothingToJudgeError(Exception):
    """The receiver cannot be reached, or the command or the emulator cannot be started."""
