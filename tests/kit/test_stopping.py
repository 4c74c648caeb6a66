"""A run that is stopped: its exit code is no verdict, and what it has spent is told."""

import os
import re
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Clock, Stub, serving, settings
from support.process import environment

from apixo_contract import Run, Verdict, judge, observe
from apixo_contract.cassette import read_cassette
from apixo_contract.cli import main

pytestmark = pytest.mark.slow

QUICK = ("--examples", "0", "--image-url", IMAGE, "--failing-image-url", FAILING_IMAGE)
# What is on its way when the signal comes may have cost something, too.
COST = r"\d+ calls in \d+\.\d s, cost at most \$0\.(0[5-9]|1[0-4]) of \$0\.40, seed \d+"


class Interrupting(Stub):
    """Interrupts a process, as Ctrl-C does, once it has sent so many bodies that are refused."""

    process: int
    after: int

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, answer = super().submit(content)
        self.after -= status != 200
        if not self.after:
            os.kill(self.process, signal.SIGINT)
        return status, answer


def interrupted(
    cwd: Path, *arguments: str, after: int, module: str = "apixo_contract"
) -> "subprocess.CompletedProcess[str]":
    """Run a module against a target, URL, that interrupts it; gives the finished process."""
    stub = type("Planned", (Interrupting,), {"process": 0, "after": after})
    with serving(stub) as url:
        given = [argument.replace("URL", url) for argument in arguments]
        command = [sys.executable, "-m", module, *given]
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(APIXO_API_KEY=KEY, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stub.process = process.pid  # type: ignore[attr-defined]
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_ctrl_c_is_no_verdict_and_tells_what_was_spent(tmp_path: Path) -> None:
    done = interrupted(tmp_path, "verify", "--base-url", "URL", *QUICK, after=80)
    assert done.returncode == 130, done.stderr
    first, second = done.stderr.splitlines()
    assert first == "apixo-contract: interrupted"
    assert re.fullmatch(rf"apixo-contract: http://\S+: {COST}", second)
    assert done.stdout == ""


def test_ctrl_c_while_libraries_are_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt", "utf-8")
    command = [sys.executable, "-m", "apixo_contract", "--help"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "apixo-contract: interrupted\n")


def test_what_a_stopped_recording_has_seen_is_kept_and_can_be_judged(tmp_path: Path) -> None:
    tape = tmp_path / "run.jsonl"
    tape.write_text("an earlier one")
    options = ("--base-url", "URL", "-o", str(tape), *QUICK)
    done = interrupted(tmp_path, "record", *options, after=80)
    assert done.returncode == 130, done.stderr
    part = tmp_path / "run.jsonl.part"
    assert f"the calls so far are in {part}\n" in done.stderr
    assert len(part.read_text("utf-8").splitlines()) > 100
    report = judge(read_cassette(part))
    assert report.exit_code == 0, report.of(Verdict.FAIL)
    assert report.remarks[0].startswith("The run was stopped before its end.")
    by_id = {found.id: found for found in report.results}
    assert by_id["callback.delivered"].evidence == "The run was stopped before its end."
    assert by_id["auth.missing"].verdict is Verdict.PASS
    assert KEY not in part.read_text("utf-8")
    assert tape.read_text() == "an earlier one"


def test_a_stopped_suite_tells_what_was_spent(tmp_path: Path) -> None:
    options = ("--pyargs", "apixo_contract", "-p", "apixo_contract", "--apixo-target", "URL")
    done = interrupted(tmp_path, *options, after=80, module="pytest")
    assert done.returncode == 2, done.stdout
    assert re.search(f"stopped after {COST}", done.stdout)


class Breaks(Stub):
    """Brings down what asks it for a task."""

    error: BaseException = KeyboardInterrupt()

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, answer = super().submit(content)
        if status == 200:
            raise self.error
        return status, answer


def test_a_submit_on_its_way_may_have_cost_something() -> None:
    clock, seen = Clock(), list[Run]()
    with pytest.raises(KeyboardInterrupt):
        observe(
            settings(examples=0),
            transport=Breaks(clock),
            sleep=clock.sleep,
            clock=clock,
            stopped=seen.append,
        )
    (run,) = seen
    assert Decimal(run.options["spent_usd"]) == Decimal("0.01")
    assert len(run.exchanges) > 50


class GoesAway(Stub):
    """Takes some tasks, and is heard of no more."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if len(self.tasks) > 4:
            raise OSError("gone")
        return super().handle_request(request)


def verify_in_process(url: str) -> Any:
    arguments = ("verify", "--base-url", url, "--api-key", KEY, *QUICK)
    return CliRunner().invoke(main, arguments, env={"APIXO_API_KEY": ""})


def test_a_target_that_goes_away_has_been_paid_all_the_same() -> None:
    with serving(GoesAway) as url:
        done = verify_in_process(url)
    assert done.exit_code == 3
    assert f"{url} does not answer" in done.output
    assert re.search(rf"{url}: {COST}", done.output)


def test_a_fault_of_the_kit_is_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(*_given: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("apixo_contract.cli.judge", judge)
    with serving() as url:
        done = verify_in_process(url)
    assert done.exit_code == 70
    assert "ZeroDivisionError: a bug" in done.output
    words = "this is a fault of apixo-contract and not of the target (ZeroDivisionError)"
    assert words in done.output
    assert re.search(COST, done.output)


def test_a_damaged_ledger_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text("{")
    with serving() as url:
        target = ("--base-url", url, "--api-key", KEY, "--ledger", str(tmp_path / "ledger.json"))
        done = CliRunner().invoke(main, ("record", "-o", str(tmp_path / "x"), *target))
    assert done.exit_code == 2
    assert "expected a ledger" in done.output
    assert not (tmp_path / "x").exists()
