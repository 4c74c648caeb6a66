"""What CI servers read: JUnit XML, and the step summary of GitHub Actions."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from junitparser import JUnitXml
from kit_reports.samples import hostile_report, report, result

from apixo_contract._report import Report, Verdict
from apixo_contract._reporting import append_step_summary, render_junit, render_markdown


def suite(found: Report) -> ET.Element:
    root = ET.fromstring(render_junit(found))  # noqa: S314 - our own
    (only,) = root
    assert root.tag == "testsuites"
    return only


def test_junit_counts_are_the_report_s() -> None:
    found = suite(report())
    assert (found.get("tests"), found.get("failures"), found.get("skipped")) == ("6", "1", "2")
    assert found.get("errors") == "0"
    assert found.get("time") == "12.500"
    cases = {case.get("name"): case for case in found.iter("testcase")}
    assert len(cases) == 6
    assert cases["envelope.shape"].get("classname") == "apixo-contract.envelope"


def test_junit_says_why_a_check_failed_or_was_skipped() -> None:
    cases = {case.get("name"): case for case in suite(report()).iter("testcase")}
    failure = cases["submit.rule.mode.invalid"].find("failure")
    assert failure is not None
    assert failure.get("message") == "evidence of submit.rule.mode.invalid"
    for words in ("expected: refused: Yes.", "observed: HTTP 400 No.", "curl -sS"):
        assert words in (failure.text or "")
    skipped = cases["callback.method"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no address for callbacks"


def test_a_refuted_assumption_is_no_failure_for_junit() -> None:
    cases = {case.get("name"): case for case in suite(report()).iter("testcase")}
    case = cases["assumption.retry_after"]
    assert case.find("failure") is None
    assert (case.findtext("system-out") or "").startswith("refuted: ")


def test_junit_takes_control_characters() -> None:
    found = suite(hostile_report())
    text = found.find("testcase/failure")
    assert text is not None
    assert "\\x1b[31m\\x00\\x07" in (text.text or "")
    assert "<script>alert(1)</script>" in (text.text or "")
    render_junit(hostile_report()).encode()


def test_another_reader_of_junit_agrees() -> None:
    found = JUnitXml.fromstring(render_junit(report()).encode())
    assert (found.tests, found.failures, found.skipped) == (6, 1, 2)


def test_the_summary_shows_what_is_wrong_and_the_counts() -> None:
    text = render_markdown(report())
    assert text.startswith("## ❌ apixo-contract: The target drifted&#58; 1 promise")
    assert "| fail | 1 |" in text
    assert "### Broken promises" in text
    assert "### Assumptions that turned out otherwise" in text
    assert "<pre>curl -sS -X POST https://api.example</pre>" in text


def test_a_kept_contract_has_its_mark() -> None:
    found = report((result("envelope.shape", Verdict.PASS),))
    text = render_markdown(found)
    assert text.startswith("## ✅ ")
    assert "Broken promises" not in text


def test_hostile_texts_stay_text_in_the_summary() -> None:
    text = render_markdown(hostile_report())
    assert set(re.findall(r"</?([a-z]+)", text)) <= {"code", "pre", "details", "summary"}
    # Within <pre> nothing is Markdown.
    assert "](http" not in re.sub("<pre>.*?</pre>", "", text)
    # Every row of a table has as many cells as its head.
    for line in text.splitlines():
        if line.startswith("| <code>"):
            assert line.count("|") in (3, 4)
    text.encode()


def test_the_summary_stays_below_what_github_takes() -> None:
    long = "x" * 100_000
    failed = tuple(result("envelope.shape", Verdict.FAIL, evidence=long) for _ in range(200))
    text = render_markdown(report(failed))
    assert len(text.encode()) < 1 << 20
    assert "… and 170 more." in text


def test_the_summary_is_appended_where_github_says(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", "utf-8")
    assert append_step_summary(hostile_report(), {"GITHUB_STEP_SUMMARY": str(path)})
    text = path.read_text("utf-8")
    assert text.startswith("before\n## ❌ ")


def test_without_github_nothing_is_appended() -> None:
    assert not append_step_summary(report(), {})
