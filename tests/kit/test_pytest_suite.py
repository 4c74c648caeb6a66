"""`pytest --pyargs apixo_contract`: one test for each check."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Stub, serving
from support.process import environment

from apixo_contract import catalogue


def suite(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "apixo_contract"]
    command += ["--pyargs", "apixo_contract", *arguments]
    env = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # most of the time is theirs
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


class NeverDone(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        return {**super().shown(task), "completeTime": 0}


@pytest.mark.slow
def test_a_target_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    urls = ("--apixo-image-url", IMAGE, "--apixo-failing-image-url", FAILING_IMAGE)
    with serving() as url:
        done = suite(
            tmp_path, "--apixo-target", url, "--apixo-key", KEY, *urls, "--apixo-examples", "0"
        )
    assert done.returncode == 0, done.stdout
    assert f"collected {len(catalogue())} items" in done.stdout
    assert "REFUTED assumption error.wording" in done.stdout


@pytest.mark.slow
def test_a_broken_promise_is_a_failed_test_with_its_example(tmp_path: Path) -> None:
    with serving(NeverDone) as url:
        done = suite(
            tmp_path, "--apixo-target", url, "--apixo-key", KEY, "--apixo-examples", "0", "-q"
        )
    assert done.returncode == 1
    assert "FAILED test_contract.py::test_contract[status.running-fields]" in done.stdout
    assert "$APIXO_API_KEY" in done.stdout
    assert KEY not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--apixo-target", "http://127.0.0.1:1", "-n", "2"), "leave out -n"),
        (
            ("--apixo-target", "http://127.0.0.1:1", "--apixo-key", "k", "--apixo-max-wait", "nan"),
            "apixo-contract: --apixo-max-wait: expected seconds from 0 to 86400, found 'nan'",
        ),
    ],
)
def test_a_missing_option_is_told_in_words(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = suite(tmp_path, *arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
