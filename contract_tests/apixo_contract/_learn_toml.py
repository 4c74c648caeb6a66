"""The profile that a report teaches, as a TOML file with its evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from apixo_contract._learn import Lesson, answer_of, lessons
from apixo_contract._report import Report, Verdict
from apixo_contract._visible import one_line, whole
from apixo_schemas import Profile, contract, read_profile

_WORDINGS = frozenset({"error.wording", "failure.wording"})


def profile_of(report: Report) -> Profile:
    """Give the profile that a report teaches."""
    learnt = {found.assumption_id: found.setting for found in lessons(report) if not found.trouble}
    return read_profile({**_head(report), "assumptions": learnt})


def _head(report: Report) -> dict[str, Any]:
    day = report.started.date().isoformat()
    return {"form": 1, "name": f"learnt {day}", "target": whole(report.target), "observed": day}


def profile_toml(report: Report) -> str:
    """Give the profile that a report teaches as a TOML file, each setting with its evidence."""
    head = _head(report)
    day = head["observed"]
    lines = [
        f"# How {one_line(report.target)} behaved on {day}, where nobody has documented it.",
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
        # Texts read better on a line of their own.
        return [f"{name}.{_key(key)} = {_toml(text)}" for key, text in setting.items()]
    return [f"{name} = {_toml(setting)}"]


def _changed_rules(report: Report) -> Iterator[str]:
    """Give the new words of documented rules, commented out: following a drift is a decision."""
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
    """Give a value as TOML; a profile holds texts, numbers, truth values, arrays and tables."""
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
    return json.dumps(whole(text), ensure_ascii=False).replace("\x7f", "\\u007f")
