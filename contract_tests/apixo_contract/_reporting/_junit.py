"""The report as JUnit XML, which CI servers show."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from apixo_contract._report import CheckResult, Example, Report, ShownExchange, Verdict
from apixo_contract._reporting._words import source_of
from apixo_contract._visible import visible

_SUITE = "apixo-contract"


def render_junit(report: Report) -> str:
    """Give the report as JUnit XML: a failed check is a failure, a refuted assumption is not."""
    counts = report.counts
    totals = {
        "name": _SUITE,
        "tests": str(len(report.results)),
        "failures": str(counts[Verdict.FAIL]),
        "errors": "0",
        "skipped": str(counts[Verdict.SKIPPED]),
        "time": f"{report.duration_s:.3f}",
    }
    root = ET.Element("testsuites", totals)
    started = report.started.replace(microsecond=0, tzinfo=None).isoformat()
    suite = ET.SubElement(root, "testsuite", {**totals, "timestamp": started})
    properties = ET.SubElement(suite, "properties")
    for name in ("target", "seed", "live", "spent_usd", "calls"):
        value = visible(str(getattr(report, name)))
        ET.SubElement(properties, "property", {"name": name, "value": value})
    for result in report.results:
        _case(suite, result)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _case(suite: ET.Element, result: CheckResult) -> None:
    group = result.id.partition(".")[0]
    names = {"classname": f"{_SUITE}.{group}", "name": result.id, "time": "0"}
    case = ET.SubElement(suite, "testcase", names)
    if result.verdict is Verdict.FAIL:
        failure = ET.SubElement(case, "failure", {"message": visible(result.evidence)})
        failure.set("type", "drift")
        failure.text = visible(_story(result))
    elif result.verdict is Verdict.SKIPPED:
        ET.SubElement(case, "skipped", {"message": visible(result.evidence)})
    else:
        ET.SubElement(case, "system-out").text = visible(_story(result))


def _story(result: CheckResult) -> str:
    head = [f"{result.verdict.value}: {result.title}", source_of(result), result.evidence]
    return "\n".join([*head, *(line for example in result.examples for line in _lines(example))])


def _lines(example: Example) -> list[str]:
    shown = [line for exchange in example.exchanges for line in _exchange(exchange)]
    told = [f"expected: {example.expected}", f"observed: {example.observed}"]
    return ["", example.title, *told, *shown]


def _exchange(exchange: ShownExchange) -> list[str]:
    answer = exchange.trouble or f"HTTP {exchange.status} {exchange.response_body}"
    return [exchange.curl or f"{exchange.method} {exchange.url}", answer]
