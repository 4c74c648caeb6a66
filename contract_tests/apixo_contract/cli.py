"""The command `apixo-contract`."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from apixo_contract.cassette import CassetteError, read_cassette, write_cassette
from apixo_contract.diff import compare
from apixo_contract.explain import explain as explained
from apixo_contract.files import (
    decode_utf8,
    must_be_writable,
    must_differ,
    read_json,
    write_all,
    write_whole,
)
from apixo_contract.learn import profile_of, profile_toml
from apixo_contract.observations import Run
from apixo_contract.options import (
    DEFAULT_BUDGET,
    OPTIONS,
    Settings,
    Unreachable,
    UsageError,
    is_loopback,
    option,
    settle,
)
from apixo_contract.report.model import (
    Report,
    evidence_of,
    read_evidence,
    write_evidence,
)
from apixo_contract.report.render import (
    append_step_summary,
    cost_line,
    print_report,
    render_comparison,
    render_html,
    render_json,
    render_junit,
)
from apixo_contract.run import check_target, judge, observe, unjudged
from apixo_contract.text import escape_invisible, plural
from apixo_schemas.command_line import INTERRUPTED, Program

Command = TypeVar("Command", bound=Callable[..., Any])

_KEY, _KEY2 = "APIXO_API_KEY", "APIXO_API_KEY2"
_BAD_USAGE = 2
_UNREACHABLE = 3
# As in `sysexits.h` and in shells.
FAULT = 70

# 0 and 1 are the exit codes of a report.
EXIT_CODES = {
    0: "the target keeps the contract; of `diff`: both answer alike",
    1: "it drifted: a promise is broken; of `diff`: they differ",
    _BAD_USAGE: "bad usage: an option, a file or a key cannot be used",
    _UNREACHABLE: "the target cannot be reached, or is too busy to be judged",
    FAULT: "a fault of `apixo-contract` itself, or its extra is not installed",
    INTERRUPTED: "interrupted by Ctrl-C; the last line shows what was spent",
}


# --- options ----------------------------------------------------------------------------------


FILE = click.Path(dir_okay=False, path_type=Path)
_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_LIVE = click.option(
    "--live", is_flag=True, help="Allow a target that is not this machine: it costs real money."
)


def _run_option(name: str, **more: Any) -> Callable[[Command], Command]:
    """Return an option of a run; `settle` reads its text."""
    known = option(name)
    default = more.pop("default", known.default)
    return click.option(
        f"--{name}",
        known.field,
        type=str,
        metavar="TEXT" if known.kind is str else name.rpartition("-")[2].upper(),
        default=default,
        show_default=default is not None,
        help=more.pop("help", known.text),
    )


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for found in reversed(options):
            command = found(command)
        return command

    return add


_target_options = _with(
    click.option("--base-url", help="The API's address, with or without /api/v1. [APIXO_BASE_URL]"),
    click.option("--api-key", help="The key. Better: APIXO_API_KEY, which no process list shows."),
    *(_run_option(known.name) for known in OPTIONS),
    _LIVE,
)
_report_options = _with(
    click.option("--report", "json_path", type=FILE, help="Write the report as JSON."),
    click.option("--html", "html_path", type=FILE, help="Write the report as one HTML page."),
    click.option("--junit", "junit_path", type=FILE, help="Write the report as JUnit XML."),
    click.option(
        "--ledger",
        type=FILE,
        help="Read what earlier live runs have shown, and add what a live run shows.",
    ),
)


# --- how a command ends -----------------------------------------------------------------------


@contextmanager
def _exit_codes() -> Iterator[list[Run]]:
    """Turn what stops a command into clear lines and its exit code.

    Yields a list for the runs that are made in the block, complete or not: what they have cost is
    told if they were in vain.
    """
    made: list[Run] = []
    try:
        yield made
    except KeyboardInterrupt:
        _stop("interrupted", INTERRUPTED, made)
    except Unreachable as error:
        _stop(str(error), _UNREACHABLE, _paid(made))
    except BrokenPipeError:
        raise  # the reader of the output has closed it: click ends the command quietly
    except (OSError, UsageError) as error:
        _stop(str(error), _BAD_USAGE, _paid(made))
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not look like drift
        traceback.print_exc()
        words = f"this is a fault of apixo-contract and not of the target ({type(error).__name__})"
        _stop(f"{words}; please report it with the lines above", FAULT, _paid(made))


def _paid(made: Iterable[Run]) -> list[Run]:
    return [run for run in made if unjudged(run).spent_usd]


def _stop(words: str, code: int, made: Iterable[Run]) -> None:
    for line in (words, *(f"{run.target}: {cost_line(unjudged(run))}" for run in made)):
        _say(line)
    sys.exit(code)


def _say(words: str) -> None:
    click.echo(f"apixo-contract: {escape_invisible(words)}", err=True)


def _tell(words: str) -> None:
    """Show what happens, on a terminal only: a log needs just the report."""
    if sys.stderr.isatty():
        click.echo(f"… {words}", err=True)


def _announce(settings: Settings) -> None:
    """Show what a run may cost, if it costs real money."""
    if not settings.is_local:
        click.echo(
            f"{settings.base_url}: this run costs at most ${settings.budget_usd}; "
            "what costs nothing is checked first",
            err=True,
        )


def _settle(options: dict[str, Any]) -> Settings:
    settings = settle(options.pop("base_url"), options.pop("api_key"), options)
    _announce(settings)
    return settings


def _observe(
    made: list[Run],
    settings: Settings,
    keep: Callable[[Run], object] = lambda _run: None,
    *,
    with_client: bool = True,
) -> Run:
    """Make a run, and add it to those of `_exit_codes`; ``keep`` gets one that is stopped."""

    def stopped(run: Run) -> None:
        made.append(run)
        keep(run)

    run = observe(settings, tell=_tell, stopped=stopped, with_client=with_client)
    made.append(run)
    return run


def _delivery(options: dict[str, Any], cassette: Path | None) -> Callable[..., int]:
    """Return what judges a run, prints and writes its report, and returns its exit code.

    Files that cannot be used are found at once, and not after money was spent. If one cannot be
    written after all, the others are.

    Args:
        options: The options of the command; those of the report are taken out.
        cassette: The cassette that is read or written; no other file may replace it.
    """
    forms = {"json_path": render_json, "html_path": render_html, "junit_path": render_junit}
    asked = [(path, form) for name, form in forms.items() if (path := options.pop(name))]
    ledger = options.pop("ledger")
    paths = [path for path, _ in asked] + ([ledger] if ledger else [])
    must_differ(*paths, cassette)
    for path in paths:
        must_be_writable(path)
    earlier = read_evidence(ledger) if ledger else {}

    def deliver(run: Run, *first: Callable[[], object]) -> int:
        report = judge(run, earlier)
        writes: list[Callable[[], object]] = [*first, partial(print_report, report)]
        writes += [partial(_write_form, path, form, report) for path, form in asked]
        if ledger and (new := evidence_of(report)):
            writes.append(partial(write_evidence, ledger, {**earlier, **new}))
        write_all(*writes, partial(append_step_summary, report))
        return report.exit_code

    return deliver


def _write_form(path: Path, form: Callable[[Report], str], report: Report) -> None:
    write_whole(path, form(report))


# --- commands ---------------------------------------------------------------------------------

_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(
    f"{code:>5}  {meaning}" for code, meaning in EXIT_CODES.items()
)


@click.group("apixo-contract", cls=Program, epilog=_EXIT_CODES)
@click.version_option(None, "-V", "--version", package_name="apixo-emulator")
def main() -> None:
    """Check whether a server keeps APIXO's contract."""
    # Hypothesis keeps tables of characters; they belong into the user's cache, not into the working
    # folder. It keeps no examples: what is sent to a target stays in this process.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache / "apixo-contract"))


@main.command()
@_target_options
@_report_options
@click.option(
    "--cassette", type=_EXISTING, help="Judge a recorded run again; the target is not called."
)
def verify(cassette: Path | None, **options: Any) -> None:
    """Make a run against a target and judge it, or judge a recorded one."""
    with _exit_codes() as made:
        deliver = _delivery(options, cassette)
        run = read_cassette(cassette) if cassette else _observe(made, _settle(options))
        sys.exit(deliver(run))


@main.command()
@_target_options
@_report_options
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    help="The cassette to write, as JSON lines; its secrets are masked.",
)
def record(output: Path, **options: Any) -> None:
    """Verify a target, and keep every call as a cassette.

    `apixo-contract verify --cassette FILE` judges it again later, without calling the target. What a
    stopped run has seen is kept as FILE.part, which is a cassette, too.
    """
    with _exit_codes() as made:
        deliver = _delivery(options, output)
        must_be_writable(output)
        settings = _settle(options)
        run = _observe(made, settings, partial(_keep_part, output, settings.api_key))
        sys.exit(deliver(run, partial(write_cassette, output, run, [settings.api_key])))


def _keep_part(path: Path, key: str, run: Run) -> None:
    """Keep what a stopped run has seen, which may have been paid, beside the cassette that it was to be."""
    part = path.with_name(f"{path.name}.part")
    if not any(call.status for call in run.exchanges):
        return
    with suppress(OSError, CassetteError):  # the command ends with the error that stopped the run
        write_cassette(part, run, [key])
        _say(f"the calls so far are in {part}")


@main.command()
@click.argument("url1")
@click.argument("url2")
@click.option("--api-key", help=f"The key of URL1. [{_KEY}]")
@click.option("--api-key2", help=f"The key of URL2. [{_KEY2}, else {_KEY}]")
@_with(
    _run_option("image-url", help="A picture that both can fetch and enlarge."),
    _run_option("failing-image-url"),
    _run_option(
        "budget-usd",
        help="The most that both together may cost; a target on this machine costs nothing.",
        default=str(DEFAULT_BUDGET),
    ),
    _run_option("max-wait"),
    _run_option("examples"),
    _run_option("seed", default=0, help="Which bodies are generated."),
    _LIVE,
)
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
    with _exit_codes() as made:
        keys = _keys((url1, url2), (api_key, api_key2), os.environ)
        # Foreign targets share the budget; each gets the same tasks.
        foreign = sum(not is_loopback(url) for url in (url1, url2))
        budget = option("budget-usd").read(options["budget_usd"])
        options["budget_usd"] = budget / max(1, foreign)
        both = [settle(url, key, options) for url, key in zip((url1, url2), keys, strict=True)]
        if json_path:
            must_be_writable(json_path)
        for settings in both:
            check_target(settings)
        for settings in both:
            _announce(settings)
        for settings in both:
            _tell(settings.base_url)
            _observe(made, settings, with_client=False)
        found = compare(*made)
        writes = [partial(click.echo, render_comparison(found), nl=False)]
        if json_path:
            text = f"{json.dumps(found.to_json(), indent=2)}\n"
            writes.append(partial(write_whole, json_path, text))
        write_all(*writes)
        sys.exit(found.exit_code)


def _keys(
    urls: tuple[str, str], given: tuple[str | None, str | None], environ: Mapping[str, str]
) -> tuple[str, str]:
    """Return the two keys; a key that was meant for one host is never sent to another.

    Raises:
        UsageError: The second key is missing.
    """
    common = environ.get(_KEY)
    own = given[1] or environ.get(_KEY2)
    first, second = given[0] or common, own or common
    first, second = first or second, second or first
    foreign = {url.partition("://")[2].partition("/")[0] for url in urls if not is_loopback(url)}
    if len(foreign) > 1 and not own:
        raise UsageError(
            f"{urls[1]} is another host, to which the key of {urls[0]} must not go: give "
            f"--api-key2, or set {_KEY2}"
        )
    return first or "", second or ""


@main.command()
@click.option(
    "--report", "report_path", type=_EXISTING, required=True, help="The JSON report of a run."
)
@click.option("-o", "--output", type=FILE, help="The profile to write. [standard output]")
def learn(report_path: Path, output: Path | None) -> None:
    """Turn the refuted assumptions of a report into a profile.

    `apixo-emulator serve --profile FILE` then behaves as was observed.
    """
    with _exit_codes():
        must_differ(report_path, output)
        value = read_json(report_path, "a report of apixo-contract")
        try:
            report = Report.from_json(value)
            text = profile_toml(report)
            settings = len(profile_of(report).assumptions)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{report_path}: {error}") from None
        if output is None:
            click.echo(text, nl=False)
        else:
            write_whole(output, text)
            click.echo(f"{output}: {plural(settings, 'setting')}")


@main.command()
@click.argument("body", type=click.File("rb"))
def explain(body: Any) -> None:
    """Show what the contract answers a submit body, and why.

    BODY is a file with JSON, or - for standard input. No target is called.
    """
    with _exit_codes():
        click.echo(explained(decode_utf8(body.read())), nl=False)
