"""The command `apixo-client`: arguments in, texts and an exit code out."""

from __future__ import annotations

import argparse
import math
import sys
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from apixo_client import _errors as errors
from apixo_client._base import WAIT_TIMEOUT_S
from apixo_client._client import Apixo
from apixo_client._config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from apixo_client._contract import terms
from apixo_client._models import Task, TaskState
from apixo_client._progress import printable, showing
from apixo_client._timing import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apixo_client._flows import OnProgress
    from apixo_client._models import Result


# Thirty years: within what every system can sleep.
_LONGEST_S = 1_000_000_000
_LONGEST_SHOWN = 80
_LONGEST_ID = 1000


class Exit(IntEnum):
    """The exit codes."""

    def __new__(cls, value: int, meaning: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    meaning: str

    DONE = 0, "done"
    # 1 is what Python gives for an unexpected error.
    USAGE = 2, "wrong usage: arguments, API key, base URL, or the local image"
    REFUSED = 3, "the service refused the request (4xx other than 429); repeating it does not help"
    UNAVAILABLE = 4, "no usable answer (network, 429, 5xx, not as documented); try again later"
    FAILED = 5, "the task failed"
    RUNNING = 6, "the task still runs after --timeout; go on with `apixo-client wait`"
    NOT_SAVED = 7, "the result exists, but was not downloaded or not written; its URL is shown"
    INTERRUPTED = 130, "interrupted"


def exit_code(error: errors.ApixoError) -> Exit:
    """Give the exit code of an error."""
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code. The key is read from the environment only."""
    arguments = _parser().parse_args(argv)
    if arguments.run is None:
        return _listen(arguments)
    last_seen: list[Task] = []
    try:
        pace = None if arguments.poll_interval is None else Pace.every(arguments.poll_interval)
        with Apixo(base_url=arguments.base_url, pace=pace) as client:
            run: Callable[..., Exit] = arguments.run
            return run(client, arguments, last_seen.append)
    except errors.ApixoError as error:
        _complain(str(error), error.task)
        return exit_code(error)
    except KeyboardInterrupt:
        _complain("interrupted", last_seen[-1] if last_seen else None)
        return Exit.INTERRUPTED
    except OSError as error:
        # Of a local image: what goes wrong with an output is told where it is written.
        _complain(str(error), None)
        return Exit.USAGE


def _upscale(client: Apixo, arguments: argparse.Namespace, seen: OnProgress) -> Exit:
    with showing(sys.stderr) as show:
        result = client.upscale(
            arguments.image,
            resolution=arguments.resolution,
            output_format=arguments.format,
            timeout=arguments.timeout,
            on_progress=lambda task: (seen(task), show(task)),
        )
    return _deliver(result, arguments.output)


def _wait(client: Apixo, arguments: argparse.Namespace, seen: OnProgress) -> Exit:
    with showing(sys.stderr) as show:
        result = client.wait(
            arguments.task_id,
            timeout=arguments.timeout,
            on_progress=lambda task: (seen(task), show(task)),
        )
    return _deliver(result, arguments.output)


def _deliver(result: Result, output: Path | None) -> Exit:
    if output is None:
        _say(result.url)
        return Exit.DONE
    try:
        _say(str(result.download(output)))
    except (errors.ApixoError, OSError, UnicodeError) as error:
        # The last of a name that no host can have, to which the service redirects.
        _complain(f"{error}\nThe result is at {result.url}", None)
        return Exit.NOT_SAVED
    return Exit.DONE


def _status(client: Apixo, arguments: argparse.Namespace, _seen: OnProgress) -> Exit:
    task = client.status(arguments.task_id)
    _say(task.state or "running")
    for line in (*task.result_urls, task.fail_code, task.fail_message):
        if line:
            _say(line)
    return Exit.FAILED if task.state == TaskState.FAILED else Exit.DONE


def _balance(client: Apixo, _arguments: argparse.Namespace, _seen: OnProgress) -> Exit:
    _say(f"{client.balance():f}")
    return Exit.DONE


def _listen(arguments: argparse.Namespace) -> Exit:
    # Needs neither key nor service, and loads a server that nothing else needs.
    from apixo_client._listen import listen

    try:
        listen(arguments.host, arguments.port, once=arguments.once)
    except (OSError, OverflowError, UnicodeError) as error:
        where = f"{arguments.host} port {arguments.port}"
        _complain(f"cannot listen on {where}: {error}; choose another --port or --host", None)
        return Exit.USAGE
    return Exit.DONE


def _image(text: str) -> str | Path:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"a URL or a local file was expected, got {text!r}")
    # Whatever has a scheme is a URL; the service judges which ones it takes.
    return _text(text) if "://" in text or text.startswith("data:") else Path(text)


def _output(text: str) -> Path:
    # Before the submit, which costs money.
    if not text or Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"the name of a file was expected, got {text!r}")
    return Path(text)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are none
        raise argparse.ArgumentTypeError(f"text in UTF-8 was expected, got {text!r}") from None
    return text


def _task_id(text: str) -> str:
    if not text.strip() or len(text) > _LONGEST_ID:
        found = repr(text[:_LONGEST_SHOWN])
        raise argparse.ArgumentTypeError(f"the id of a task was expected, got {found}")
    return _text(text)


def _base_url(text: str) -> str:
    # Empty is most likely a variable that is not set; the default, the live API, costs money.
    if not text.strip():
        raise argparse.ArgumentTypeError(f"the API's URL was expected, got {text!r}")
    return text


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")


def _complain(message: str, task: Task | None) -> None:
    sys.stderr.write(f"apixo-client: {printable(message)}\n")
    if task is not None and not task.is_final:
        sys.stderr.write(f"Go on with: apixo-client wait {printable(task.id)}\n")


def _parser() -> argparse.ArgumentParser:
    codes = "\n".join(f"  {code:<4} {code.meaning}" for code in Exit)
    parser = argparse.ArgumentParser(
        prog="apixo-client",
        description="Enlarge pictures with APIXO's Image Upscaler.",
        epilog=f"exit codes:\n{codes}\n\nenvironment:\n"
        f"  {API_KEY_VARIABLE}   the API key; it is never an argument\n"
        f"  {BASE_URL_VARIABLE}  where the API is, unless --base-url is given",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--base-url", metavar="URL", type=_base_url, help="the API, with or without /api/v1"
    )
    parser.set_defaults(poll_interval=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_upscale(commands)
    wait = commands.add_parser("wait", help="wait for a task that was submitted before")
    wait.add_argument("task_id", metavar="TASK", type=_task_id)
    wait.set_defaults(run=_wait)
    _add_waiting(wait)
    status = commands.add_parser("status", help="show a task (exit code 5 if it failed)")
    status.add_argument("task_id", metavar="TASK", type=_task_id)
    status.set_defaults(run=_status)
    balance = commands.add_parser("balance", help="show the remaining balance in USD")
    balance.set_defaults(run=_balance)
    listen = commands.add_parser("listen", help="receive callbacks and print them as they come")
    listen.add_argument("--host", type=_text, default="127.0.0.1", help="default: 127.0.0.1")
    listen.add_argument("--port", type=int, default=9000, help="default: 9000; 0 takes a free one")
    listen.add_argument("--once", action="store_true", help="end after the first callback")
    listen.set_defaults(run=None)
    return parser


def _add_upscale(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    upscale = commands.add_parser("upscale", help="submit a picture and wait for the result")
    upscale.add_argument(
        "image", metavar="URL", type=_image, help="a public URL, or a local file to send along"
    )
    defaults = terms().defaults
    upscale.add_argument(
        "-r",
        "--resolution",
        metavar="TIER",
        type=_text,
        help=f"{', '.join(terms().long_edge_px)} (default: {defaults['resolution']})",
    )
    upscale.add_argument(
        "-f",
        "--format",
        metavar="FORMAT",
        type=_text,
        help=f"{', '.join(terms().formats)} (default: {defaults['output_format']})",
    )
    upscale.set_defaults(run=_upscale)
    _add_waiting(upscale)


def _add_waiting(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--output", metavar="FILE", type=_output, help="default: show the URL"
    )
    command.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=WAIT_TIMEOUT_S,
        help="seconds to wait at most (default: %(default)g)",
    )
    command.add_argument(
        "--poll-interval", metavar="S", type=_seconds, help="default: as documented for the tier"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Written so that NaN is refused too.
    if not 0 <= seconds <= _LONGEST_S:
        expected = f"finite seconds from 0 were expected, at most {_LONGEST_S}"
        raise argparse.ArgumentTypeError(f"{expected}, got {text[:_LONGEST_SHOWN]!r}")
    return seconds
