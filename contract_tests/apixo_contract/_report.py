"""What a run found: one verdict for each check, with its evidence, as values.

Judges make `CheckResult`s, the renderers of `_reporting` show a `Report`. Its JSON form is
published as `report.schema.json`; `Report.from_json` reads it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from apixo_schemas import Grade

FORM = 1
_ASSUMPTION = "assumption "


class Verdict(StrEnum):
    """What came of a check."""

    # The target keeps the promise.
    PASS = "pass"  # noqa: S105 - a verdict
    # It breaks it: drift.
    FAIL = "fail"
    # Nothing was seen that tells; the evidence says why.
    SKIPPED = "skipped"
    # An assumption that the target contradicts, or bears out. Neither is a failure.
    REFUTED = "refuted"
    CONFIRMED = "confirmed"


class Standing(StrEnum):
    """How well a rule that a run touched is known."""

    # A live run has borne it out, or contradicted it.
    LIVE = "confirmed on live"
    CONTRADICTED = "contradicted on live"
    # No live run has seen it: it rests on its grade.
    DOCUMENTED = "documented"
    PLATFORM = "platform"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class ShownExchange:
    """One call and its answer, ready to be shown: it holds no secret.

    ``status`` is None where no answer came; ``trouble`` then says why. ``curl`` repeats the call
    with the key taken from the shell's ``$APIXO_API_KEY``; it is empty for a call that came to us.
    """

    method: str
    url: str
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: str | None = None
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: str = ""
    elapsed_ms: int = 0
    curl: str = ""
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A smallest case that shows a verdict: what was expected beside what was observed."""

    title: str
    expected: str
    observed: str
    exchanges: tuple[ShownExchange, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What came of one check.

    Attributes:
        evidence: One sentence: what was seen, or why nothing was.
        observed: What the target does, as a JSON value from which `learn` makes the setting of
            a profile; None where there is nothing to learn.
        calls: How many calls were judged.
    """

    id: str
    title: str
    grade: Grade
    source: str
    verdict: Verdict
    evidence: str
    observed: Any = None
    examples: tuple[Example, ...] = ()
    calls: int = 0

    @property
    def assumption_id(self) -> str | None:
        """Give the id of the assumption that this check puts to the test, if it is one."""
        is_one = self.source.startswith(_ASSUMPTION)
        return self.source.removeprefix(_ASSUMPTION) if is_one else None


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How well one rule is known, and from which live run if from any."""

    id: str
    standing: Standing
    # The day of the live run, as YYYY-MM-DD, and its target.
    on: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found.

    Attributes:
        started: With its time zone.
        spent_usd: What the run has cost at most.
        notes: Why something was not done, by topic, such as ``callbacks``.
        options: What was asked of the run, without secrets.
        measured: What was measured beside the checks, such as ``latency_ms`` by tier.
        ledger: The standing of every rule that the run touched.
    """

    target: str
    started: datetime
    duration_s: float
    seed: int
    live: bool
    budget_usd: Decimal
    spent_usd: Decimal
    results: tuple[CheckResult, ...]
    calls: int = 0
    notes: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    ledger: tuple[LedgerEntry, ...] = ()

    @property
    def exit_code(self) -> int:
        """Give 0 where the target keeps the contract, 1 where it drifted."""
        return 1 if self.of(Verdict.FAIL) else 0

    def of(self, *verdicts: Verdict) -> list[CheckResult]:
        """Give the checks with these verdicts, in the order of the report."""
        return [result for result in self.results if result.verdict in verdicts]

    @property
    def counts(self) -> dict[Verdict, int]:
        """Give how many checks have each verdict, absent ones as 0."""
        found = Counter(result.verdict for result in self.results)
        return {verdict: found[verdict] for verdict in Verdict}

    @property
    def judged(self) -> int:
        """Give how many checks were not skipped."""
        return len(self.results) - self.counts[Verdict.SKIPPED]

    @property
    def headline(self) -> str:
        """Give the outcome as one sentence."""
        failed = self.counts[Verdict.FAIL]
        if failed:
            promises = "1 promise" if failed == 1 else f"{failed} promises"
            return f"The target drifted: {promises} of the contract broken."
        if not self.judged:
            return "Nothing could be judged: every check was skipped."
        skipped = self.counts[Verdict.SKIPPED]
        rest = f"; {skipped} could not be judged" if skipped else ""
        return f"The target keeps the contract: {self.judged} checks, no promise broken{rest}."

    def to_json(self) -> dict[str, Any]:
        """Give the published JSON form."""
        from apixo_contract._report_json import report_to_json

        return report_to_json(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read the published JSON form.

        Raises:
            ValueError: It is no report, or one of another form; the message names the place.
        """
        from apixo_contract._report_json import report_fields

        return cls(**report_fields(value))


def utc(unix_ms: int) -> datetime:
    """Give a Unix time in ms as a `Report` holds it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
