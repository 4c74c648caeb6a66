"""The command `apixo-client`: arguments in, texts and an exit code out."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from threading import Event, Lock
from typing import Any

import click

from apixo_client import errors
from apixo_client.callback_server import CallbackRequest, CallbackServer
from apixo_client.client import WAIT_TIMEOUT_S, Apixo
from apixo_client.images import is_special, suffixes
from apixo_client.models import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    HIGHEST_PORT,
    Pace,
    Result,
    Task,
    TaskState,
    one_line,
    printable,
)
from apixo_client.webhooks import CallbackReply, SeenTasks, answer
from apixo_schemas import contract
from apixo_schemas.command_line import Program

# Thirty years: within what every system can sleep.
_LONGEST_S = 1_000_000_000


class Exit(IntEnum):
    """The exit codes; 1 is Python's own for an unexpected error."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    UNAVAILABLE = 4
    FAILED = 5
    RUNNING = 6
    NOT_SAVED = 7
    INTERRUPTED = 130


_EPILOG = f"""\b
Exit codes:
  0    done
  2    wrong usage: arguments, API key, base URL, or the local image
  3    the service refused the request (4xx other than 429); repeating it does not help
  4    no usable response (network, 429, 5xx, not as documented); try again later
  5    the task failed
  6    the task still runs after --timeout; go on with `apixo-client wait`
  7    the result exists, but was not downloaded or not written; its URL is shown
  130  interrupted

\b
Environment:
  {API_KEY_VARIABLE}   the API key; it is never an argument
  {BASE_URL_VARIABLE}  where the API is, unless --base-url is given
"""


def exit_code(error: errors.ApixoError) -> Exit:
    """Return the exit code of an error."""
    match error:
        case errors.ConfigurationError() | errors.ImageFileError():
            return Exit.USAGE
        case errors.TaskFailed():
            return Exit.FAILED
        case errors.WaitTimeout():
            return Exit.RUNNING
        case (
            errors.TransportError()
            | errors.RateLimitedError()
            | errors.ServerError()
            | errors.InvalidResponseError()
        ):
            return Exit.UNAVAILABLE
        case _:
            return Exit.REFUSED


class _Progress:
    """Shows a task, a line for each change, and keeps it for an interruption."""

    task: Task | None = None

    def __call__(self, task: Task) -> None:
        if self.task is None or self.task.state != task.state:
            sys.stderr.write(one_line(f"{task.id} {task.state or 'running'}") + "\n")
            sys.stderr.flush()
        self.task = task


@contextmanager
def _client(poll_interval: float | None = None) -> Iterator[tuple[Apixo, _Progress]]:
    """Yield a client, and what shows the task that is waited for; an error ends the command."""
    progress = _Progress()
    try:
        pace = None if poll_interval is None else Pace.every(poll_interval)
        with Apixo(base_url=click.get_current_context().obj, pace=pace) as client:
            yield client, progress
    except errors.ApixoError as error:
        # A task that the service does not know cannot be waited for.
        is_unknown = isinstance(error, errors.NotFoundError)
        _complain(str(error), None if is_unknown else error.task)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        _complain("interrupted", progress.task)
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        raise  # the reader of the output has closed it: click ends the command quietly
    except OSError as error:
        if error.filename is None:
            raise  # of stdout, of which `Program` tells
        # Of a local image: errors of a result are reported where it is written.
        file = str(error.filename)
        _complain(f"expected a URL or a local image, found {file!r}: {error.strerror}")
        sys.exit(Exit.USAGE)


def _warn_of_suffix(output: Path | None, output_format: str) -> None:
    fitting = suffixes(output_format)
    if output is not None and fitting and output.suffix.lower() not in fitting:
        _complain(
            f"{output} will hold a {output_format} picture; give it a name that ends in "
            f"{' or '.join(fitting)}, or choose another --format"
        )


def _deliver(result: Result, output: Path | None) -> Exit:
    try:
        _say(result.url if output is None else str(result.download(output)))
    except BrokenPipeError:
        raise  # as in `_client`
    except (errors.ApixoError, OSError) as error:
        _complain(f"{error}\nThe result is at {result.url}")
        return Exit.NOT_SAVED
    return Exit.DONE


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def _complain(message: str, task: Task | None = None) -> None:
    sys.stderr.write(f"apixo-client: {printable(message)}\n")
    if task is not None and not task.is_final:
        sys.stderr.write(f"Go on with: apixo-client wait {printable(task.id)}\n")


# Arguments


def _image(text: str) -> str | Path:
    # A text with a scheme is a URL; the service decides which ones it takes.
    text = _text(text)
    return text if "://" in text or text.startswith("data:") else Path(text)


def _output(text: str) -> Path:
    # Checked before the submit, which costs money.
    path = Path(text)
    if not text or path.is_dir() or is_special(path):
        raise click.BadParameter(f"expected the name of a file, found {text!r}")
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise click.BadParameter(
            f"expected a file in a folder that exists and is writable, found {str(path)!r}"
        )
    return path


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        raise click.BadParameter(f"expected text in UTF-8, found {text!r}") from None
    if not text.strip():
        raise click.BadParameter("expected a text, found an empty one")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Written so that NaN is refused too.
    if not 0 <= seconds <= _LONGEST_S:
        raise click.BadParameter(f"expected seconds from 0 to {_LONGEST_S}, found {text!r}")
    return seconds


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST_PORT):
        raise click.BadParameter(f"expected a port from 0 to {HIGHEST_PORT}, found {text!r}")
    return int(text)


def _completes(names: Iterable[str]) -> Any:
    """Return what completes names; the service decides which ones it takes."""
    return lambda _context, _option, begun: [name for name in names if name.startswith(begun)]


_files = click.Path().shell_complete
_task_argument = click.argument("task_id", metavar="TASK", type=_text)
_output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=_output,
    help="where the result is saved [default: its URL is shown]",
    shell_complete=_files,
)
_timeout_option = click.option(
    "--timeout",
    metavar="S",
    type=_seconds,
    default=f"{WAIT_TIMEOUT_S:g}",
    help="seconds to wait at most",
    show_default=True,
)
_interval_option = click.option(
    "--poll-interval",
    metavar="S",
    type=_seconds,
    help="seconds between polls [default: as documented for the tier]",
)


# Commands


@click.group("apixo-client", cls=Program, epilog=_EPILOG)
@click.version_option(
    None, "-V", "--version", package_name="apixo-emulator", message="%(prog)s %(version)s"
)
@click.option("--base-url", metavar="URL", type=_text, help="the API, with or without /api/v1")
@click.pass_context
def main(context: click.Context, base_url: str | None) -> None:
    """Enlarge pictures with APIXO's Image Upscaler."""
    context.obj = base_url


@main.command()
@click.argument("image", metavar="URL", type=_image, shell_complete=_files)
@click.option(
    "-r",
    "--resolution",
    metavar="TIER",
    type=_text,
    help=f"{', '.join(contract().long_edge_px)} [default: {contract().defaults['resolution']}]",
    shell_complete=_completes(contract().long_edge_px),
)
@click.option(
    "-f",
    "--format",
    "output_format",
    metavar="FORMAT",
    type=_text,
    help=f"{', '.join(contract().formats)} [default: {contract().defaults['output_format']}]",
    shell_complete=_completes(contract().formats),
)
@_output_option
@_timeout_option
@_interval_option
def upscale(
    *,
    image: str | Path,
    resolution: str | None,
    output_format: str | None,
    output: Path | None,
    timeout: float,
    poll_interval: float | None,
) -> Exit:
    """Submit a picture, a public URL or a local file to send along, and wait for the result."""
    _warn_of_suffix(output, output_format or contract().defaults["output_format"])
    with _client(poll_interval) as (client, progress):
        result = client.upscale(
            image,
            resolution=resolution,
            output_format=output_format,
            timeout=timeout,
            on_progress=progress,
        )
        return _deliver(result, output)


@main.command()
@_task_argument
@_output_option
@_timeout_option
@_interval_option
def wait(task_id: str, output: Path | None, timeout: float, poll_interval: float | None) -> Exit:
    """Wait for a task that was submitted before."""
    with _client(poll_interval) as (client, progress):
        return _deliver(client.wait(task_id, timeout=timeout, on_progress=progress), output)


@main.command()
@_task_argument
def status(task_id: str) -> Exit:
    """Show a task (exit code 5 if it failed)."""
    with _client() as (client, _):
        task = client.status(task_id)
    for line in (task.state or "running", *task.result_urls, task.fail_code, task.fail_message):
        if line:
            _say(line)
    return Exit.FAILED if task.state == TaskState.FAILED else Exit.DONE


@main.command()
def balance() -> None:
    """Show the remaining balance in USD."""
    with _client() as (client, _):
        _say(f"{client.balance():f}")


class _Printer:
    """Answers callbacks and prints each task once, from any thread."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._seen = SeenTasks()
        self._lock = Lock()
        self.done = Event()

    def answer(self, call: CallbackRequest) -> CallbackReply:
        """Return the reply to a call whose task was printed."""
        reply, task = answer(call.method, call.body)
        if task is None:
            _complain(one_line(f"not a callback: {reply.text}"))
            return reply
        with self._lock:
            if not self.done.is_set() and self._seen.is_new(task):
                what = task.result_urls or (task.fail_code or "", task.fail_message or "")
                words = (str(task.state), task.id, *what)
                _say(one_line(" ".join(part for part in words if part)))
                if self._once:
                    self.done.set()
        return reply


@main.command()
@click.option(
    "--host",
    metavar="ADDRESS",
    type=_text,
    default="127.0.0.1",
    help="address to listen on",
    show_default=True,
)
@click.option(
    "--port",
    metavar="PORT",
    type=_port,
    default="9000",
    help="0 takes a free one",
    show_default=True,
)
@click.option("--once", is_flag=True, help="end after the first callback")
def listen(host: str, port: int, *, once: bool) -> Exit:
    """Receive callbacks and print them as they come, until Ctrl-C or SIGTERM."""
    logging.basicConfig(format="apixo-client: %(message)s")
    printer = _Printer(once=once)
    try:
        server = CallbackServer(printer.answer, host=host, port=port)
    except (OSError, UnicodeError) as error:
        where = f"{host} port {port}"
        _complain(f"cannot listen on {where}: {error}; choose another --port or --host")
        return Exit.USAGE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: printer.done.set())
    with server:
        _say(f"listening for callbacks on {server.url}/")
        printer.done.wait()
    return Exit.DONE
