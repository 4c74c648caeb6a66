"""The ledger of evidence: live runs leave what they saw, others build on it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit_reports.samples import report, result

from apixo_contract import Verdict
from apixo_contract.report.model import (
    LedgerEntry,
    LiveEvidence,
    Standing,
    evidence_of,
    read_evidence,
    with_ledger,
    write_evidence,
)
from apixo_contract.report.render import render_terminal

LIVE = "https://api.apixo.ai/api/v1"
DAY = datetime(2026, 1, 2, 3, tzinfo=UTC)


def test_rules_of_a_local_run_stand_by_their_grade() -> None:
    found = with_ledger(report())
    assert found.ledger == (
        LedgerEntry("envelope.shape", Standing.PLATFORM),
        LedgerEntry("submit.rule.mode.invalid", Standing.DOCUMENTED),
        LedgerEntry("assumption.retry_after", Standing.ASSUMED),
        LedgerEntry("assumption.order", Standing.ASSUMED),
    )


def test_a_live_run_bears_out_or_contradicts() -> None:
    earlier = {"envelope.shape": LiveEvidence(held=False, on="2020-01-01", target=LIVE)}
    found = with_ledger(report(live=True, target=LIVE, started=DAY), earlier)
    by_id = {entry.id: entry for entry in found.ledger}
    assert by_id["envelope.shape"] == LedgerEntry(
        "envelope.shape", Standing.LIVE, "2026-01-02", LIVE
    )
    assert by_id["assumption.order"].standing is Standing.LIVE
    assert by_id["assumption.retry_after"].standing is Standing.CONTRADICTED
    assert by_id["submit.rule.mode.invalid"].standing is Standing.CONTRADICTED
    assert "callback.method" not in by_id


def test_a_later_local_run_knows_what_live_has_shown(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    write_evidence(path, evidence_of(report(live=True, target=LIVE, started=DAY)))
    found = with_ledger(report((result("envelope.shape", Verdict.PASS),)), read_evidence(path))
    assert found.ledger == (LedgerEntry("envelope.shape", Standing.LIVE, "2026-01-02", LIVE),)


def test_the_standings_are_counts_and_percentages_of_what_was_judged() -> None:
    words = "4 rules judged: 1 documented (25 %), 1 platform (25 %), 2 assumed (50 %)"
    assert words in render_terminal(with_ledger(report()))


def test_a_ledger_file_survives_and_is_sorted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    evidence = evidence_of(report(live=True, target=LIVE, started=DAY))
    write_evidence(path, dict(reversed(evidence.items())))
    assert read_evidence(path) == evidence
    assert read_evidence(tmp_path / "none.json") == {}
    names = [line.split('"')[1] for line in path.read_text("utf-8").splitlines() if "held" in line]
    assert names == sorted(evidence)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found no JSON"),
        ("[" * 100_000, "found no JSON"),
        ('{"form": NaN}', r"found no JSON \(NaN is no number in JSON\)"),
        ('{"form": 9}', "found form 9"),
        ("[]", "found something else"),
        ('{"form": 1}', "found something else"),
        ('{"form": 1, "rules": {"a": {"held": true}}}', "or a damaged one"),
        ('{"form": 1, "rules": {"a": {"held": "no", "on": "2026-11-23", "target": ""}}}', ""),
        ('{"form": 1, "rules": {"a": {"held": true, "on": "soon", "target": ""}}}', ""),
    ],
)
def test_a_foreign_ledger_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=f"ledger.json: expected a ledger .*{words}.*name another"):
        read_evidence(path)
