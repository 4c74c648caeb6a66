"""What the commands of all packages share: wrong usage is one line, and never a traceback."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

INTERRUPTED = 130
# What writing to a full or broken disk raises.
_UNWRITTEN = {errno.ENOSPC, errno.EIO}


class Program(click.Group):
    """A group of commands; each returns its exit code, or None for 0."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__(*args, context_settings=settings, **attributes)

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command line, and exit; wrong usage is one line on stderr."""
        for stream in ("stdout", "stderr"):
            if getattr(sys, stream) is None:  # closed by the starter, as by `>&-`
                # Open for as long as the process lives.
                setattr(sys, stream, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        name = options["prog_name"] = options.get("prog_name") or self.name
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            click.echo(f"{name}: {explain(error)}", err=True)
            code = error.exit_code
        except click.Abort:
            click.echo(f"{name}: interrupted", err=True)
            code = INTERRUPTED
        except OSError as error:
            if error.errno not in _UNWRITTEN:
                raise
            click.echo(f"{name}: the output was not written: {error.strerror}", err=True)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


def explain(error: click.ClickException) -> str:
    """Return what is wrong with a command line: the option, what was expected, what was found."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    see_help = f" See `{context.command_path} --help`." if context else ""
    match error:
        case click.NoSuchOption():
            close = f" Did you mean {error.possibilities[0]}?" if error.possibilities else ""
            return f"expected an option that exists, found {error.option_name}.{close}{see_help}"
        case click.BadOptionUsage():
            takes_one = not error.message.endswith("does not take a value.")
            expected = "a value, found nothing" if takes_one else "no value, found one"
            return f"{error.option_name}: expected {expected}.{see_help}"
        case click.MissingParameter(param=click.Parameter() as param) if context:
            return f"expected {param.make_metavar(context)}, found nothing.{see_help}"
        case click.BadParameter(param=click.Parameter() as param):
            name = param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name
            return f"{name}: {error.message}"
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'}{see_help}"
