"""`pytest --pyargs apixo_contract.properties`: the client's properties as its user runs them."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.bends import good_run
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Stub, observed, serving
from support.process import environment

from apixo_contract import Run, UsageError, Verdict, judge, observe, settle
from apixo_contract.observations import PropertySeen
from apixo_contract.properties import open_target
from apixo_contract.report.render import (
    render_html,
    render_junit,
    render_markdown,
    render_terminal,
)

pytestmark = pytest.mark.slow


def suite(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "apixo_contract"]
    command += ["--pyargs", "apixo_contract.properties", *arguments]
    env = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # most of the time is theirs
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_emulator_in_this_process_is_the_default(tmp_path: Path) -> None:
    done = suite(tmp_path, "-k", "balance or accepted or callback")
    assert done.returncode == 0, done.stdout
    rows = re.findall(r"^(client\.\S+) +(\d+) examples +(\S+) USD", done.stdout, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["client.balance", "client.callback", "client.accepted"]
    assert all(int(count) > 1 for _, count, _ in rows)
    assert rows[0][2] == "0.00"
    assert float(rows[2][2]) > 0


def test_a_missing_option_is_told_in_words(tmp_path: Path) -> None:
    done = suite(tmp_path, "--apixo-target", "live", "--apixo-key", "k")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Add --apixo-live" in done.stdout + done.stderr


def test_a_target_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    done = suite(tmp_path, "--apixo-target", "http://127.0.0.1:1", "--apixo-key", "k")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "apixo-contract: http://127.0.0.1:1/api/v1 does not answer" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "words"), [({}, "Add --live"), ({"live": True}, "needs --image-url")]
)
def test_a_live_target_must_be_asked_for(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words), open_target("live", api_key="k", **options):
        pass


class Wrong(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        return {**super().shown(task), "createTime": "now"}


def test_a_budget_that_the_other_checks_use_up_pays_for_no_task_of_the_client() -> None:
    options = {"image_url": IMAGE, "failing_image_url": FAILING_IMAGE, "examples": 1}
    with serving() as url:
        report = judge(observe(settle(url, KEY, {**options, "budget_usd": "0.12"})))
    found = {result.id: result for result in report.results}
    assert report.of(Verdict.FAIL) == []
    assert "give a higher --budget-usd" in found["client.pace"].evidence
    assert found["client.view"].verdict is Verdict.PASS
    assert found["client.refusal"].verdict is Verdict.PASS


def test_what_a_property_has_shown_is_reported() -> None:
    shown = (
        PropertySeen("client.view", passed=False, message="what was seen"),
        PropertySeen("client.key"),
    )
    report = judge(replace(good_run(), properties=shown))
    (failed,) = report.of(Verdict.FAIL)
    assert failed.id == "client.view"
    assert failed.summary.endswith("Observed: what was seen")
    for render in (render_html, render_junit, render_markdown, render_terminal):
        assert "what was seen" in render(report)


def why_not(run: Run) -> str:
    return next(found.evidence for found in judge(run).results if found.id == "client.view")


def test_why_the_client_was_not_tried_is_told() -> None:
    assert "give --examples" in why_not(observed(examples=0))
    assert "without a network" in why_not(observed(examples=1))
    with serving(Wrong) as url:
        run = observe(settle(url, KEY, {"image_url": IMAGE, "examples": 1}))
    assert "a target that breaks status.create-time" in why_not(run)
