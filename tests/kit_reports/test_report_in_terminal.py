"""The report as lines: plain in pipes, coloured on terminals, written to files at once."""

import io
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from kit_reports.samples import hostile_report, report, result

from apixo_contract._report import Verdict
from apixo_contract._report_json import report_schema
from apixo_contract._reporting import print_report, render_terminal, write_reports


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_outcome_is_the_last_line() -> None:
    lines = render_terminal(report()).splitlines()
    assert lines[-1] == "The target drifted: 1 promise of the contract broken."
    assert lines[-3] == "pass 1 · fail 1 · skipped 2 · refuted 1 · confirmed 1"
    assert lines[-2] == "42 calls in 12.5 s, cost at most $0.09 of $0.10, seed 7"


def test_a_broken_promise_is_shown_as_expected_observed_and_curl_line() -> None:
    text = render_terminal(report())
    assert (
        "\nFAIL submit.rule.mode.invalid: Invalid `mode`: refused in the documented words\n"
        "  documented: Image Upscaler page, Request validation\n"
        "  evidence of submit.rule.mode.invalid\n"
        "  expected: refused: Yes.\n"
        "  observed: HTTP 400 No.\n"
        "  curl -sS -X POST https://api.example\n"
    ) in text


def test_a_line_stays_whole_where_there_is_no_terminal() -> None:
    long = "x" * 500
    text = render_terminal(report((result("envelope.shape", Verdict.FAIL, evidence=long),)))
    assert f"  {long}\n" in text


def test_no_text_of_a_target_acts_on_the_terminal() -> None:
    for color in (False, True):
        text = render_terminal(hostile_report(), color=color, width=80)
        assert "\x1b[31mline" not in text
        assert not set("\x00\x07\r\u202e\ud800") & set(text)
    assert "\x1b" not in render_terminal(hostile_report())


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_is_used_where_it_is_not_wanted(environ: dict[str, str]) -> None:
    out = Terminal()
    print_report(report(), out, environ)
    assert "\x1b" not in out.getvalue()


def test_colours_are_used_on_a_terminal() -> None:
    out = Terminal()
    print_report(report(), out, {"TERM": "xterm"})
    assert "\x1b[" in out.getvalue()


def test_a_pipe_gets_plain_text() -> None:
    out = io.StringIO()
    print_report(report(), out, {})
    assert out.getvalue() == render_terminal(report())


def test_an_old_encoding_gets_escapes_instead_of_an_error() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_report(hostile_report(), out, {})
    assert b"\\xb7 skipped" in raw.getvalue()


def test_all_files_are_written_and_none_is_left_half(tmp_path: Path) -> None:
    json_path, html_path, junit_path = (
        tmp_path / "new" / name for name in ("r.json", "r.html", "r.xml")
    )
    write_reports(hostile_report(), json_path=json_path, html_path=html_path, junit_path=junit_path)
    value = json.loads(json_path.read_text("utf-8"))
    Draft202012Validator(report_schema()).validate(value)
    assert value == hostile_report().to_json()
    assert html_path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert junit_path.read_bytes().startswith(b"<?xml")
    assert {path.name for path in json_path.parent.iterdir()} == {"r.json", "r.html", "r.xml"}


def test_a_device_can_be_written_to() -> None:
    write_reports(report(), json_path=Path("/dev/null"))
    assert not Path("/dev/null").is_file()
