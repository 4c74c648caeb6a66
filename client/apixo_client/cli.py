"""The command `apixo-client`: arguments in, texts and an exit code out."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self, TextIO, TypeAlias

from apixo_client import errors
from apixo_client._core import OnProgress
from apixo_client.callback_server import CallbackRequest, CallbackServer
from apixo_client.client import WAIT_TIMEOUT_S, Apixo
from apixo_client.images import suffixes
from apixo_client.models import Pace, Result, Task, TaskState, one_line, printable, terms
from apixo_client.settings import API_KEY_VARIABLE, BASE_URL_VARIABLE, HIGHEST_PORT
from apixo_client.webhooks import (
    NOT_A_POST,
    OK,
    CallbackReply,
    SeenTasks,
    parse_callback,
)

if TYPE_CHECKING:
    from types import FrameType

    # argparse has no public name for it.
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

# Thirty years: within what every system can sleep.
_LONGEST_S = 1_000_000_000


class Exit(IntEnum):
    """The exit codes."""

    def __new__(cls, value: int, meaning: str) -> Self:
        """Return a member with its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    meaning: str

    DONE = 0, "done"
    # 1 is Python's own for an unexpected error.
    USAGE = 2, "wrong usage: arguments, API key, base URL, or the local image"
    REFUSED = 3, "the service refused the request (4xx other than 429); repeating it does not help"
    UNAVAILABLE = 4, "no usable response (network, 429, 5xx, not as documented); try again later"
    FAILED = 5, "the task failed"
    RUNNING = 6, "the task still runs after --timeout; go on with `apixo-client wait`"
    NOT_SAVED = 7, "the result exists, but was not downloaded or not written; its URL is shown"
    INTERRUPTED = 130, "interrupted"


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. The key is read from the environment only."""
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
        # A task that the service does not know cannot be waited for.
        is_unknown = isinstance(error, errors.NotFoundError)
        _complain(str(error), None if is_unknown else error.task)
        return exit_code(error)
    except KeyboardInterrupt:
        _complain("interrupted", last_seen[-1] if last_seen else None)
        return Exit.INTERRUPTED
    except OSError as error:
        # Of a local image: errors of an output are reported where it is written.
        _complain(str(error))
        return Exit.USAGE


def _upscale(client: Apixo, arguments: argparse.Namespace, seen: OnProgress) -> Exit:
    _warn_of_suffix(arguments.output, arguments.format or terms().defaults["output_format"])
    with showing(sys.stderr) as show:
        result = client.upscale(
            arguments.image,
            resolution=arguments.resolution,
            output_format=arguments.format,
            timeout=arguments.timeout,
            on_progress=lambda task: (seen(task), show(task)),
        )
    return _deliver(result, arguments.output)


def _warn_of_suffix(output: Path | None, output_format: str) -> None:
    fitting = suffixes(output_format)
    if output is not None and fitting and output.suffix.lower() not in fitting:
        _complain(
            f"{output} will hold a {output_format} picture; give it a name that ends in "
            f"{' or '.join(fitting)}, or choose another --format"
        )


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
    except (errors.ApixoError, OSError) as error:
        _complain(f"{error}\nThe result is at {result.url}")
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


def _say(line: str) -> None:
    sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def _complain(message: str, task: Task | None = None) -> None:
    sys.stderr.write(f"apixo-client: {printable(message)}\n")
    if task is not None and not task.is_final:
        sys.stderr.write(f"Go on with: apixo-client wait {printable(task.id)}\n")


@contextmanager
def showing(stream: TextIO) -> Iterator[Callable[[Task], object]]:
    """Yield the function that shows a task: by a spinner on a terminal, else a line per change."""
    try:
        import rich  # noqa: F401 - an extra
    except ImportError:
        is_plain = True
    else:
        is_plain = not stream.isatty()
    if is_plain:
        last: list[str] = []

        def show_line(task: Task) -> None:
            line = _describe(task)
            if last != [line]:
                stream.write(f"{line}\n")
                stream.flush()
                last[:] = [line]

        yield show_line
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    # Texts of the service are no markup.
    words = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), words, TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream)) as progress:
        bar = progress.add_task("submitting", total=None)
        yield lambda task: progress.update(bar, description=_describe(task))


def _describe(task: Task) -> str:
    return printable(f"{task.id} {task.state or 'running'}")


class _Printer:
    """Answers callbacks and prints each task once, from any thread."""

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._is_over = False
        self._seen = SeenTasks()
        self._lock = Lock()
        self.stop: Callable[[], None] = lambda: None

    def answer(self, call: CallbackRequest) -> CallbackReply:
        """Return the reply to a call whose task was printed."""
        if call.method != "POST":
            return NOT_A_POST
        try:
            task = parse_callback(call.body)
        except errors.CallbackError as error:
            _complain(one_line(f"not a callback: {error}"))
            return CallbackReply(400, str(error))
        with self._lock:
            if not self._is_over and self._seen.is_new(task):
                what = task.result_urls or (task.fail_code or "", task.fail_message or "")
                words = (str(task.state), task.id, *what)
                _say(one_line(" ".join(part for part in words if part)))
                if self._once:
                    self._is_over = True
                    # On another thread, so that this call is answered meanwhile.
                    Thread(target=self.stop).start()
        return OK


def _listen(arguments: argparse.Namespace) -> Exit:
    """Print callbacks until SIGINT, SIGTERM or, with ``--once``, the first one."""
    logging.basicConfig(format="apixo-client: %(message)s")
    printer = _Printer(once=arguments.once)
    try:
        server = CallbackServer(printer.answer, host=arguments.host, port=arguments.port)
    except (OSError, UnicodeError) as error:
        where = f"{arguments.host} port {arguments.port}"
        _complain(f"cannot listen on {where}: {error}; choose another --port or --host")
        return Exit.USAGE
    printer.stop = server.stop

    def stop(_number: int, _frame: FrameType | None) -> None:
        # On another thread: `stop` waits for the loop that this handler interrupts.
        Thread(target=server.stop).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _say(f"listening for callbacks on {server.url}/")
        server.serve()
    finally:
        server.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    return Exit.DONE


def _image(text: str) -> str | Path:
    # A text with a scheme is a URL; the service decides which ones it takes.
    text = _text(text)
    return text if "://" in text or text.startswith("data:") else Path(text)


def _output(text: str) -> Path:
    # Checked before the submit, which costs money.
    path = Path(text)
    if not text or path.is_dir():
        raise argparse.ArgumentTypeError(f"the name of a file was expected, got {text!r}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(
            f"a file in a folder that exists was expected; there is no folder {str(path.parent)!r}"
        )
    if not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"a file in a writable folder was expected; {str(path.parent)!r} is not writable"
        )
    return path


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no UTF-8
        raise argparse.ArgumentTypeError(f"text in UTF-8 was expected, got {text!r}") from None
    if not text.strip():
        raise argparse.ArgumentTypeError("a text was expected, got an empty one")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # Written so that NaN is refused too.
    if not 0 <= seconds <= _LONGEST_S:
        raise argparse.ArgumentTypeError(
            f"seconds from 0 to {_LONGEST_S} were expected, got {text!r}"
        )
    return seconds


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(
            f"a port from 0 to {HIGHEST_PORT} was expected, got {text!r}"
        )
    return int(text)


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
        "--version", action="version", version=f"%(prog)s {version('apixo-emulator')}"
    )
    parser.add_argument(
        "--base-url", metavar="URL", type=_text, help="the API, with or without /api/v1"
    )
    parser.set_defaults(poll_interval=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_upscale(commands)
    wait = _command(commands, "wait", _wait, "wait for a task that was submitted before")
    wait.add_argument("task_id", metavar="TASK", type=_text)
    _add_waiting(wait)
    status = _command(commands, "status", _status, "show a task (exit code 5 if it failed)")
    status.add_argument("task_id", metavar="TASK", type=_text)
    _command(commands, "balance", _balance, "show the remaining balance in USD")
    listen = _command(commands, "listen", None, "receive callbacks and print them as they come")
    listen.add_argument("--host", type=_text, default="127.0.0.1", help="default: %(default)s")
    listen.add_argument(
        "--port", type=_port, default=9000, help="default: %(default)s; 0 takes a free one"
    )
    listen.add_argument("--once", action="store_true", help="end after the first callback")
    return parser


def _command(commands: Commands, name: str, run: Any, words: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=f"{words.capitalize()}.")
    command.set_defaults(run=run)
    return command


def _add_upscale(commands: Commands) -> None:
    upscale = _command(commands, "upscale", _upscale, "submit a picture and wait for the result")
    upscale.add_argument(
        "image", metavar="URL", type=_image, help="a public URL, or a local file to send along"
    )
    defaults = terms().defaults
    for short, name, key, metavar, values in (
        ("-r", "--resolution", "resolution", "TIER", terms().long_edge_px),
        ("-f", "--format", "output_format", "FORMAT", terms().formats),
    ):
        words = f"{', '.join(values)} (default: {defaults[key]})"
        upscale.add_argument(short, name, metavar=metavar, type=_text, help=words)
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
