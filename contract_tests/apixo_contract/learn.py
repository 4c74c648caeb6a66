"""From the refuted assumptions of a report to a profile, with which the emulator behaves alike.

The profile is a TOML file in which each setting stands beside its evidence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median, pstdev
from typing import Any

from apixo_contract.report.model import CheckResult, Report, Verdict, is_live
from apixo_contract.text import json_or_none, one_line, replace_lone_surrogates
from apixo_schemas import Profile, contract, read_profile, setting_fault

_ACCEPTED = "accepted"
_LATENCY = "latency.distribution"
# Fewer tasks tell little about how their durations spread.
_ENOUGH_FOR_SIGMA = 5
_WORDINGS = frozenset({"error.wording", "failure.wording"})


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one refuted assumption teaches: a setting, or why it cannot be one."""

    assumption_id: str
    evidence: str
    setting: Any = None
    trouble: str | None = None


def lessons(report: Report) -> list[Lesson]:
    """Return one lesson for each refuted assumption, and one on latency from a live run."""
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
    setting = replace_lone_surrogates(setting)
    trouble = setting_fault(name, setting)
    return Lesson(name, evidence, None if trouble else setting, trouble)


def _setting(result: CheckResult, name: str) -> Any:
    if result.observed is None:
        return None
    convert = _CONVERSIONS.get(name)
    return result.observed if convert is None else convert(result)


# --- from what a check observed to the form of a setting ----------------------------------------


def answer_of(result: CheckResult) -> Mapping[str, Any]:
    """Return status and message of the first shown answer that has them."""
    for example in result.examples:
        for exchange in example.exchanges:
            envelope = json_or_none(exchange.response_body)
            message = envelope.get("message") if isinstance(envelope, dict) else None
            if exchange.status is not None and isinstance(message, str) and message:
                return {"status": exchange.status, "message": message}
    return {}


def _refusal(result: CheckResult) -> Any:
    """Return the setting of a rule on the body: removed, or in other words."""
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
    """Return the form of the id that was shown, if its name does not tell everything."""
    for example in result.examples:
        for exchange in example.exchanges:
            envelope = json_or_none(exchange.response_body)
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
    """Return the form of a task id as a profile writes it, e.g. ``task_{digits:8}``.

    What stands before the last ``-``, ``_``, ``.`` or ``~`` is a fixed prefix.
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
    """Yield the durations of live tasks: their median, and with enough tasks their spread."""
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


# --- the file -----------------------------------------------------------------------------------


def profile_of(report: Report) -> Profile:
    """Return the profile that a report teaches."""
    learnt = {found.assumption_id: found.setting for found in lessons(report) if not found.trouble}
    return read_profile({**_head(report), "assumptions": learnt})


def _head(report: Report) -> dict[str, Any]:
    day = report.started.date().isoformat()
    return {
        "form": 1,
        "name": f"learnt {day}",
        "target": replace_lone_surrogates(report.target),
        "observed": day,
    }


def profile_toml(report: Report) -> str:
    """Return the profile that a report teaches as a TOML file, each setting with its evidence."""
    head = _head(report)
    day = head["observed"]
    lines = [
        f"# How {one_line(report.target)} behaved on {day} where the API is not documented.",
        "# Written by `apixo-contract learn`; use it with `apixo-emulator serve --profile FILE`.",
        *(f"{name} = {_toml(value)}" for name, value in head.items()),
        "",
        "[assumptions]",
    ]
    found = lessons(report)
    if not found:
        lines.append("# No assumption was refuted: there is nothing to set.")
    known = contract().assumptions
    for lesson in found:
        assumption = known.get(lesson.assumption_id)
        lines.append("")
        if assumption is not None:
            lines.append(f"# {assumption.question} Assumed: {assumption.choice}.")
        lines.append(f"# Observed {day}: {lesson.evidence}")
        if lesson.trouble:
            lines.append(
                f"# {one_line(lesson.assumption_id)} is left out: {one_line(lesson.trouble)}"
            )
        else:
            lines += _setting_lines(lesson)
    lines += _changed_rules(report)
    return "\n".join(lines) + "\n"


def _setting_lines(lesson: Lesson) -> list[str]:
    name, setting = lesson.assumption_id, lesson.setting
    if name in _WORDINGS:
        # Texts are easier to read on a line of their own.
        return [f"{name}.{_key(key)} = {_toml(text)}" for key, text in setting.items()]
    return [f"{name} = {_toml(setting)}"]


def _changed_rules(report: Report) -> Iterator[str]:
    """Yield the new words of documented rules as comments: following a drift is a decision."""
    rules = {f"submit.rule.{rule.id}": rule for rule in contract().rules}
    found = [
        (rules[result.id], message)
        for result in report.of(Verdict.FAIL)
        if result.id in rules and (message := answer_of(result).get("message"))
        if message != rules[result.id].message
    ]
    if found:
        yield from (
            "",
            "# These documented rules were answered in other words. To follow:",
            "# [rules]",
        )
    for rule, message in found:
        yield f"# {_quoted(rule.id)} = {_quoted(message)}"


def _toml(value: Any) -> str:
    """Return a value as TOML; a profile holds texts, numbers, truth values, arrays and tables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_toml(part)}" for name, part in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, and for halves of surrogate pairs, which TOML lacks.
    return json.dumps(replace_lone_surrogates(text), ensure_ascii=False).replace("\x7f", "\\u007f")
