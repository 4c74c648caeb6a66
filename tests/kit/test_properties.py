"""`pytest --pyargs apixo_contract.properties`: the client's properties as its user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.process import environment, running

from apixo_contract.properties import check_client

pytestmark = pytest.mark.slow


def suite(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    command += ["--pyargs", "apixo_contract.properties", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False
    )


def test_the_emulator_in_this_process_is_the_default(tmp_path: Path) -> None:
    done = suite(tmp_path, "-k", "balance or accepted or callback")
    assert done.returncode == 0, done.stdout
    rows = re.findall(r"^(client\.\S+) +(\d+) examples +(\S+) USD", done.stdout, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["client.balance", "client.callback", "client.accepted"]
    assert all(int(count) > 1 for _, count, _ in rows)
    assert rows[0][2] == "0.00"
    assert float(rows[2][2]) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--apixo-target", "live", "--apixo-key", "k"), "Add --apixo-live"),
        (("--apixo-target", "live", "--apixo-key", "k", "--apixo-live"), "--apixo-image-url"),
        (("--apixo-target", "http://127.0.0.1:1"), "No API key"),
    ],
)
def test_a_missing_option_is_told_in_words(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = suite(tmp_path, *arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert words in done.stdout + done.stderr


def test_without_a_budget_no_submit_is_sent(tmp_path: Path) -> None:
    done = suite(tmp_path, "--apixo-budget-usd", "0", "-rs", "-k", "refused_body or accepted")
    assert done.returncode == 0, done.stdout
    assert "give a higher --apixo-budget-usd" in done.stdout
    assert "2 skipped" in done.stdout


def test_a_server_is_judged_by_its_url(tmp_path: Path) -> None:
    with running("--ephemeral", cwd=tmp_path) as server:
        results = check_client(server.base_url, api_key="key", examples=2, budget="0.06")
    verdicts = {result.id: (result.verdict, result.evidence) for result in results}
    assert [name for name, (verdict, _) in verdicts.items() if verdict == "fail"] == [], verdicts
    assert verdicts["client.refusal"][0] == "pass"
    assert verdicts["client.faults"] == (
        "skipped",
        "only the target 'emulator' has what it needs",
    )
    assert verdicts["client.key"] == ("skipped", "the target accepts every key")
    assert sum(result.tasks for result in results) <= 6
