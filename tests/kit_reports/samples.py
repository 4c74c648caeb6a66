"""Reports for the tests of their forms, made by hand."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apixo_contract import CheckResult, Example, Report, Verdict, catalogue
from apixo_contract.report.model import ShownExchange

# What no form may take for more than text.
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}{% x %}"
    "]]>&amp;|*_[a](http://x.invalid) \x1b[31m\x00\x07 \u202e\ud800\ufffe\r\nline two"
)


def exchange(**given: Any) -> ShownExchange:
    members = {
        "method": "POST",
        "url": "https://api.example/api/v1/generateTask/image-upscaler",
        "request_headers": {"authorization": "Bearer $APIXO_API_KEY"},
        "request_body": '{"request_type":"async"}',
        "status": 400,
        "response_headers": {"content-type": "application/json"},
        "response_body": '{"code":400,"message":"No.","data":null}',
        "elapsed_ms": 12,
        "curl": "curl -sS -X POST https://api.example",
    }
    return ShownExchange(**{**members, **given})


def example(**given: Any) -> Example:
    members = {"title": "a body", "expected": "refused: Yes.", "observed": "HTTP 400 No."}
    return Example(**{**members, "exchanges": (exchange(),), **given})


def result(check_id: str, verdict: Verdict, **given: Any) -> CheckResult:
    info = catalogue()[check_id]
    stated = "stated there" if info.can_fail else ""
    members = {"evidence": f"evidence of {check_id}", "calls": 3, "statement": stated}
    return CheckResult(
        info.id, info.title, info.grade, info.source, verdict, **{**members, **given}
    )


def refuted(assumption_id: str, observed: Any, answer: str = "", **given: Any) -> CheckResult:
    """A refuted assumption; ``answer`` is the body of the answer that showed it."""
    shown = example(exchanges=(exchange(response_body=answer, **given),))
    found = {"observed": observed, "examples": (shown,)}
    return result(f"assumption.{assumption_id}", Verdict.REFUTED, **found)


def mixed() -> tuple[CheckResult, ...]:
    """A result of each verdict."""
    return (
        result("envelope.shape", Verdict.PASS),
        result("submit.rule.mode.invalid", Verdict.FAIL, examples=(example(),)),
        result("callback.method", Verdict.SKIPPED, evidence="no address for callbacks"),
        result("callback.json", Verdict.SKIPPED, evidence="no address for callbacks"),
        refuted("retry_after", "date"),
        result("assumption.order", Verdict.CONFIRMED),
    )


def report(results: tuple[CheckResult, ...] | None = None, **given: Any) -> Report:
    members: dict[str, Any] = {
        "target": "https://api.example/api/v1",
        "started": datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        "duration_s": 12.5,
        "seed": 7,
        "live": False,
        "budget_usd": Decimal("0.10"),
        "spent_usd": Decimal("0.09"),
        "calls": 42,
    }
    chosen = mixed() if results is None else results
    return Report(**{**members, "results": chosen, **given})


def hostile_report() -> Report:
    """A report whose every text wants to be more than text."""
    headers = {"x-hostile": HOSTILE}
    shown = exchange(
        method=HOSTILE,
        url=HOSTILE,
        request_headers=headers,
        request_body=HOSTILE,
        response_headers=headers,
        response_body=HOSTILE,
        curl=HOSTILE,
    )
    broken = example(title=HOSTILE, expected=HOSTILE, observed=HOSTILE, exchanges=(shown,))
    verdicts = (Verdict.FAIL, Verdict.REFUTED, Verdict.CONFIRMED, Verdict.SKIPPED, Verdict.PASS)
    ids = ("envelope.shape", "assumption.order", "assumption.retry_after", "callback.json")
    results = tuple(
        result(name, verdict, evidence=HOSTILE, observed=HOSTILE, examples=(broken, broken))
        for name, verdict in zip((*ids, "envelope.code"), verdicts, strict=True)
    )
    return report(results, target=HOSTILE, notes={HOSTILE: HOSTILE}, options={"x": HOSTILE})
