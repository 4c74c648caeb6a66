"""Verdicts and results of certification, the same for receivers and clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    """One judgement within a case; ``advice`` is empty if the case's advice applies."""

    verdict: Verdict
    expected: str
    observed: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one case.

    Attributes:
        case_advice: What to do about findings that have no advice of their own.
        evidence: Requests as curl lines, records of the emulator, output of the command.
    """

    id: str
    title: str
    matters: str
    case_advice: str
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
        found = [f"expected {each.expected}, observed {each.observed}" for each in self._deciding]
        return "; ".join(dict.fromkeys(found))

    @property
    def advice(self) -> str:
        """What to do about the findings that decide the verdict; empty if the case passed."""
        return " ".join(dict.fromkeys(each.advice or self.case_advice for each in self._deciding))

    @property
    def _deciding(self) -> list[Finding]:
        verdict = self.verdict
        return [each for each in self.findings if each.verdict is verdict is not Verdict.PASS]

    def to_json(self) -> dict[str, Any]:
        """Return the case as the JSON report shows it."""
        fields = asdict(self)
        del fields["case_advice"]
        fields |= {"verdict": self.verdict, "why": self.why, "advice": self.advice}
        return fields | {"duration_s": round(self.duration_s, 3)}


Progress = Callable[[Result], None]
"""Is called with each result as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """All results of one run, with figures that concern the run as a whole.

    Attributes:
        note: A sentence on what the whole run could not judge; empty if there is nothing to say.
    """

    kind: str
    target: str
    results: Sequence[Result]
    figures: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def counts(self) -> Counter[Verdict]:
        """How many cases have each verdict."""
        return Counter(result.verdict for result in self.results)

    @property
    def troubled(self) -> list[Result]:
        """The cases that failed or got a warning."""
        return [each for each in self.results if each.verdict in {Verdict.FAIL, Verdict.WARN}]

    def to_json(self) -> dict[str, Any]:
        """Return the whole run as the JSON report."""
        return {
            "kind": self.kind,
            "target": self.target,
            "note": self.note,
            "cases": [result.to_json() for result in self.results],
            "summary": {verdict: self.counts[verdict] for verdict in Verdict} | dict(self.figures),
        }


class NothingToJudgeError(Exception):
    """The receiver cannot be reached, or the command or the emulator cannot be started."""
