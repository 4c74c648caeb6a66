"""The HTML page of a report: one file, nothing from outside, hostile texts stay text."""

import re
from html.parser import HTMLParser

import pytest
from kit_reports.samples import example, exchange, hostile_report, report, result

from apixo_contract._catalogue import catalogue
from apixo_contract._ledger import Evidence, with_ledger
from apixo_contract._report import Verdict
from apixo_contract._reporting import render_html

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


def page(html: str) -> Page:
    return Page(html)


def test_the_headline_the_counts_and_the_facts_are_there() -> None:
    text = " ".join(page(render_html(report())).text.split())
    assert "The target drifted: 1 promise of the contract broken." in text
    for words in ("1 fail", "1 refuted", "1 pass", "1 confirmed", "2 skipped"):
        assert words in text
    for fact in ("https://api.example/api/v1", "2026-11-23 08:00:00 UTC", "$0.09 of $0.10", "42"):
        assert fact in text


def test_a_broken_promise_comes_before_all_else_with_its_example() -> None:
    text = page(render_html(report())).text
    order = ["Broken promises", "What the assumptions turned out to be", "Skipped, and why"]
    places = [text.index(title) for title in [*order, "Kept promises"]]
    assert places == sorted(places)
    shown = text[places[0] : places[1]]
    for words in ("refused: Yes.", "HTTP 400 No.", "curl -sS -X POST https://api.example"):
        assert words in shown


def test_an_assumption_stands_beside_what_it_turned_out_to_be() -> None:
    text = page(render_html(report())).text
    shown = text[text.index("What the assumptions") :]
    assert "Is Retry-After sent on 429?" in shown
    assert shown.index("Yes, in seconds") < shown.index("evidence of assumption.retry_after")


def test_skipped_checks_share_their_reason() -> None:
    text = page(render_html(report())).text
    shown = text[text.index("Skipped, and why") :]
    assert shown.count("no address for callbacks") == 1
    assert "callback.method" in shown
    assert "callback.json" in shown


def test_the_page_needs_nothing_else() -> None:
    html = render_html(report())
    for _tag, attributes in page(html).elements:
        assert not {"src", "href", "srcset", "onclick", "onerror"} & attributes.keys()
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_both_themes_are_there() -> None:
    html = render_html(report())
    assert "color-scheme: light dark" in html
    assert "prefers-color-scheme: dark" in html


def test_hostile_texts_stay_text() -> None:
    html = render_html(hostile_report())
    found = page(html)
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    assert "<script>alert(1)</script>" in found.text
    assert "{{7*7}}" in found.text
    for control in "\x00\x07\x1b\u202e\ud800\ufffe":
        assert control not in html
    assert "\\x1b[31m" in found.text
    assert "\\u202e" in found.text
    html.encode()


def test_texts_between_backticks_are_code_and_still_only_text() -> None:
    html = render_html(
        report((result("envelope.shape", Verdict.FAIL, evidence="saw `<b>x</b>` there"),))
    )
    assert "saw <code>&lt;b&gt;x&lt;/b&gt;</code> there" in html


@pytest.mark.parametrize(
    "body",
    ['{"a":1,"a":2}', '{"a":1.10}', '{"a":1e2}', "not JSON", "[" * 10_000, '{"a": 1 }'],
)
def test_a_body_that_indenting_would_change_is_shown_as_it_is(body: str) -> None:
    shown = example(exchanges=(exchange(response_body=body),))
    html = render_html(report((result("envelope.shape", Verdict.FAIL, examples=(shown,)),)))
    assert body in page(html).text


def test_json_is_indented() -> None:
    html = render_html(report())
    assert '{\n  "code": 400,\n  "message": "No.",\n  "data": null\n}' in page(html).text


def test_the_ledger_is_counted_by_standing() -> None:
    earlier = {"envelope.shape": Evidence(held=True, on="2026-01-02", target="https://api.example")}
    text = page(render_html(with_ledger(report(), earlier))).text
    shown = " ".join(text[text.index("Ledger of evidence") :].split())
    assert "1 confirmed on live 25 %" in shown
    assert "2026-01-02" in shown
    assert "2 assumed 50 %" in shown


def test_ids_are_anchors_and_unique() -> None:
    results = tuple(result(name, Verdict.PASS) for name in catalogue())
    ids = [
        attributes["id"]
        for _tag, attributes in page(render_html(report(results))).elements
        if "id" in attributes
    ]
    assert len(ids) == len(set(ids))
    assert {"passed", *catalogue()} <= set(ids)


def test_the_page_of_nothing_says_so() -> None:
    text = page(render_html(report(()))).text
    assert "Nothing could be judged" in text
    assert not re.search(r"Broken promises|Kept promises|Ledger", text)
