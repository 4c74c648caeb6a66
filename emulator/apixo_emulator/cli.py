"""The command ``apixo-emulator``."""

from __future__ import annotations

import os
import sys
from dataclasses import Field, fields
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

try:
    import click
except ImportError:  # the base install has only the client
    raise SystemExit(
        "apixo-emulator: the emulator is not installed; run: pip install 'apixo-emulator[emulator]'"
    ) from None

from apixo_emulator.settings import Settings

_USAGE = 2
CONFIG_VARIABLE = "APIXO_EMULATOR_CONFIG"


def _type_of(annotation: Any) -> Any:
    if annotation in (Path, Path | None):
        return click.Path(path_type=Path)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return click.Choice(annotation, case_sensitive=False)
    if annotation in (float, float | None):
        return float
    return int if annotation in (int, int | None) else str


def _option(entry: Field[Any], annotation: Any) -> click.Option:
    notes = entry.metadata
    is_flag = annotation is bool
    return click.Option(
        [*notes["flags"], entry.name],
        default=None if entry.default == () else entry.default,
        envvar=list(notes["env"]) or None,
        help=notes["text"],
        is_flag=is_flag,
        metavar=notes["metavar"] or None,
        multiple=annotation == tuple[str, ...],
        show_default=entry.default not in (None, (), False),
        show_envvar=bool(notes["env"]),
        type=None if is_flag else _type_of(annotation),
    )


def _serve(**values: Any) -> None:
    # What only `serve` needs is loaded here, so that --help answers at once.
    from apixo_emulator.http.run import serve
    from apixo_emulator.http.supervisor import StartError
    from apixo_emulator.storage import StoreError

    try:
        serve(Settings(**values, accounts=click.get_current_context().obj))
    except (ValueError, StartError, StoreError) as error:
        click.echo(f"apixo-emulator: {error}", err=True)
        sys.exit(_USAGE)


class _ServeCommand(click.Command):
    """A command whose profile and configuration file are read before its other options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the profile in force, then take the file's options as defaults.

        They stand behind the environment and the flags. The profile comes first: it changes what
        the contract says, which checking the options reads.
        """
        from apixo_emulator.config import load_config, profile_in
        from apixo_emulator.settings import use_profile_file

        path = _early(args, "--config", CONFIG_VARIABLE)
        profile = _early(args, "--profile", "APIXO_EMULATOR_PROFILE")
        try:
            use_profile_file(profile or profile_in(path, Path.cwd()))
            config = load_config(path, Path.cwd())
        except (OSError, ValueError) as error:
            click.echo(f"apixo-emulator: {error}", err=True)
            sys.exit(_USAGE)
        options = dict(config.options)
        # They contradict each other, and what is said here wins over the file.
        if "--ephemeral" in args:
            options.pop("data", None)
        if _early(args, "--data", "APIXO_EMULATOR_DATA"):
            options.pop("ephemeral", None)
        ctx.default_map = options
        ctx.obj = config.accounts
        return super().parse_args(ctx, args)


def _early(args: list[str], flag: str, variable: str) -> Path | None:
    """Read an option before all others are read: the flag's last value, else the environment's."""
    found = os.environ.get(variable) or None
    for this, following in zip(args, [*args, None][1:], strict=True):
        if this.startswith(f"{flag}="):
            found = this.partition("=")[2]
        elif this == flag and following is not None:
            found = following
    return None if found is None else Path(found)


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        envvar=CONFIG_VARIABLE,
        expose_value=False,
        help="all of this in a file [default: apixo-emulator.toml, or [tool.apixo-emulator] in"
        " pyproject.toml]",
        metavar="FILE",
        show_envvar=True,
        type=click.Path(path_type=Path),
    )


def _serve_command() -> click.Command:
    hints = get_type_hints(Settings)
    options = [entry for entry in fields(Settings) if "flags" in entry.metadata]
    return _ServeCommand(
        "serve",
        callback=_serve,
        params=[_config_option(), *(_option(entry, hints[entry.name]) for entry in options)],
        help=(
            "Serve the API until SIGTERM or Ctrl-C. The first line on stdout is the ready line "
            "with the API's base URL. Exit codes: 0 after a signal, 2 where it cannot start."
        ),
    )


class _Commands(click.Group):
    """Loads the commands that steer where one of them is asked for: `serve` does not wait for them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command."""
        if cmd_name not in self.commands:
            self._load()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names of all, for the help."""
        self._load()
        return super().list_commands(ctx)

    def _load(self) -> None:
        from apixo_emulator.cli_control import COMMANDS

        for command in COMMANDS:
            self.add_command(command)


@click.group(cls=_Commands)
@click.version_option(package_name="apixo-emulator")
def main() -> None:
    """Emulate APIXO's Image Upscaler on this machine."""


main.add_command(_serve_command())

_MARKS = {True: "ok  ", False: "FAIL", None: "    "}


@main.command()
@click.argument("url")
@click.option("--probe", is_flag=True, help="also POST a sample payload to the URL, once")
@click.option(
    "--callback-ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="trust this certificate authority (PEM) too",
)
def doctor(url: str, *, probe: bool, callback_ca: Path | None) -> None:
    """Say whether the live API could deliver callbacks to URL, and if not, why.

    Nothing is sent unless --probe asks for it; a host's name is resolved. Exit codes: 0 it could,
    1 it could not.
    """
    from apixo_emulator.doctor import diagnose

    findings = diagnose(url, probe=probe, ca_file=callback_ca)
    for finding in findings:
        click.echo(f"{_MARKS[finding.ok]} {finding.check}: {finding.words}")
    could = all(finding.ok is not False for finding in findings)
    click.echo(f"The live API could{'' if could else ' not'} deliver callbacks to this URL.")
    sys.exit(0 if could else 1)
