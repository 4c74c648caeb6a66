"""The command `apixo-contract`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from apixo_contract._cassette import read_cassette
from apixo_contract._drift_commands import COMMANDS
from apixo_contract._explain import explain as explained
from apixo_contract._json_files import text_of
from apixo_contract._ledger import evidence_of, read_evidence, write_evidence
from apixo_contract._options import (
    keep_hypothesis_out_of_the_way,
    settings_of,
    target_options,
    told_in_words,
)
from apixo_contract._report import Report
from apixo_contract._reporting import append_step_summary, print_report, write_reports
from apixo_contract._verify import judge, observe
from apixo_contract._visible import visible

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="apixo-emulator")
def main() -> None:
    """Hold a server to APIXO's contract.

    Exit codes: 0 the target keeps the contract, 1 it drifted, 2 bad usage, 3 it cannot be reached.
    """
    keep_hypothesis_out_of_the_way()


@main.command()
@target_options
@click.option("--report", "json_path", type=_FILE, help="Write the report as JSON.")
@click.option("--html", "html_path", type=_FILE, help="Write the report as one HTML page.")
@click.option("--junit", "junit_path", type=_FILE, help="Write the report as JUnit XML.")
@click.option(
    "--ledger", type=_FILE, help="Read what earlier live runs have shown, and add a live run's."
)
@click.option(
    "--cassette",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judge a recorded run again, without calling anybody.",
)
def verify(
    json_path: Path | None,
    html_path: Path | None,
    junit_path: Path | None,
    ledger: Path | None,
    cassette: Path | None,
    **options: Any,
) -> None:
    """Make a run against a target and judge it, or judge a recorded one."""
    with told_in_words():
        earlier = read_evidence(ledger) if ledger else {}
        run = read_cassette(cassette) if cassette else observe(settings_of(options), tell=_tell)
        report = judge(run, earlier)
        write_reports(report, json_path=json_path, html_path=html_path, junit_path=junit_path)
        if ledger and (new := evidence_of(report)):
            write_evidence(ledger, {**earlier, **new})
        append_step_summary(report)
    _finish(report)


def _tell(words: str) -> None:
    """Say what happens, to people only: a log needs the report alone."""
    if sys.stderr.isatty():
        click.echo(f"… {words}", err=True)


def _finish(report: Report) -> None:
    print_report(report)
    sys.exit(report.exit_code)


@main.command()
@click.argument("body", type=click.File("rb"))
def explain(body: Any) -> None:
    """Say what the contract answers a submit body, and why.

    BODY is a file with JSON, or - for standard input. Nobody is called.
    """
    with told_in_words():
        click.echo(visible(explained(text_of(body.read()))))


for _command in COMMANDS:
    main.add_command(_command)
