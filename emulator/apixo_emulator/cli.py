"""The command ``apixo-emulator``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from apixo_emulator.extras import what_to_install

try:
    from apixo_emulator.config_file import CONFIG_FILE, load_settings
    from apixo_emulator.option_types import Option
    from apixo_emulator.settings import OPTIONS
except ModuleNotFoundError as error:  # the base install has only the client
    raise SystemExit(f"apixo-emulator needs {what_to_install(error)}") from None

from apixo_schemas.command_line import Program


class _Program(Program):
    """Loads the commands that control a running emulator when one of them is used."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except ModuleNotFoundError as error:
            sys.exit(f"{self.name} needs {what_to_install(error)}")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            self._load()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def _load(self) -> None:
        from apixo_emulator.certify.cli import certify_client, certify_receiver
        from apixo_emulator.control_commands import COMMANDS

        for command in (*COMMANDS, certify_client, certify_receiver):
            self.add_command(command)


@click.group(
    "apixo-emulator",
    cls=_Program,
    epilog="Completion of commands, options and scenario names in bash:"
    ' eval "$(_APIXO_EMULATOR_COMPLETE=bash_source apixo-emulator)"; also zsh_source, fish_source.',
)
@click.version_option(None, "-V", "--version", package_name="apixo-emulator")
def main() -> None:
    """Emulate APIXO's Image Upscaler on this machine."""


def _click_option(option: Option) -> click.Option:
    """Return an option for click, which splits the command line; `load_settings` reads the values."""
    plain = click.Path() if option.type.is_path else click.STRING

    def complete(*given: Any) -> list[Any]:
        context, parameter, begun = given
        if option.type.choices:
            return [name for name in option.type.choices if name.startswith(begun)]
        return plain.shell_complete(context, parameter, begun)

    return click.Option(
        [option.flag, *filter(None, [option.short]), option.name],
        default=None,
        help=option.help + (f" [default: {option.default}]" if option.default else ""),
        is_flag=option.type.is_switch,
        metavar=None if option.type.is_switch else option.type.metavar,
        multiple=option.type.is_list,
        shell_complete=complete,
        type=None if option.type.is_switch else click.STRING,
    )


@main.command(params=[*map(_click_option, OPTIONS.values())])
@click.option(
    "--config",
    help=f"all of this in a file [default: {CONFIG_FILE}, or [tool.apixo-emulator] in pyproject.toml]",
    metavar="FILE",
    type=click.Path(path_type=Path),
)
def serve(config: Path | None, **flags: Any) -> None:
    """Serve the API until SIGTERM or Ctrl-C.

    The first line on stdout is the ready line with the API's base URL. Exit codes: 0 after a signal,
    2 where it cannot start. Each option is an environment variable, too: --log-format is
    APIXO_EMULATOR_LOG_FORMAT. Flags win over the environment, and that over the file.
    """
    # What only `serve` needs is loaded here, so that --help answers at once.
    from apixo_emulator.runtime import StartError
    from apixo_emulator.serve import serve as run
    from apixo_emulator.storage import StoreError

    given = {name: value for name, value in flags.items() if value not in (None, (), False)}
    try:
        run(load_settings(given, config=config))
    except (ValueError, StartError, StoreError) as error:
        for line in str(error).split("\n"):
            click.echo(f"apixo-emulator: {line}", err=True)
        sys.exit(2)


@main.command()
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """Print a JSON Schema or OpenAPI document by NAME, such as openapi, request, status or scenarios.

    Without NAME the names of all. They are those that a running emulator serves under
    /_emulator/schemas/.
    """
    import json

    from apixo_emulator.http.openapi import schema_document, schema_names

    if name is None:
        click.echo("\n".join(found.removesuffix(".json") for found in schema_names()))
        return
    try:
        found = schema_document(name)
    except KeyError as error:
        raise click.UsageError(str(error.args[0])) from None
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


_MARKS = {True: "ok  ", False: "FAIL", None: "    "}


@main.command()
@click.argument("url")
@click.option("--probe", is_flag=True, help="also POST a sample payload to the URL, once")
@click.option(
    "--ca",
    "--callback-ca",
    "ca_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="trust this certificate authority (PEM) too",
)
def doctor(url: str, *, probe: bool, ca_file: Path | None) -> None:
    """Report whether the live API could deliver callbacks to URL, and if not, why.

    Nothing is sent unless --probe asks for it; a host's name is resolved. Exit codes: 0 it could,
    1 it could not.
    """
    from apixo_emulator.doctor import diagnose

    findings = diagnose(url, probe=probe, ca_file=ca_file)
    for finding in findings:
        click.echo(f"{_MARKS[finding.ok]} {finding.check}: {finding.words}")
    could = all(finding.ok is not False for finding in findings)
    click.echo(f"The live API could{'' if could else ' not'} deliver callbacks to this URL.")
    sys.exit(0 if could else 1)
