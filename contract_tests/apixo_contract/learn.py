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
    found = [
        _lesson(result.assumption_id, result.evidence, _setting(result))
        for result in report.of(Verdict.REFUTED)
        if result.assumption_id
    ]
    return [*found, *_latency(report)]


def _lesson(name: str, evidence: str, setting: Any) -> Lesson:
    evidence, setting = one_line(evidence), replace_lone_surrogates(setting)
    trouble: str | None = "what was observed is no setting of the emulator"
    if setting is not None:
        trouble = setting_fault(name, setting)
    return Lesson(name, evidence, None if trouble else setting, trouble)


def _setting(result: CheckResult) -> Any:
    convert = _CONVERSIONS.get(result.assumption_id or "")
    if result.observed is None or convert is None:
        return result.observed
    return convert(result)


# --- from what a check observed to the form of a setting ----------------------------------------


def _envelopes(result: CheckResult) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    """Yield the shown answers that are JSON objects, each with its status."""
    for example in result.examples:
        for exchange in example.exchanges:
            envelope = json_or_none(exchange.response_body)
            if isinstance(envelope, dict):
                yield exchange.status, envelope


def answer_of(result: CheckResult) -> Mapping[str, Any]:
    """Return status and message of the first shown answer that has them."""
    for status, envelope in _envelopes(result):
        message = envelope.get("message")
        if status is not None and isinstance(message, str) and message:
            return {"status": status, "message": message}
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
    """Return a value with `$message` for the message; TOML has no null, so that is left out."""
    if isinstance(value, dict):
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
    tasks = (envelope.get("data") for _status, envelope in _envelopes(result))
    ids = (task.get("taskId") for task in tasks if isinstance(task, dict))
    return next((id_form(i) for i in ids if isinstance(i, str) and i), result.observed)


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
    measured: Mapping[str, list[int]] = report.measured.get("latency_ms", {})
    by_tier = {tier: times for tier, times in measured.items() if times and min(times) > 0}
    if not is_live(report) or not by_tier:
        return
    usual = by_tier.get(contract().defaults["resolution"]) or max(by_tier.values(), key=len)
    typical = median(usual)
    known = [tier for tier in contract().long_edge_px if tier in by_tier]
    factors = {tier: round(median(by_tier[tier]) / typical, 3) for tier in known}
    setting = {"typical_ms": round(typical), **({"factor": factors} if factors else {})}
    spread = [math.log(ms / median(times)) for times in by_tier.values() for ms in times]
    if len(spread) >= _ENOUGH_FOR_SIGMA:
        setting["sigma"] = round(pstdev(spread), 3)
    counts = ", ".join(f"{len(times)} of {tier}" for tier, times in sorted(by_tier.items()))
    yield _lesson(_LATENCY, f"the durations of live tasks: {counts}", setting)


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
    head, found = _head(report), lessons(report)
    day = head["observed"]
    lines = [
        f"# How {one_line(report.target)} behaved on {day} where the API is not documented.",
        "# Written by `apixo-contract learn`; use it with `apixo-emulator serve --profile FILE`.",
        *(f"{name} = {_toml(value)}" for name, value in head.items()),
        "",
        "[assumptions]",
    ]
    if not found:
        lines.append("# No assumption was refuted: there is nothing to set.")
    for lesson in found:
        lines += ["", *_lesson_lines(lesson, day)]
    return "\n".join([*lines, *_changed_rules(report), ""])


def _lesson_lines(lesson: Lesson, day: str) -> Iterator[str]:
    name = lesson.assumption_id
    assumption = contract().assumptions.get(name)
    if assumption is not None:
        yield f"# {assumption.question} Assumed: {assumption.choice}."
    yield f"# Observed {day}: {lesson.evidence}"
    if lesson.trouble:
        yield f"# {one_line(name)} is left out: {one_line(lesson.trouble)}"
    elif name in _WORDINGS:
        # Texts are easier to read on a line of their own.
        yield from (f"{name}.{_key(key)} = {_toml(text)}" for key, text in lesson.setting.items())
    else:
        yield f"{name} = {_toml(lesson.setting)}"


def _changed_rules(report: Report) -> list[str]:
    """Return the new words of documented rules as comments: following a drift is a decision."""
    rules = {f"submit.rule.{rule.id}": rule for rule in contract().rules}
    lines = ["", "# These documented rules were answered in other words. To follow:", "# [rules]"]
    changed = [
        f"# {_quoted(rules[result.id].id)} = {_quoted(message)}"
        for result in report.of(Verdict.FAIL)
        if result.id in rules and (message := answer_of(result).get("message"))
        if message != rules[result.id].message
    ]
    return [*lines, *changed] if changed else []


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
