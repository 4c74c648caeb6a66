"""Reports of a certification: terminal, JSON, HTML, JUnit, step summary and SARIF."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from textwrap import wrap
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from apixo_emulator.certify.model import Certificate, Result, Verdict

_WIDTH = 80
_DOCS = "https://github.com/apixo-emulator/apixo-emulator/blob/main/docs/{}.md"
# What XML 1.0 cannot hold: control characters but tab, line feed and carriage return, and half pairs.
_NOT_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 65534, 65535), "�")
_NOT_XML |= dict.fromkeys(range(55296, 57344), "�")


def line(result: Result) -> str:
    """Return one case as a line of the terminal's table, within 80 columns."""
    text = f"{result.verdict.value:<8}{result.id:<27} {result.title}"
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def explained(certificate: Certificate) -> Iterator[str]:
    """Yield the lines below the table: the note, failures and warnings in full, then the summary."""
    if certificate.note:
        yield from _paragraph(certificate.note)
    for result in certificate.troubled:
        yield from _paragraph(f"{result.verdict.value.upper()} {result.id}: {result.title}")
        for label, text in (
            ("Why", result.why),
            ("Matters", result.matters),
            ("Do", result.advice),
        ):
            yield from wrap(f"  {label}: {text}", _WIDTH, subsequent_indent="    ")
        # Not shortened: it is to be copied and run.
        for text in result.evidence:
            yield from (f"  | {part}" for part in text.splitlines())
    skipped = [each for each in certificate.results if each.verdict is Verdict.SKIPPED]
    if skipped:
        yield from _paragraph(f"SKIPPED {_cases(len(skipped))}: {skipped[0].why}")
    yield from _paragraph(summary(certificate))


def _paragraph(text: str) -> Iterator[str]:
    yield ""
    yield from wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def summary(certificate: Certificate) -> str:
    """Return the counts and figures of the run as one line."""
    counts = ", ".join(f"{certificate.counts[verdict]} {verdict.value}" for verdict in Verdict)
    figures = "".join(f"; {name} {value}" for name, value in certificate.figures.items())
    return f"{_cases(len(certificate.results))}: {counts}{figures}"


def _cases(number: int) -> str:
    return f"{number} case{'' if number == 1 else 's'}"


def as_json(certificate: Certificate) -> str:
    """Return the JSON report."""
    return json.dumps(certificate.to_json(), indent=2) + "\n"


def as_html(certificate: Certificate) -> str:
    """Return the report as one self-contained HTML page."""
    return _rendered("certificate.html", certificate)


def as_junit(certificate: Certificate) -> str:
    """Return the report as JUnit XML; a warning is a passed test with output."""
    return _rendered("certificate.xml", certificate).translate(_NOT_XML)


def as_markdown(certificate: Certificate) -> str:
    """Return the report for GitHub's step summary."""
    return _rendered("certificate.md", certificate)


def _rendered(template: str, certificate: Certificate) -> str:
    environment = Environment(
        loader=PackageLoader("apixo_emulator.certify"), autoescape=select_autoescape(),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["code"] = _code
    results = sorted(certificate.results, key=lambda each: -each.verdict.badness)
    return environment.get_template(template).render(
        certificate=certificate, worst_first=results, summary=summary(certificate), Verdict=Verdict
    )


def _code(text: str) -> Markup:
    """Return a text as HTML in which backticks mark code."""
    # A plain str: the parts of a Markup would be escaped again.
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def as_sarif(certificate: Certificate) -> str:
    """Return the failures and warnings as SARIF 2.1.0, for code scanning."""
    docs = _DOCS.format(certificate.kind)
    rules = [
        {
            "id": result.id,
            "shortDescription": {"text": result.title},
            "fullDescription": {"text": result.matters},
            "help": {"text": result.advice},
            "helpUri": docs,
        }
        for result in certificate.troubled
    ]
    results: list[dict[str, Any]] = [
        {
            "ruleId": result.id,
            "level": "error" if result.verdict is Verdict.FAIL else "warning",
            "message": {"text": f"{result.title}: {result.why}"},
            # A certificate judges a running program; the place in its code is not known.
            "locations": [{"logicalLocations": [{"fullyQualifiedName": certificate.target}]}],
        }
        for result in certificate.troubled
    ]
    driver = {
        "name": f"apixo-emulator {certificate.kind}",
        "version": version("apixo-emulator"),
        "informationUri": docs,
        "rules": rules,
    }
    run: dict[str, Any] = {"tool": {"driver": driver}, "results": results}
    if certificate.note:
        notes = [{"level": "warning", "message": {"text": certificate.note}}]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notes}]
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def write(path: Path, text: str) -> None:
    """Write a report; the file is complete or unchanged.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def write_step_summary(certificate: Certificate) -> None:
    """Append the report to GitHub's step summary, if there is one.

    Raises:
        OSError: It cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(as_markdown(certificate) + "\n")
