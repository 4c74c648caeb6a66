"""From the refuted assumptions of a report to a profile, with which the emulator behaves so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median, pstdev
from typing import Any

from apixo_contract._ledger import is_live
from apixo_contract._reading import parsed
from apixo_contract._report import CheckResult, Report, Verdict
from apixo_contract._visible import one_line, whole
from apixo_schemas import contract, setting_fault

_ACCEPTED = "accepted"
_LATENCY = "latency.distribution"
# Fewer tasks tell little about how their durations spread.
_ENOUGH_FOR_SIGMA = 5


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one refuted assumption teaches: a setting, or why it cannot be one."""

    assumption_id: str
    evidence: str
    setting: Any = None
    trouble: str | None = None


def lessons(report: Report) -> list[Lesson]:
    """Give one lesson for each refuted assumption, and one on latency from a live run."""
    found = [_lesson(result) for result in report.of(Verdict.REFUTED) if result.assumption_id]
    return [*found, *_latency(report)]


def _lesson(result: CheckResult) -> Lesson:
    name = result.assumption_id or ""
    evidence = one_line(result.evidence)
    setting = _setting(result, name)
    if setting is None:
        return Lesson(name, evidence, trouble="what was observed is no setting of the emulator")
    return _checked(name, evidence, setting)


def _checked(name: str, evidence: str, setting: Any) -> Lesson:
    setting = whole(setting)
    trouble = setting_fault(name, setting)
    return Lesson(name, evidence, None if trouble else setting, trouble)


def _setting(result: CheckResult, name: str) -> Any:
    if result.observed is None:
        return None
    convert = _CONVERSIONS.get(name)
    return result.observed if convert is None else convert(result)


# --- from what a judge observed to the form of a setting -----------------------------------


def answer_of(result: CheckResult) -> Mapping[str, Any]:
    """Give the first shown answer, as status and message where it has them."""
    for example in result.examples:
        for exchange in example.exchanges:
            envelope = _json(exchange.response_body)
            message = envelope.get("message") if isinstance(envelope, dict) else None
            if exchange.status is not None and isinstance(message, str) and message:
                return {"status": exchange.status, "message": message}
    return {}


def _json(text: str) -> Any:
    try:
        return parsed(text)
    except (ValueError, RecursionError):
        return None


def _refusal(result: CheckResult) -> Any:
    """A rule on the body: taken away, or in other words."""
    if result.observed == _ACCEPTED or isinstance(result.observed, Mapping):
        return result.observed
    return {"message": result.observed}


def _refused_in_words(result: CheckResult) -> Any:
    message = answer_of(result).get("message")
    return {"message": message} if message else None


def _refused_with_status(result: CheckResult) -> Any:
    return None if result.observed == _ACCEPTED else answer_of(result) or None


def _format_case(result: CheckResult) -> Any:
    return "insensitive" if result.observed == _ACCEPTED else None


def _not_a_url(result: CheckResult) -> Any:
    observed = result.observed
    known = isinstance(observed, str) and observed in contract().failures
    return observed if known else _refused_in_words(result)


def _error_data(result: CheckResult) -> Any:
    return _with_message(result.observed)


def _with_message(value: Any) -> Any:
    if isinstance(value, dict):
        # TOML has no null: a member that is null is left out.
        return {key: _with_message(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_with_message(part) for part in value if part is not None]
    return "$message" if value in ("{message}", "$message") else value


def _other_key(result: CheckResult) -> Any:
    if result.observed == 200:  # noqa: PLR2004 - HTTP
        return "shown"
    return answer_of(result) or result.observed


def _retry_delays(result: CheckResult) -> Any:
    if not isinstance(result.observed, int):
        return result.observed
    first, _second, *later = contract().callbacks.retry_delays_ms
    return [first, result.observed, *later]


def _cost_time(result: CheckResult) -> Any:
    share = result.observed
    return {"share": share} if isinstance(share, int | float) else share


def _id_form(result: CheckResult) -> Any:
    """The form of the id that was shown, where a name for it does not say it all."""
    for example in result.examples:
        for exchange in example.exchanges:
            envelope = _json(exchange.response_body)
            data = envelope.get("data") if isinstance(envelope, dict) else None
            found = data.get("taskId") if isinstance(data, dict) else None
            if isinstance(found, str) and found:
                return id_form(found)
    return result.observed


_FORMS = (
    ("uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)),
    ("hex32", re.compile(r"[0-9a-f]{32}")),
)
_PARTS = (
    ("digits", re.compile(r"[0-9]+")),
    ("hex", re.compile(r"[0-9a-f]+")),
    ("alnum", re.compile(r"[0-9a-z]+")),
)


def id_form(task_id: str) -> str:
    """Give the form of a task id as a profile writes it, e.g. ``task_{digits:8}``.

    What stands before the last ``-``, ``_``, ``.`` or ``~`` is taken for a fixed prefix.
    """
    for name, pattern in _FORMS:
        if pattern.fullmatch(task_id):
            return name
    place = max(task_id.rfind(mark) for mark in "-_.~") + 1
    prefix, rest = task_id[:place], task_id[place:]
    kind = next((name for name, part in _PARTS if part.fullmatch(rest.lower())), "alnum")
    return f"{prefix}{{{kind}:{len(rest)}}}"


_CONVERSIONS: dict[str, Callable[[CheckResult], Any]] = {
    "request_type.missing": _refused_in_words,
    "request_type.unknown": _refusal,
    "callback_url.missing": _refusal,
    "callback_url.type": _refusal,
    "callback_url.not_https": _refused_in_words,
    "callback.retry_delays": _retry_delays,
    "input.not_object": _refusal,
    "body.not_object": _refusal,
    "body.not_json": _refused_with_status,
    "body.content_type": _refused_with_status,
    "parameters.unknown": _refused_in_words,
    "output_format.case": _format_case,
    "image_url.not_a_url": _not_a_url,
    "error.data": _error_data,
    "task.other_key": _other_key,
    "cost_time": _cost_time,
    "task_id.form": _id_form,
}


def _latency(report: Report) -> Iterator[Lesson]:
    """Durations of live tasks: where they lie, and with enough of them how far they spread."""
    by_tier: Mapping[str, list[int]] = report.measured.get("latency_ms", {})
    by_tier = {tier: times for tier, times in by_tier.items() if times and min(times) > 0}
    if not is_live(report) or not by_tier:
        return
    base_tier = contract().defaults["resolution"]
    typical = median(by_tier.get(base_tier) or max(by_tier.values(), key=len))
    setting: dict[str, Any] = {"typical_ms": round(typical)}
    known = contract().long_edge_px
    factors = {tier: round(median(by_tier[tier]) / typical, 3) for tier in known if tier in by_tier}
    if factors:
        setting["factor"] = factors
    spread = [math.log(ms / median(times)) for times in by_tier.values() for ms in times]
    if len(spread) >= _ENOUGH_FOR_SIGMA:
        setting["sigma"] = round(pstdev(spread), 3)
    counts = ", ".join(f"{len(times)} of {tier}" for tier, times in sorted(by_tier.items()))
    yield _checked(_LATENCY, one_line(f"the durations of live tasks: {counts}"), setting)
