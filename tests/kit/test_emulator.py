"""The emulator keeps the contract, by the kit's own judgement, and so does the client on it."""

from pathlib import Path

import pytest
from support.process import running

from apixo_contract import Verdict, judge, observe, settle
from apixo_contract.cassette import read_cassette, write_cassette
from apixo_contract.properties import all_properties

pytestmark = pytest.mark.slow

FAULTS = (
    *("faults", "passing-faults", "refused-faults", "retry-after", "time-limit"),
    "uncertain-submit",
)
FAILING = "https://example.com/emulate/SensitiveContent.jpg"


def test_emulator_and_client_keep_the_contract(
    tmp_path: Path,
) -> None:
    with running("--ephemeral", "--rate", "100", "--latency", "realistic", cwd=tmp_path) as server:
        given = {"failing_image_url": FAILING, "examples": 1, "seed": 3}
        run = observe(settle(server.base_url, "key", given))
    report = judge(run)
    assert report.of(Verdict.FAIL, Verdict.REFUTED) == []
    assert report.counts[Verdict.PASS] >= 60
    assert report.spent_usd <= report.budget_usd
    skipped = {found.id for found in report.of(Verdict.SKIPPED)}
    assert not skipped & {"callback.delivered", "status.failed-fields"}
    faults = {f"client.{name}" for name in FAULTS}
    assert skipped & {found.id for found in all_properties()} == {"client.key", *faults}
    write_cassette(tmp_path / "run.jsonl", run)
    assert judge(read_cassette(tmp_path / "run.jsonl")).results == report.results
