"""The ledger of evidence: how well each rule that a run touched is known, and from when.

A live run leaves its sightings behind in a file, if one is named: later runs, also those on the
emulator, then know which rules have been seen on the live API, and on what day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from apixo_contract._json_files import read_json
from apixo_contract._report import CheckResult, LedgerEntry, Report, Standing, Verdict
from apixo_contract._settings import UsageError, is_loopback
from apixo_schemas import Grade

FORM = 1
_BORNE_OUT = (Verdict.PASS, Verdict.CONFIRMED)
_BY_GRADE = {
    Grade.DOCUMENTED: Standing.DOCUMENTED,
    Grade.PLATFORM: Standing.PLATFORM,
    Grade.ASSUMED: Standing.ASSUMED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a live run saw of one rule: whether it held, on which day (YYYY-MM-DD), and where."""

    held: bool
    on: str
    target: str


def is_live(report: Report) -> bool:
    """Whether a run tells about the live API: a server on this machine never does."""
    return report.live and not is_loopback(report.target)


def evidence_of(report: Report) -> dict[str, Evidence]:
    """Give what a live run leaves for later ones, by check id; nothing for any other run."""
    if not is_live(report):
        return {}
    on = report.started.date().isoformat()
    return {
        result.id: Evidence(result.verdict in _BORNE_OUT, on, report.target)
        for result in _touched(report)
    }


def with_ledger(report: Report, earlier: Mapping[str, Evidence] | None = None) -> Report:
    """Give the report with its ledger: the evidence of this run, else of earlier live ones."""
    known = {**(earlier or {}), **evidence_of(report)}
    entries = (_entry(result, known.get(result.id)) for result in _touched(report))
    return replace(report, ledger=tuple(entries))


def _touched(report: Report) -> list[CheckResult]:
    return [result for result in report.results if result.verdict is not Verdict.SKIPPED]


def _entry(result: CheckResult, evidence: Evidence | None) -> LedgerEntry:
    if evidence is None:
        return LedgerEntry(result.id, _BY_GRADE[result.grade])
    standing = Standing.LIVE if evidence.held else Standing.CONTRADICTED
    return LedgerEntry(result.id, standing, evidence.on, evidence.target)


@dataclass(frozen=True, slots=True)
class Share:
    """How many rules have a standing; ``percent`` of all that were touched, rounded."""

    standing: Standing
    count: int
    percent: int
    entries: tuple[LedgerEntry, ...]


def shares(entries: Iterable[LedgerEntry]) -> list[Share]:
    """Give the standings that occur, with their counts and percentages."""
    found = list(entries)
    counts = Counter(entry.standing for entry in found)
    return [
        Share(
            standing,
            counts[standing],
            round(100 * counts[standing] / len(found)),
            tuple(entry for entry in found if entry.standing is standing),
        )
        for standing in Standing
        if counts[standing]
    ]


def read_evidence(path: Path) -> dict[str, Evidence]:
    """Read the evidence of earlier live runs; a file that is not there holds none.

    Raises:
        OSError: The file cannot be read.
        UsageError: It is no such file; the message names it and what to do.
    """
    if not path.exists():
        return {}
    wanted = f"a ledger of apixo-contract, form {FORM}"
    value = read_json(path, wanted)
    if not isinstance(value, dict) or value.get("form") != FORM:
        found = "something else"
    else:
        try:
            return {name: _evidence(part) for name, part in value["rules"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            found = f"a damaged one ({error!r})"
    raise UsageError(f"{path}: expected {wanted}, found {found}; name another file")


def _evidence(value: Mapping[str, Any]) -> Evidence:
    found = Evidence(**value)
    date.fromisoformat(found.on)
    if not isinstance(found.held, bool) or not isinstance(found.target, str):
        raise TypeError("`held` is true or false, `target` is a text")
    return found


def write_evidence(path: Path, evidence: Mapping[str, Evidence]) -> None:
    """Write a ledger file, one line for each rule, sorted: it is meant to be committed."""
    rules = {name: asdict(found) for name, found in sorted(evidence.items())}
    lines = [f"    {json.dumps(name)}: {json.dumps(found)}" for name, found in rules.items()]
    head = f'{{\n  "form": {FORM},\n  "rules": {{\n'
    path.write_text(head + ",\n".join(lines) + "\n  }\n}\n", "utf-8")
