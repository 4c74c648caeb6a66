"""The commands: exit codes, messages, and the reports that they write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import trustme
from certify.receivers import Receiver, serving
from support.process import environment

from apixo_client import parse_callback

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("clients.py")


class Acknowledging(Receiver):
    """Responds, and does nothing with a task: it has no API to ask."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9/api/v1")

    def take(self, task_id: str) -> None:
        """Do nothing."""


class AsksElsewhere(Acknowledging):
    """Correct, and started with another base URL."""

    def receive(self, body: bytes) -> None:
        parse_callback(body)
        self.api.get("/statusTask/image-upscaler")


def run(*words: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "apixo_emulator", *words],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def reports(folder: Path) -> list[str]:
    files = {"report": "json", "html": "html", "junit": "xml", "sarif": "sarif"}
    return [f"--{option}={folder / f'report.{suffix}'}" for option, suffix in files.items()]


def test_a_failing_client_is_reported_in_every_format(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    code, shown = run(
        "certify-client", "--only", "states.ordinary", *reports(tmp_path), "--", sys.executable, str(PROGRAM),
        "ReportsFailureOfASuccess", GITHUB_STEP_SUMMARY=str(summary),
    )  # fmt: skip
    assert code == 1, shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "FAIL states.ordinary" in shown

    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["target"] == f"{sys.executable} {PROGRAM} ReportsFailureOfASuccess"
    (case,) = report["cases"]
    assert {"id", "title", "verdict", "why", "evidence"} <= set(case)
    assert case["verdict"] == "fail"
    assert report["summary"]["fail"] == 1

    suite = ET.parse(tmp_path / "report.xml").getroot()  # noqa: S314 - written by us
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "1", "1")
    sarif: dict[str, Any] = json.loads((tmp_path / "report.sarif").read_text("utf-8"))
    assert sarif["runs"][0]["results"][0]["level"] == "error"
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "states.ordinary" in page
    assert "http://" not in page.partition("<h1>")[0]
    assert "| fail | `states.ordinary` |" in summary.read_text("utf-8")


def test_a_receiver_that_responds_correctly_passes(tmp_path: Path) -> None:
    with serving([Acknowledging()]) as origin:
        code, shown = run(
            "certify-receiver", f"{origin}/Acknowledging", "--only", "failed", *reports(tmp_path),
            GITHUB_STEP_SUMMARY=str(tmp_path / "missing" / "summary.md"),
        )  # fmt: skip
    assert code == 0, shown
    # The verdicts are not lost where the summary cannot be written.
    assert "Warning: the step summary is not written: " in shown
    assert "Traceback" not in shown
    assert "5 cases: " in shown
    assert "response p50" in shown
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "A task that failed with <code>SensitiveContent</code> is acknowledged" in page


def test_an_application_that_asks_another_api_is_told_so_once(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    with serving([AsksElsewhere()]) as origin:
        code, shown = run(
            "certify-receiver", f"{origin}/AsksElsewhere", *reports(tmp_path), GITHUB_STEP_SUMMARY=str(summary)
        )  # fmt: skip
    assert code == 1, shown
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert [each["id"] for each in report["cases"] if each["verdict"] != "skipped"] == ["success"]
    assert "start it with APIXO_BASE_URL=http://127.0.0.1:" in report["note"]
    assert "APIXO_BASE_URL" in shown
    files = [summary, *(tmp_path / f"report.{suffix}" for suffix in ("html", "xml", "sarif"))]
    noted = [report["note"] in unescape(file.read_text("utf-8")) for file in files]
    assert noted == [True] * 4


def test_a_client_that_calls_another_api_is_not_started_for_every_case(tmp_path: Path) -> None:
    script = f"echo >>{tmp_path / 'started'}"
    code, shown = run(
        "certify-client", "--jobs", "2", "--report", str(tmp_path / "report.json"), "--", "sh", "-c", script
    )  # fmt: skip
    assert code == 1, shown
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert "let it send every call to the address in APIXO_BASE_URL" in report["note"]
    # Another one may have been started before the third has ended.
    started = len((tmp_path / "started").read_text("utf-8").splitlines())
    assert 3 <= started <= 4
    assert (report["summary"]["fail"], report["summary"]["pass"]) == (started, 0)


def test_an_https_receiver_may_have_a_ca_of_its_own(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    # `success` is delivered by the emulator, the others by the certifier.
    words = ["--only", "success", "--only", "malformed.cut", "--only", "transport.chunked"]
    with serving([Acknowledging()], certificate) as origin:
        url = f"{origin}/Acknowledging"
        untrusted = run("certify-receiver", url, *words)
        trusted = run("certify-receiver", url, *words, "--ca", str(ca))
    assert untrusted[0] == 3
    assert "pass that CA with --ca FILE" in untrusted[1]
    assert (trusted[0], "0 warn, 0 fail" in trusted[1]) == (0, True), trusted[1]


def test_a_date_in_retry_after_is_on_the_client_s_clock() -> None:
    code, shown = run(
        "certify-client", "--only", "submit.429-date", "--", sys.executable, str(PROGRAM), "Client",
        APIXO_EMULATOR_RATE="100",
    )  # fmt: skip
    assert (code, "1 case: 1 pass" in shown) == (0, True), shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_commands_in_one_line(
    tmp_path: Path, number: signal.Signals
) -> None:
    running = tmp_path / "running"
    os.mkfifo(running)
    # Commands that do not end by themselves, and cases that have not begun.
    script = f"trap '' TERM INT; exec 3>{running}; sleep 100 & echo >&3; wait"
    words = ["certify-client", "--only", "states", "--jobs", "2", "--", "sh", "-c", script]
    with subprocess.Popen(
        [sys.executable, "-m", "apixo_emulator", *words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as certifier:
        with running.open("rb", buffering=0) as reader:
            assert reader.read(1) == b"\n"
            os.killpg(certifier.pid, number)  # as a terminal does: to all of the group
            reader.read()  # until no process has it open for writing
        shown, errors = certifier.communicate(timeout=60)
    assert (certifier.returncode, shown) == (130, "")
    assert errors == "Error: interrupted before all cases were judged\n"


def test_effects_are_counted_by_a_command_that_may_fail_for_a_moment(tmp_path: Path) -> None:
    script = tmp_path / "count.py"
    script.write_text(
        "import pathlib\n"
        "calls = pathlib.Path(__file__).with_name('calls')\n"
        "calls.write_text(calls.read_text() + '.' if calls.exists() else '')\n"
        "print('database is locked' if len(calls.read_text()) == 1 else 7)\n",
        "utf-8",
    )
    with serving([Acknowledging()]) as origin:
        code, shown = run(
            "certify-receiver", f"{origin}/Acknowledging", "--only", "failed.Timeout",
            "--effects", f"{sys.executable} {script}",
        )  # fmt: skip
    # Without the command it would be skipped.
    assert (code, "1 case: 1 pass" in shown) == (0, True), shown


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (f"{sys.executable} -c 'raise SystemExit(\"no table\")'", "exit code 1: no table"),
        ("ls 'x", "No closing quotation"),
        ("true", "it printed nothing"),
        ("/nowhere/count", "No such file"),
    ],
)
def test_a_wrong_effects_command_is_one_clear_message(command: str, problem: str) -> None:
    with serving([Acknowledging()]) as origin:
        code, shown = run("certify-receiver", f"{origin}/Acknowledging", "--effects", command)
    assert (code, "Traceback" in shown) == (3, False)
    assert f"expected a command that prints a number, found {command!r}: " in shown
    assert problem in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["certify-receiver", "http://127.0.0.1:9/hook"], 3, "cannot be reached"),
        (["certify-receiver", "localhost:9000"], 2, "expected http://HOST[:PORT]/PATH"),
        (["certify-receiver", "http://user:word@127.0.0.1:9/"], 2, "expected http://HOST[:PORT]/PATH"),
        (["certify-receiver", "http://[::1"], 2, "expected http://HOST[:PORT]/PATH"),
        (["certify-receiver", "http://a..b/"], 2, "expected http://HOST[:PORT]/PATH"),
        (["certify-receiver", "http://127.0.0.1:9/a b"], 2, "expected http://HOST[:PORT]/PATH"),
        (["certify-receiver", "http://127.0.0.1:9/", "--only", "nothing"], 2, "expected a case, or one of the groups success"),
        (["certify-receiver", "https://127.0.0.1:9/", "--ca", __file__], 2, "--ca: the CA file"),
        (["certify-client", "--", "/nowhere/program"], 3, "the command cannot be started: /nowhere/program"),
        (["certify-client"], 2, "expected COMMAND..., found nothing"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_clear_message(words: list[str], code: int, message: str) -> None:
    found, shown = run(*words)
    assert (found, "Traceback" in shown) == (code, False)
    assert message in shown
