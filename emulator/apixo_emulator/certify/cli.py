"""The commands `certify-receiver` and `certify-client`."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import click

from apixo_emulator.certify import report
from apixo_emulator.certify.client import ClientCertifier, accounts_config
from apixo_emulator.certify.client_cases import client_cases
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Certificate, NothingToJudgeError, Result, Verdict
from apixo_emulator.certify.receiver import ReceiverCertifier
from apixo_emulator.certify.receiver_cases import receiver_cases
from apixo_emulator.domain.text import nearest
from apixo_emulator.exchange import OutboundUntrusted
from apixo_emulator.outbound import tls_context

FAILED = 1
USAGE = 2
NOTHING_TO_JUDGE = 3
INTERRUPTED = 130
# The receiver polls with a key of its own, which must be shown the certifier's tasks.
ANY_KEY = 'form = 1\nname = "certify"\n\n[assumptions]\n"task.other_key" = "shown"\n'
_REPORTS: dict[str, Callable[[Certificate], str]] = {
    "report": report.as_json,
    "html": report.as_html,
    "junit": report.as_junit,
    "sarif": report.as_sarif,
}
_NO_CALL = (
    "The command made no call to the certifier's emulator, so that it was not started for all cases: let it send"
    " every call to the address in APIXO_BASE_URL."
)
_Case = TypeVar("_Case", bound=Any)
_FILE = click.Path(dir_okay=False, path_type=Path)


def _options(jobs: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that both commands have; ``jobs`` is a default."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--jobs", type=click.IntRange(1, 64), default=jobs, show_default=True, help="Cases at the same time."),
            click.option("--only", multiple=True, metavar="ID", help="Run this case, or all whose ids begin so; repeatable."),
            click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the emulator."),
            click.option("--report", type=_FILE, metavar="FILE", help="Write the report as JSON."),
            click.option("--html", type=_FILE, metavar="FILE", help="Write the report as one HTML page."),
            click.option("--junit", type=_FILE, metavar="FILE", help="Write the report as JUnit XML."),
            click.option("--sarif", type=_FILE, metavar="FILE", help="Write failures and warnings as SARIF."),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        # As a connection needs it: no empty or long label.
        host = (parts.hostname or "").encode("idna")
        usable = parts.scheme in {"http", "https"} and host and parts.port != 0
        # A callback URL carries no user; it is sent as it is.
        usable = usable and parts.username is None and parts.password is None
        usable = usable and value.isascii() and value.isprintable() and " " not in value
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"expected http://HOST[:PORT]/PATH, found {value!r}")
    return value


def _authority(
    _context: click.Context, _parameter: click.Parameter, value: Path | None
) -> Path | None:
    try:
        tls_context(value)
    except OutboundUntrusted as error:
        raise click.BadParameter(str(error)) from None
    return value


@click.command("certify-receiver")
@click.argument("url", callback=_url)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port of the certifier's own emulator; 0 takes a free one.")  # fmt: skip
@click.option("--effects", metavar="COMMAND", help="Command that prints how many results the application has taken in so far.")  # fmt: skip
@click.option("--ca", type=_FILE, callback=_authority, metavar="FILE", help="Also trust this certificate authority (PEM) of the receiver.")  # fmt: skip
@_options(jobs=4)
def certify_receiver(
    *,
    url: str,
    port: int,
    effects: str | None,
    ca: Path | None,
    only: Sequence[str],
    jobs: int,
    seed: int,
    **files: Path | None,
) -> None:
    """Send rare and hostile callbacks to the receiver at URL, and judge what it does.

    Start your application before, with APIXO_BASE_URL=http://127.0.0.1:PORT/api/v1 and any key, if it polls the API or
    downloads results.
    """
    cases = _chosen(receiver_cases(), only)

    async def judged(emulator: OwnEmulator) -> Certificate:
        certifier = ReceiverCertifier(url, emulator, effects, ca=ca)
        results = await certifier.run(cases, jobs, _progress)
        figures, note = certifier.figures(), certifier.note(results)
        return Certificate("certify-receiver", url, results, figures, note)

    options = ["--seed", str(seed), "--latency", "0", *(["--ca", str(ca.resolve())] if ca else [])]
    _run(judged, files, port=port, options=options, profile=ANY_KEY)


@click.command("certify-client", context_settings={"ignore_unknown_options": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--timeout", type=click.FloatRange(1), default=60.0, show_default=True, help="Seconds after which the command is killed.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0.1, 100), default=1.0, show_default=True, help="How much faster the emulator's time runs; dates stay those of the system.")  # fmt: skip
@_options(jobs=16)  # most of the time is the commands' own waiting
def certify_client(
    *,
    command: Sequence[str],
    timeout: float,
    rate: float,
    only: Sequence[str],
    jobs: int,
    seed: int,
    **files: Path | None,
) -> None:
    """Run COMMAND once per case against an API that misbehaves, and judge what it did.

    COMMAND upscales one picture and ends with 0 if it got the result. It finds APIXO_BASE_URL, APIXO_API_KEY and
    APIXO_CASE in its environment.
    """
    cases = _chosen(client_cases(), only)

    async def judged(emulator: OwnEmulator) -> Certificate:
        certifier = ClientCertifier(command, emulator, timeout, rate)
        results = await certifier.run(cases, jobs, _progress)
        is_partial = any(result.verdict is Verdict.SKIPPED for result in results)
        note = _NO_CALL if is_partial else ""
        return Certificate("certify-client", " ".join(command), results, note=note)

    options = ["--world-per-key", "--seed", str(seed)]
    _run(judged, files, port=0, options=options, config=accounts_config(cases))


def _chosen(cases: list[_Case], only: Sequence[str]) -> list[_Case]:
    for wanted in only:
        if not wanted or not any(case.id.startswith(wanted) for case in cases):
            groups = ", ".join(dict.fromkeys(case.id.partition(".")[0] for case in cases))
            near = nearest(wanted, [case.id for case in cases])
            hint = f"; did you mean {near}?" if near else ""
            raise click.BadParameter(
                f"expected a case, or one of the groups {groups}; found {wanted!r}{hint}",
                param_hint="--only",
            )
    return [case for case in cases if not only or case.id.startswith(tuple(only))]


def _progress(result: Result) -> None:
    click.echo(report.line(result))


def _run(
    judged: Callable[[OwnEmulator], Coroutine[Any, Any, Certificate]],
    files: dict[str, Path | None],
    *,
    port: int,
    options: Sequence[str],
    config: str = "",
    profile: str = "",
) -> None:
    """Run a certification, write its reports and end the process with its exit code."""
    _interrupt_on_signals()
    try:
        with own_emulator(port, options, config=config, profile=profile) as emulator:
            certificate = asyncio.run(judged(emulator))
    except NothingToJudgeError as error:
        _fail(str(error), NOTHING_TO_JUDGE)
    except KeyboardInterrupt:
        _fail("interrupted before all cases were judged", INTERRUPTED)
    for text in report.explained(certificate):
        click.echo(text)
    for name, render in _REPORTS.items():
        path = files[name]
        if path is not None:
            try:
                report.write(path, render(certificate))
            except OSError as error:
                _fail(f"--{name}: {path} cannot be written: {error.strerror}", USAGE)
    try:
        report.write_step_summary(certificate)
    except OSError as error:
        click.echo(
            f"Warning: the step summary is not written: {error.filename}: {error.strerror}",
            err=True,
        )
    if certificate.counts[Verdict.FAIL]:
        sys.exit(FAILED)


def _interrupt_on_signals() -> None:
    """Let the signals that end a process do what Ctrl-C does, so that commands and emulator end, too."""
    # A shell ignores it for what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
