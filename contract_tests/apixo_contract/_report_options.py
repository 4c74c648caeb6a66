"""The options that say where reports go, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from apixo_contract._ledger import Evidence, evidence_of, write_evidence
from apixo_contract._observations import Run
from apixo_contract._report import Report
from apixo_contract._reporting import append_step_summary, print_report, write_reports
from apixo_contract._verify import judge

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--report", "json_path", type=FILE, help="Write the report as JSON."),
    click.option("--html", "html_path", type=FILE, help="Write the report as one HTML page."),
    click.option("--junit", "junit_path", type=FILE, help="Write the report as JUnit XML."),
    click.option(
        "--ledger",
        type=FILE,
        help="Read what earlier live runs have shown, and add what a live run shows.",
    ),
)


def report_options(command: Command) -> Command:
    """Add the options that `deliver` takes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def deliver(
    run: Run,
    earlier: Mapping[str, Evidence],
    *,
    json_path: Path | None = None,
    html_path: Path | None = None,
    junit_path: Path | None = None,
    ledger: Path | None = None,
) -> Report:
    """Judge a run, and write, print and hand on the report as the options say.

    Args:
        run: What was seen.
        earlier: What the ledger holds, read before the run: nobody pays for one to find it damaged.
        json_path: For the report as JSON.
        html_path: For the report as HTML.
        junit_path: For the report as JUnit XML.
        ledger: For the evidence of a live run, beside the earlier.

    Raises:
        OSError: A file cannot be written.
    """
    report = judge(run, earlier)
    write_reports(report, json_path=json_path, html_path=html_path, junit_path=junit_path)
    new = evidence_of(report)
    if ledger and new:
        write_evidence(ledger, {**earlier, **new})
    append_step_summary(report)
    print_report(report)
    return report
