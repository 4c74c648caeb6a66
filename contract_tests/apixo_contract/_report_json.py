"""The published JSON form of a report: `report.schema.json` describes it, tests hold it to that."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from apixo_contract._report import (
    FORM,
    CheckResult,
    Example,
    LedgerEntry,
    Report,
    ShownExchange,
    Standing,
    Verdict,
)
from apixo_contract._visible import one_line
from apixo_schemas import Grade

# The fields of a report that its JSON form holds as they are.
_PLAIN = ("target", "seed", "live", "calls", "notes", "options", "measured")


@cache
def report_schema() -> Any:
    """Give the JSON Schema of a report."""
    return json.loads((files("apixo_contract") / "report.schema.json").read_text("utf-8"))


def report_to_json(report: Report) -> dict[str, Any]:
    """Give a report as JSON values, its summary and the ledger's counts with it."""
    plain = {name: _json_value(getattr(report, name)) for name in _PLAIN}
    return {
        "form": FORM,
        "target": plain.pop("target"),
        "started": report.started.isoformat(),
        "duration_s": round(report.duration_s, 3),
        "budget_usd": _number(report.budget_usd),
        "spent_usd": _number(report.spent_usd),
        **plain,
        "summary": _summary(report),
        "checks": [_check(result) for result in report.results],
        "ledger": [_without_none(asdict(entry)) for entry in report.ledger],
    }


def _number(amount: Decimal) -> int | float:
    """Give an amount as a JSON number; amounts are whole millionths, which a double holds."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _json_value(value: Any) -> Any:
    """Give a value as JSON can hold it: answers are read with exact and with odd numbers."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(part) for part in value]
    if isinstance(value, Decimal):
        return _number(value) if value.is_finite() else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _summary(report: Report) -> dict[str, Any]:
    return {
        "keeps_contract": report.exit_code == 0,
        "headline": report.headline,
        "checks": len(report.results),
        **{verdict.value: count for verdict, count in report.counts.items()},
    }


def _check(result: CheckResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "title": result.title,
        "grade": result.grade.value,
        "source": result.source,
        "verdict": result.verdict.value,
        "evidence": result.evidence,
        "observed": _json_value(result.observed),
        "calls": result.calls,
        "examples": [_example(example) for example in result.examples],
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "title": example.title,
        "expected": example.expected,
        "observed": example.observed,
        "exchanges": [asdict(exchange) for exchange in example.exchanges],
    }


def _without_none(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in value.items() if part is not None}


def report_fields(value: Any) -> dict[str, Any]:
    """Read the fields of a `Report` from its JSON form.

    Raises:
        ValueError: It is no report, or one of another form; the message names the place.
    """
    found = value.get("form") if isinstance(value, dict) else None
    if found != FORM:
        raise ValueError(f"expected a report of form {FORM}, found {_kind(value, found)}")
    error = best_match(Draft202012Validator(report_schema()).iter_errors(value))
    if error is not None:
        raise ValueError(f"this is no report: at {error.json_path}, {error.message[:200]}")
    return {
        **{name: value[name] for name in _PLAIN},
        "started": _read_time(value["started"]),
        "duration_s": value["duration_s"],
        "budget_usd": Decimal(str(value["budget_usd"])),
        "spent_usd": Decimal(str(value["spent_usd"])),
        "results": tuple(_read_check(check) for check in value["checks"]),
        "ledger": tuple(_read_entry(entry) for entry in value["ledger"]),
    }


def _kind(value: Any, found: Any) -> str:
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}"
    return "an object without `form`" if found is None else f"form {found!r}"


def _read_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        wanted = "expected a time such as 2026-11-23T08:00:00+00:00"
        raise ValueError(
            f"this is no report: at $.started, {wanted}, found {one_line(text, 80)!r}"
        ) from None


def _read_check(check: Mapping[str, Any]) -> CheckResult:
    return CheckResult(
        id=check["id"],
        title=check["title"],
        grade=Grade(check["grade"]),
        source=check["source"],
        verdict=Verdict(check["verdict"]),
        evidence=check["evidence"],
        observed=check["observed"],
        examples=tuple(_read_example(example) for example in check["examples"]),
        calls=check["calls"],
    )


def _read_example(example: Mapping[str, Any]) -> Example:
    exchanges = tuple(ShownExchange(**exchange) for exchange in example["exchanges"])
    return Example(example["title"], example["expected"], example["observed"], exchanges)


def _read_entry(entry: Mapping[str, Any]) -> LedgerEntry:
    return LedgerEntry(**{**entry, "standing": Standing(entry["standing"])})
