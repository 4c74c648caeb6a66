"""The report in its five forms: terminal, JSON, HTML, JUnit XML and Markdown."""

import io
import json
import math
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator
from kit.stub import Stub, observed
from kit_reports.samples import hostile_report, report, result

from apixo_contract import CheckResult, Report, Verdict, catalogue, judge
from apixo_contract.report.model import (
    Beyond,
    report_schema,
)
from apixo_contract.report.render import (
    append_step_summary,
    print_report,
    render_html,
    render_junit,
    render_markdown,
    render_terminal,
)

DRIFTED = "The target drifted: it breaks 1 promise of the contract."
BEYOND = Beyond("field", "data.progress", "status answers", 12, "50")
REMARK = "Transient errors: of 42 calls, these failed and were repeated: 1 HTTP 502."


# --- JSON -------------------------------------------------------------------------------------


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("found", [report(), hostile_report(), judge(observed(examples=0))])
def test_a_report_survives_the_way_through_json(found: Report) -> None:
    value = through_text(found.to_json())
    Draft202012Validator(report_schema()).validate(value)
    assert Report.from_json(value).to_json() == value
    # Later versions may add fields.
    more = {**value, "later": 1, "summary": {**value["summary"], "later": 1}}
    assert Report.from_json(more) == Report.from_json(value)


def test_the_names_that_scripts_read() -> None:
    value = report().to_json()
    assert (value["target"], value["spent_usd"]) == ("https://api.example/api/v1", 0.09)
    assert value["summary"] == {
        "keeps_contract": False,
        "headline": DRIFTED,
        "checks": 6,
        "pass": 1,
        "fail": 1,
        "skipped": 2,
        "refuted": 1,
        "confirmed": 1,
    }
    first = value["checks"][0]
    assert {name: first[name] for name in ("id", "title", "grade", "source")} == {
        "id": "envelope.shape",
        "title": "Every answer is a JSON object with an integer `code` and a non-empty text `message`",
        "grade": "platform",
        "source": "platform fact P1",
    }
    assert (first["verdict"], first["evidence"]) == ("pass", "evidence of envelope.shape")


@pytest.mark.parametrize("verdict", Verdict)
def test_only_a_broken_promise_makes_the_exit_code_1(verdict: Verdict) -> None:
    found = report((result("envelope.shape", verdict),))
    assert found.exit_code == (1 if verdict is Verdict.FAIL else 0)
    assert found.to_json()["summary"]["keeps_contract"] is (verdict is not Verdict.FAIL)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], r"expected a report of form 1, found something else"),
        ({"form": 2}, r"expected a report of form 1, found form 2"),
        ({"form": 1}, r"this is no report: at \$, .*required"),
        (
            {**report().to_json(), "checks": [{"id": "x"}]},
            r"this is no report: at \$\.checks\[0\]",
        ),
    ],
)
def test_what_is_no_report_is_refused_with_the_place(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Report.from_json(value)


def test_exact_and_odd_numbers_of_answers_become_json() -> None:
    odd = {
        "exact": Decimal("74.87"),
        "whole": Decimal(3),
        "odd": [math.inf, Decimal("1e999999999")],
    }
    found = report((result("envelope.shape", Verdict.PASS, observed=odd),))
    (check,) = through_text(found.to_json())["checks"]
    assert check["observed"] == {"exact": 74.87, "whole": 3, "odd": ["inf", "1E+999999999"]}


class Endless(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        found = super().shown(task)
        return {**found, "completeTime": 10**400} if found["state"] == "success" else found


# --- terminal ---------------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_the_outcome_is_the_last_line() -> None:
    lines = render_terminal(report()).splitlines()
    assert lines[-1] == DRIFTED
    assert lines[-3] == "pass 1 · fail 1 · skipped 2 · refuted 1 · confirmed 1"
    assert lines[-2] == "42 calls in 12.5 s, cost at most $0.09 of $0.10, seed 7"


def test_a_broken_promise_is_shown_as_expected_observed_and_curl_line() -> None:
    text = render_terminal(report())
    assert (
        "\nFAIL submit.rule.mode.invalid: Invalid mode: refused with the documented message\n"
        "  documented, Image Upscaler page, Request validation: stated there\n"
        "  evidence of submit.rule.mode.invalid\n"
        "  expected: refused: Yes.\n"
        "  observed: HTTP 400 No.\n"
        "  curl -sS -X POST https://api.example\n"
    ) in text


def test_no_text_of_a_target_acts_on_the_terminal() -> None:
    for color in (False, True):
        text = render_terminal(hostile_report(), color=color)
        assert "\x1b[31mline" not in text
        # No text looks like a line of the report.
        assert "\nline two" not in text
        assert not set("\x00\x07\r\u202e\ud800") & set(text)
    assert "\x1b" not in render_terminal(hostile_report())


@pytest.mark.parametrize(
    ("out", "environ"),
    [(Terminal(), {"TERM": "dumb"}), (Terminal(), {"NO_COLOR": "1"}), (io.StringIO(), {})],
)
def test_no_colour_is_used_where_it_is_not_wanted(
    out: io.StringIO, environ: dict[str, str]
) -> None:
    print_report(report(), out, environ)
    assert out.getvalue() == render_terminal(report())


def test_an_old_encoding_gets_escapes_instead_of_an_error() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_report(hostile_report(), out, {})
    assert b"\\xb7 skipped" in raw.getvalue()


# --- files for CI servers ---------------------------------------------------------------------


def suite(found: Report) -> ET.Element:
    root = ET.fromstring(render_junit(found))  # noqa: S314 - our own
    (only,) = root
    assert root.tag == "testsuites"
    return only


def test_junit_says_why_a_check_failed_or_was_skipped() -> None:
    cases = {case.get("name"): case for case in suite(report()).iter("testcase")}
    failure = cases["submit.rule.mode.invalid"].find("failure")
    assert failure is not None
    message = "evidence of submit.rule.mode.invalid Expected: refused: Yes.. Observed: HTTP 400 No."
    assert failure.get("message") == message
    for words in ("expected: refused: Yes.", "observed: HTTP 400 No.", "curl -sS"):
        assert words in (failure.text or "")
    skipped = cases["callback.method"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "no address for callbacks"
    # A refuted assumption is no failure.
    refuted = cases["assumption.retry_after"]
    assert refuted.find("failure") is None
    assert (refuted.findtext("system-out") or "").startswith("refuted: ")


def test_junit_takes_control_characters() -> None:
    found = suite(hostile_report())
    text = found.find("testcase/failure")
    assert text is not None
    assert "\\x1b[31m\\x00\\x07" in (text.text or "")
    assert "<script>alert(1)</script>" in (text.text or "")
    render_junit(hostile_report()).encode()


def test_the_summary_shows_what_is_wrong_and_the_counts() -> None:
    text = render_markdown(report())
    assert text.startswith("## ❌ apixo-contract: The target drifted&#58; it breaks 1 promise")
    assert "| fail | 1 |" in text
    assert "### Broken promises" in text
    assert "### Refuted assumptions" in text
    assert "<pre>curl -sS -X POST https://api.example</pre>" in text


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
    assert not append_step_summary(report(), {})
    path = tmp_path / "summary.md"
    path.write_text("before\n", "utf-8")
    assert append_step_summary(hostile_report(), {"GITHUB_STEP_SUMMARY": str(path)})
    text = path.read_text("utf-8")
    assert text.startswith("before\n## ❌ ")


# --- HTML -------------------------------------------------------------------------------------

VOID = {"meta", "br", "img", "link", "input", "hr"}
# All that the page is made of; a script, a picture or a link is none of it.
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("h1", "h2", "h3", "h5", "p", "dl", "dt", "dd", "div", "span", "ul", "li", "b", "small"),
    *("article", "pre", "code", "details", "summary", "br"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Page(HTMLParser):
    """Elements, ids and visible text of a page; open elements must be closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def test_a_broken_promise_comes_before_all_else_with_its_example() -> None:
    text = Page(render_html(report())).text
    for words in (
        DRIFTED,
        "https://api.example/api/v1",
        "2026-11-23 08:00:00 UTC",
        "$0.09 of $0.10",
    ):
        assert words in text
    order = ["Broken promises", "Assumptions", "Skipped, and why"]
    places = [text.index(title) for title in [*order, "Kept promises"]]
    assert places == sorted(places)
    shown = text[places[0] : places[1]]
    for words in ("refused: Yes.", "HTTP 400 No.", "curl -sS -X POST https://api.example"):
        assert words in shown
    assumed = text[places[1] : places[2]]
    assert assumed.index("Yes, in seconds") < assumed.index("evidence of assumption.retry_after")
    assert text[places[2] :].count("no address for callbacks") == 1


def test_the_page_needs_nothing_else() -> None:
    html = render_html(report())
    for _tag, attributes in Page(html).elements:
        assert not {"src", "href", "srcset", "onclick", "onerror"} & attributes.keys()
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_hostile_texts_stay_text() -> None:
    html = render_html(hostile_report())
    found = Page(html)
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    assert "<script>alert(1)</script>" in found.text
    assert "{{7*7}}" in found.text
    for control in "\x00\x07\x1b\u202e\ud800\ufffe":
        assert control not in html
    assert "\\x1b[31m" in found.text
    assert "\\u202e" in found.text
    html.encode()


def test_ids_are_anchors_and_unique() -> None:
    results = tuple(result(name, Verdict.PASS) for name in catalogue())
    ids = [
        attributes["id"]
        for _tag, attributes in Page(render_html(report(results))).elements
        if "id" in attributes
    ]
    assert len(ids) == len(set(ids))
    assert {"passed", *catalogue()} <= set(ids)


@pytest.mark.parametrize("results", [(), (result("envelope.shape", Verdict.SKIPPED),)])
def test_a_run_that_could_judge_nothing_says_so(results: tuple[CheckResult, ...]) -> None:
    text = Page(render_html(report(results))).text
    assert "Nothing could be judged: every check was skipped." in text
    assert not re.search(r"Broken promises|Kept promises|Ledger", text)


# --- what all forms tell ----------------------------------------------------------------------


@pytest.mark.parametrize("render", [render_terminal, render_html, render_junit, render_markdown])
def test_what_is_beyond_the_contract_and_remarks_stand_in_every_form(render: Any) -> None:
    text = render(report(beyond=(BEYOND,), remarks=(REMARK,)))
    text = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), text)
    assert "Seen beyond the contract" in text
    assert "data.progress" in text
    assert "Transient errors" in text


@pytest.mark.parametrize("render", [render_terminal, render_html, render_markdown])
def test_our_backticks_are_not_shown(render: Any) -> None:
    text = render(report())
    assert "`" not in re.sub(r"(?s)<style>.*?</style>", "", text)
    assert "&#96;" not in text


def test_evidence_and_observation_do_not_repeat_each_other() -> None:
    for found in judge(observed(NoCode, examples=0)).of(Verdict.FAIL):
        assert found.examples[0].observed not in found.evidence


class NoCode(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        return {**super().shown(task), "createTime": "now"}
