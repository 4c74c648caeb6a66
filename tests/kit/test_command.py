"""`apixo-contract`: exit codes, files, and what people read."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Stub, refused, serving

from apixo_contract.cli import main

pytestmark = pytest.mark.slow

URLS = ("--image-url", IMAGE, "--failing-image-url", FAILING_IMAGE)
QUICK = ("--examples", "0", "--seed", "1", *URLS)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "hypothesis"))
    for name in ("APIXO_API_KEY", "APIXO_BASE_URL", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=text)


class Wrong(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        return {**super().shown(task), "createTime": "now"}


def test_a_target_that_keeps_the_contract_gives_0_and_all_reports(tmp_path: Path) -> None:
    with serving() as url:
        files = ("--report", "r.json", "--html", "r.html", "--junit", "r.xml")
        done = run("verify", "--base-url", url, "--api-key", KEY, *files, *QUICK)
    assert done.exit_code == 0, done.output
    assert "keeps the contract" in done.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["target"] == url
    assert report["spent_usd"] == 0.14
    verdicts = {check["id"]: check["verdict"] for check in report["checks"]}
    assert verdicts["callback.delivered"] == "pass"
    assert verdicts["callback.failed"] == "pass"
    assert {"pass", "confirmed", "refuted", "skipped"} == set(verdicts.values())
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "r.xml").read_text().startswith("<?xml")


def test_a_target_that_drifted_gives_1_and_says_how() -> None:
    with serving(Wrong) as url:
        done = run("verify", "--base-url", url, "--api-key", KEY, *QUICK)
    assert done.exit_code == 1
    assert "status.create-time" in done.output
    assert "APIXO_API_KEY" in done.output
    assert KEY not in done.output


class Closed(Stub):
    def answer(self, *_args: Any) -> tuple[int, dict[str, Any]]:
        return refused(401, "no")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--base-url", "https://api.apixo.ai", "--api-key", KEY), "--live"),
        (("--base-url", "http://127.0.0.1:1"), "variable APIXO_API_KEY, or give --api-key."),
        (("--base-url", "http://127.0.0.1:1", "--api-key", "\n\x01"), "APIXO_API_KEY or --api-key"),
        (("--base-url", "nonsense", "--api-key", KEY), "Check APIXO_BASE_URL or --base-url."),
        (("--cassette", "no-such-file"), "no-such-file"),
        (("--no-such-option",), "no-such-option"),
    ],
)
def test_bad_usage_gives_2_and_says_what_to_change(arguments: tuple[str, ...], words: str) -> None:
    done = run("verify", *arguments)
    assert done.exit_code == 2
    assert words in done.output


def test_a_key_that_the_target_refuses_is_bad_usage() -> None:
    with serving(Closed) as url:
        done = run("verify", "--base-url", url, "--api-key", KEY, *QUICK)
    assert done.exit_code == 2
    assert "refuses the API key" in done.output


def test_a_target_that_is_not_there_gives_3() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = run("verify", "--base-url", f"http://127.0.0.1:{port}", "--api-key", KEY)
    assert done.exit_code == 3
    assert "does not answer" in done.output


def test_a_callback_port_in_use_is_bad_usage() -> None:
    with socket.socket() as taken, serving() as url:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("verify", "--base-url", url, "--api-key", KEY, "--callback-port", port, *QUICK)
    assert done.exit_code == 2
    assert "--callback-port" in done.output


BAD: dict[str, Any] = {"input": {"mode": "x", "image_urls": [], "resolution": None}}


def test_explain_names_the_winner_the_losers_and_the_documentation() -> None:
    done = run("explain", "-", text=json.dumps(BAD))
    assert done.exit_code == 0
    first, second = done.output.split("It also breaks")
    assert first.startswith("REFUSED  Invalid mode type. Supported: image-to-image\n")
    assert "| Invalid `mode` | Returns `Invalid mode type. Supported: image-to-image` |" in first
    assert "Image Upscaler page, Request validation" in first
    assert "must contain exactly 1 image" in second
    assert "assumption order" in second
    assert "assumption null.optional" in second


@pytest.mark.parametrize("text", ["{", "", "[" * 10_000])
def test_explain_says_what_no_json_is_answered(text: str) -> None:
    done = run("explain", "-", text=text)
    assert done.exit_code == 0
    assert done.output.startswith("REFUSED  The request body must be valid JSON.")


def test_explain_of_what_is_no_text_is_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_bytes(b"{\xff\xfe")
    done = run("explain", "body.json")
    assert done.exit_code == 2
    assert "expected a text in UTF-8, found the byte 0xff at 1" in done.output


def test_explain_shows_what_no_terminal_can() -> None:
    done = run("explain", "-", text=r'{"input": {"mode": "\ud800\u001b"}}')
    assert done.exit_code == 0
    assert r'found: mode = "\ud800' in done.output
