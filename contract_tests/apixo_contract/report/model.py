"""The report of a run as values: one verdict for each check, with its evidence.

The JSON form is published as `report.schema.json`; `Report.from_json` reads it. The ledger says how
well each rule is known: a live run leaves its evidence in a file, which later runs read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from apixo_contract.files import read_json, write_whole
from apixo_contract.masking import curl_line
from apixo_contract.observations import CallbackSeen, Exchange
from apixo_contract.options import UsageError, is_loopback
from apixo_contract.text import from_json, plural, shortened, to_json
from apixo_schemas import Grade

FORM = 1
_ASSUMPTION = "assumption "
# What an HTTP client adds by itself; it says nothing about the call.
_NOISE = frozenset({"accept-encoding", "connection", "host", "user-agent", "content-length"})


class Verdict(StrEnum):
    """The result of a check."""

    # The target keeps the promise, or breaks it (drift).
    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    # Nothing could be judged; the evidence says why.
    SKIPPED = "skipped"
    # The target contradicts an assumption, or agrees with it. Neither is a failure.
    REFUTED = "refuted"
    CONFIRMED = "confirmed"


class Standing(StrEnum):
    """How well a rule that a run judged is known."""

    # A live run agreed with it, or contradicted it.
    LIVE = "confirmed on live"
    CONTRADICTED = "contradicted on live"
    # No live run has judged it: it rests on its grade.
    DOCUMENTED = "documented"
    PLATFORM = "platform"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class ShownExchange:
    """One call and its answer, without secrets.

    ``status`` is None if no answer came; ``trouble`` says why. ``curl`` repeats the call with the
    key from the shell's ``$APIXO_API_KEY``; it is empty for a callback.
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


def format_exchange(call: Exchange | CallbackSeen) -> ShownExchange:
    """Return a call, or a callback that came in, as a report shows it."""
    headers = {name: value for name, value in call.headers.items() if name.lower() not in _NOISE}
    if isinstance(call, CallbackSeen):
        body = shortened(call.text)
        return ShownExchange(call.method, call.path, headers, body, status=call.answered)
    return ShownExchange(
        method=call.method,
        url=call.url,
        request_headers=headers,
        request_body=None if call.body is None else shortened(call.body),
        status=call.status,
        response_headers=dict(call.answer_headers),
        response_body=shortened(call.text),
        elapsed_ms=max(0, call.received_ms - call.sent_ms),
        curl=curl_line(call.method, call.url, headers, call.body),
        trouble=call.trouble,
    )


@dataclass(frozen=True, slots=True)
class Example:
    """The smallest case that shows a verdict: what was expected beside what was observed."""

    title: str
    expected: str
    observed: str
    exchanges: tuple[ShownExchange, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        source: The title of what the check rests on, as `apixo_schemas.source` takes it.
        statement: What that source states; empty for an assumption, whose title says it.
        evidence: One sentence: what was seen, or why nothing could be judged.
        observed: What the target does, as a JSON value from which `learn` makes the setting of
            a profile; None if there is nothing to learn.
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
    statement: str = ""

    @property
    def assumption_id(self) -> str | None:
        """Return the id of the assumption that this check tests, if it tests one."""
        is_one = self.source.startswith(_ASSUMPTION)
        return self.source.removeprefix(_ASSUMPTION) if is_one else None

    @property
    def summary(self) -> str:
        """Return the evidence with the first example in one line, for readers of test results."""
        if not self.examples or self.verdict is Verdict.REFUTED:
            return self.evidence
        first = self.examples[0]
        return f"{self.evidence} Expected: {first.expected}. Observed: {first.observed}"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """How well one rule is known; the day (YYYY-MM-DD) and target of the live run that judged it."""

    id: str
    standing: Standing
    on: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Beyond:
    """Something that answers held and the contract does not name; it is never a failure.

    ``kind`` is ``field``, ``state``, ``fail code``, ``header`` or ``accepted value``; ``example`` is a
    value of it.
    """

    kind: str
    name: str
    where: str
    count: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found.

    Attributes:
        started: With its time zone.
        spent_usd: What the run has cost at most.
        notes: Why something was not done, by topic, such as ``callbacks``.
        options: What was asked of the run, without secrets.
        measured: What was measured beside the checks, such as ``latency_ms`` by tier.
        remarks: What a reader must know beside the verdicts, such as transient errors.
        beyond: What was seen beyond the contract.
        ledger: The standing of every rule that the run judged.
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
    remarks: tuple[str, ...] = ()
    beyond: tuple[Beyond, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0 if the target keeps the contract, 1 if it drifted."""
        return 1 if self.of(Verdict.FAIL) else 0

    def of(self, *verdicts: Verdict) -> list[CheckResult]:
        """Return the checks with these verdicts, in the order of the report."""
        return [result for result in self.results if result.verdict in verdicts]

    @property
    def counts(self) -> dict[Verdict, int]:
        """Return how many checks have each verdict, 0 among them."""
        found = Counter(result.verdict for result in self.results)
        return {verdict: found[verdict] for verdict in Verdict}

    @property
    def judged(self) -> int:
        """Return how many checks were not skipped."""
        return len(self.results) - self.counts[Verdict.SKIPPED]

    @property
    def headline(self) -> str:
        """Return the outcome as one sentence."""
        failed = self.counts[Verdict.FAIL]
        if failed:
            return f"The target drifted: it breaks {plural(failed, 'promise')} of the contract."
        if not self.judged:
            return "Nothing could be judged: every check was skipped."
        skipped = self.counts[Verdict.SKIPPED]
        rest = f"; {skipped} could not be judged" if skipped else ""
        return f"The target keeps the contract: {self.judged} checks, no promise broken{rest}."

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        value = to_json(self)
        checks, beyond, ledger = value.pop("results"), value.pop("beyond"), value.pop("ledger")
        return {
            "form": FORM,
            **value,
            "duration_s": round(self.duration_s, 3),
            "summary": {
                "keeps_contract": self.exit_code == 0,
                "headline": self.headline,
                "checks": len(checks),
                **self.counts,
            },
            "checks": checks,
            "beyond": beyond,
            # A rule that no live run has judged has neither a day nor a target.
            "ledger": [{k: v for k, v in entry.items() if v is not None} for entry in ledger],
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the report of a published JSON form.

        Raises:
            ValueError: It is no report, or one of another form; the message names the place.
        """
        form = value.get("form") if isinstance(value, dict) else None
        if form != FORM:
            found = "something else" if form is None else f"form {form!r}"
            raise ValueError(f"expected a report of form {FORM}, found {found}")
        error = best_match(Draft202012Validator(report_schema()).iter_errors(value))
        if error is not None:
            raise ValueError(f"this is no report: at {error.json_path}, {error.message[:200]}")
        report: Self = from_json(cls, {**value, "results": value["checks"]})
        return report


@cache
def report_schema() -> Any:
    """Return the JSON Schema of a report."""
    return json.loads((files("apixo_contract") / "report.schema.json").read_text("utf-8"))


def utc(unix_ms: int) -> datetime:
    """Return a Unix time in ms as a `Report` holds it."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


# --- the ledger -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveEvidence:
    """What a live run saw of one rule: whether it held, on which day (YYYY-MM-DD), and where."""

    held: bool
    on: str
    target: str


def is_live(report: Report) -> bool:
    """True if a run is evidence about the live API; one on this machine never is."""
    return report.live and not is_loopback(report.target)


def evidence_of(report: Report) -> dict[str, LiveEvidence]:
    """Return what a live run leaves for later ones, by check id; nothing for any other run."""
    if not is_live(report):
        return {}
    on = report.started.date().isoformat()
    return {
        result.id: LiveEvidence(
            result.verdict in (Verdict.PASS, Verdict.CONFIRMED), on, report.target
        )
        for result in _judged(report)
    }


def with_ledger(report: Report, earlier: Mapping[str, LiveEvidence] | None = None) -> Report:
    """Return the report with its ledger: the evidence of this run, else of earlier live ones."""
    known = {**(earlier or {}), **evidence_of(report)}
    return replace(report, ledger=tuple(_entry(r, known.get(r.id)) for r in _judged(report)))


def _judged(report: Report) -> list[CheckResult]:
    return [result for result in report.results if result.verdict is not Verdict.SKIPPED]


def _entry(result: CheckResult, evidence: LiveEvidence | None) -> LedgerEntry:
    if evidence is None:
        return LedgerEntry(result.id, Standing(result.grade.value))
    standing = Standing.LIVE if evidence.held else Standing.CONTRADICTED
    return LedgerEntry(result.id, standing, evidence.on, evidence.target)


def read_evidence(path: Path) -> dict[str, LiveEvidence]:
    """Return the evidence of earlier live runs; a file that does not exist holds none.

    Raises:
        OSError: The file cannot be read.
        UsageError: It is no such file; the message names it and what to do.
    """
    wanted = f"a ledger of apixo-contract, form {FORM}"
    value: Any = read_json(path, wanted) if path.exists() else {"form": FORM, "rules": {}}
    try:
        if value["form"] == FORM:
            return {name: _evidence(**part) for name, part in value["rules"].items()}
        found = f"form {value['form']!r}"
    except (AttributeError, KeyError, TypeError, ValueError):
        found = "something else, or a damaged one"
    raise UsageError(f"{path}: expected {wanted}, found {found}; name another file")


def _evidence(*, held: bool, on: str, target: str) -> LiveEvidence:
    date.fromisoformat(on)
    if not isinstance(held, bool) or not isinstance(target, str):
        raise TypeError("`held` is true or false, `target` is a text")
    return LiveEvidence(held, on, target)


def write_evidence(path: Path, evidence: Mapping[str, LiveEvidence]) -> None:
    """Write a ledger file, one line for each rule, sorted: it is meant to be committed."""
    lines = [
        f"    {json.dumps(name)}: {json.dumps(to_json(evidence[name]))}"
        for name in sorted(evidence)
    ]
    head = f'{{\n  "form": {FORM},\n  "rules": {{\n'
    write_whole(path, head + ",\n".join(lines) + "\n  }\n}\n")
