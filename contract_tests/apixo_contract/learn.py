"""From the refuted assumptions of a report to a profile, with which the emulator behaves alike.

The profile is a TOML file in which each setting stands beside its evidence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median, pstdev
from typing import Any

from markupsafe import Markup

from apixo_contract.report.model import Report, Verdict, is_live
from apixo_contract.report.render import render_text
from apixo_contract.text import json_or_none, one_line, replace_lone_surrogates
from apixo_schemas import Profile, contract, read_profile, setting_fault

_LATENCY = "latency.distribution"
# Fewer tasks show little of how durations spread.
_ENOUGH_FOR_SIGMA = 5


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
        _lesson(result.assumption_id, result.evidence, result.observed)
        for result in report.of(Verdict.REFUTED)
        if result.assumption_id
    ]
    return [*found, *_latency(report)]


def _lesson(name: str, evidence: str, setting: Any) -> Lesson:
    setting = replace_lone_surrogates(setting)
    trouble: str | None = "what was observed is no setting of the emulator"
    if setting is not None:
        trouble = setting_fault(name, setting)
    return Lesson(name, evidence, None if trouble else setting, trouble)


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
    return render_text(
        "profile.toml.j2",
        one_line,
        report=report,
        head=_head(report),
        lessons=lessons(report),
        assumptions=contract().assumptions,
        rules=_changed_rules(report),
        toml=lambda value: Markup(_toml(value)),  # noqa: S704 - no HTML
    )


def _changed_rules(report: Report) -> dict[str, str]:
    """Return the new words of documented rules: following a drift is the user's decision."""
    found: dict[str, str] = {}
    for rule in contract().rules:
        for result in report.of(Verdict.FAIL):
            for shown in result.examples[:1] if result.id == f"submit.rule.{rule.id}" else ():
                answer = json_or_none(shown.exchanges[0].response_body) if shown.exchanges else None
                message = answer.get("message") if isinstance(answer, dict) else None
                if isinstance(message, str) and message not in ("", rule.message):
                    found[rule.id] = message
    return found


def _toml(value: Any) -> str:
    """Return a value as TOML, which has no null: such parts are left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, and for halves of surrogate pairs, which TOML lacks.
        text = json.dumps(replace_lone_surrogates(value), ensure_ascii=False)
        return text.replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        known = {name: part for name, part in value.items() if part is not None}
        inner = ", ".join(f"{_key(name)} = {_toml(part)}" for name, part in known.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(part) for part in value if part is not None)}]"
    return str(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)
