"""The command `apixo-contract`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from apixo_contract._cassette import read_cassette
from apixo_contract._drift_commands import COMMANDS
from apixo_contract._exits import EXIT_CODES, observe_for, told_in_words
from apixo_contract._explain import explain as explained
from apixo_contract._json_files import text_of
from apixo_contract._ledger import read_evidence
from apixo_contract._options import (
    keep_hypothesis_out_of_the_way,
    settings_of,
    target_options,
)
from apixo_contract._report_options import deliver, report_options
from apixo_contract._visible import visible

_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    f"{code:>5}  {meaning}" for code, meaning in EXIT_CODES.items()
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXIT_CODES)
@click.version_option(package_name="apixo-emulator")
def main() -> None:
    """Hold a server to APIXO's contract."""
    keep_hypothesis_out_of_the_way()


@main.command()
@target_options
@report_options
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
    with told_in_words() as made:
        earlier = read_evidence(ledger) if ledger else {}
        run = read_cassette(cassette) if cassette else observe_for(made, settings_of(options))
        report = deliver(
            run,
            earlier,
            json_path=json_path,
            html_path=html_path,
            junit_path=junit_path,
            ledger=ledger,
        )
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
