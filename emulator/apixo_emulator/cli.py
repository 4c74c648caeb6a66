"""The command ``apixo-emulator``."""

from __future__ import annotations

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


def _type_of(annotation: Any) -> Any:
    if annotation in (Path, Path | None):
        return click.Path(path_type=Path)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return click.Choice(annotation, case_sensitive=False)
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
    from apixo_emulator.server.run import StartError, serve
    from apixo_emulator.storage import StoreError

    try:
        serve(Settings(**values))
    except (ValueError, StartError, StoreError) as error:
        click.echo(f"apixo-emulator: {error}", err=True)
        sys.exit(_USAGE)


def _serve_command() -> click.Command:
    hints = get_type_hints(Settings)
    return click.Command(
        "serve",
        callback=_serve,
        params=[_option(entry, hints[entry.name]) for entry in fields(Settings)],
        help=(
            "Serve the API until SIGTERM or Ctrl-C. The first line on stdout is the ready line "
            "with the API's base URL. Exit codes: 0 after a signal, 2 where it cannot start."
        ),
    )


@click.group()
@click.version_option(package_name="apixo-emulator")
def main() -> None:
    """Emulate APIXO's Image Upscaler on this machine."""


main.add_command(_serve_command())
