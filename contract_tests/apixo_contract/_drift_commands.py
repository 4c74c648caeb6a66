"""The commands around drift: `record`, `diff` and `learn`, for the group of `apixo-contract`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from apixo_contract._cassette import CassetteError, write_cassette
from apixo_contract._diff import compare
from apixo_contract._diff_words import comparison_lines
from apixo_contract._exits import observe_for, say, tell, told_in_words
from apixo_contract._json_files import read_json
from apixo_contract._learn_toml import profile_of, profile_toml
from apixo_contract._ledger import read_evidence
from apixo_contract._observations import Run
from apixo_contract._option_values import usd
from apixo_contract._options import settings_of, target_options
from apixo_contract._report import Report
from apixo_contract._report_options import FILE, deliver, report_options
from apixo_contract._settings import DEFAULT_BUDGET, Settings, UsageError, is_loopback

_KEY, _KEY2 = "APIXO_API_KEY", "APIXO_API_KEY2"


@click.command()
@target_options
@report_options
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The cassette to write, as JSON lines; its secrets are masked.",
)
def record(
    output: Path,
    json_path: Path | None,
    html_path: Path | None,
    junit_path: Path | None,
    ledger: Path | None,
    **options: Any,
) -> None:
    """Verify a target, and keep every call as a cassette.

    `apixo-contract verify --cassette FILE` judges it again later, without calling anybody. What a
    stopped run has seen is kept as FILE.part.
    """
    with told_in_words() as made:
        settings = settings_of(options)
        _must_be_writable(output)
        earlier = read_evidence(ledger) if ledger else {}
        run = observe_for(made, settings, lambda run: _keep_part(output, run, settings.api_key))
        report = deliver(
            run,
            earlier,
            json_path=json_path,
            html_path=html_path,
            junit_path=junit_path,
            ledger=ledger,
        )
        write_cassette(output, run, [settings.api_key])
        sys.exit(report.exit_code)


def _keep_part(path: Path, run: Run, key: str) -> None:
    """Keep what a stopped run has seen, beside the cassette that it was to be."""
    part = path.with_name(f"{path.name}.part")
    if not any(call.status for call in run.exchanges):
        return
    # What has stopped the run is told; that this cannot be written, too, is little beside it.
    with suppress(OSError, CassetteError):
        write_cassette(part, run, [key], cut_off=True)
        say(f"the calls so far are in {part}")


def _must_be_writable(path: Path) -> None:
    """Find out before money is spent.

    Raises:
        UsageError: The file cannot be written.
    """
    known = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Name another file") from None
    if not known:
        path.unlink()


@click.command()
@click.argument("url1")
@click.argument("url2")
@click.option("--api-key", help=f"The key of URL1. [{_KEY}]")
@click.option("--api-key2", help=f"The key of URL2. [{_KEY2}, else {_KEY}]")
@click.option("--image-url", help="A picture that both can fetch and enlarge.")
@click.option(
    "--budget-usd",
    default=str(DEFAULT_BUDGET),
    show_default=True,
    help="The most that both together may cost; a target on this machine costs nothing.",
)
@click.option("--max-wait", "max_wait_s", type=float, help="Seconds per task.")
@click.option(
    "--examples",
    type=int,
    default=12,
    show_default=True,
    help="Generated bodies for each rule.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which bodies are generated.")
@click.option("--live", is_flag=True, help="Allow targets that are not this machine.")
@click.option("--report", "json_path", type=FILE, help="Write the differences as JSON.")
def diff(
    url1: str,
    url2: str,
    api_key: str | None,
    api_key2: str | None,
    json_path: Path | None,
    **options: Any,
) -> None:
    """Make the same calls to two servers, and explain where they differ."""
    with told_in_words() as made:
        keys = _keys((url1, url2), (api_key, api_key2), os.environ)
        both = _both((url1, url2), keys, options)
        if json_path:
            _must_be_writable(json_path)
        for settings in both:
            tell(settings.base_url)
            observe_for(made, settings)
        found = compare(*made)
        if json_path:
            text = json.dumps(found.to_json(), indent=2)
            json_path.write_text(f"{text}\n", "utf-8")
        for line in comparison_lines(found):
            click.echo(line)
        sys.exit(found.exit_code)


def _keys(
    urls: tuple[str, str], given: tuple[str | None, str | None], environ: Mapping[str, str]
) -> tuple[str, str]:
    """Settle the two keys; a key that was meant for one host is never sent to another.

    Raises:
        UsageError: The second key is missing.
    """
    common = environ.get(_KEY)
    first, second = given[0] or common, given[1] or environ.get(_KEY2) or common
    first, second = first or second, second or first
    foreign = [_host(url) for url in urls if not is_loopback(url)]
    own = given[1] or environ.get(_KEY2)
    if len(set(foreign)) > 1 and not own:
        raise UsageError(
            f"{urls[1]} is another host, to which the key of {urls[0]} must not go: give "
            f"--api-key2, or set {_KEY2}"
        )
    return first or "", second or ""


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _both(
    urls: tuple[str, str], keys: tuple[str, str], options: Mapping[str, Any]
) -> list[Settings]:
    """Settle both runs. Foreign targets share the budget; each gets the same tasks.

    Raises:
        UsageError: A run may not start so.
    """
    foreign = sum(not is_loopback(url) for url in urls)
    budget = usd(options["budget_usd"]) / max(1, foreign)
    shared = {**options, "budget_usd": budget}
    return [
        settings_of({**shared, "base_url": url, "api_key": key})
        for url, key in zip(urls, keys, strict=True)
    ]


@click.command()
@click.option(
    "--report",
    "report_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The JSON report of a run.",
)
@click.option("-o", "--output", type=FILE, help="The profile to write. [standard output]")
def learn(report_path: Path, output: Path | None) -> None:
    """Turn the refuted assumptions of a report into a profile.

    `apixo-emulator serve --profile FILE` then behaves as was observed.
    """
    with told_in_words():
        report = _read_report(report_path)
        text = profile_toml(report)
        if output is None:
            click.echo(text, nl=False)
            return
        output.write_text(text, "utf-8")
        settings = len(profile_of(report).assumptions)
        click.echo(f"{output}: {settings} {'setting' if settings == 1 else 'settings'}")


def _read_report(path: Path) -> Report:
    value = read_json(path, "a report of apixo-contract")
    try:
        return Report.from_json(value)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


COMMANDS = (record, diff, learn)
