"""What the command shows while a task runs: a spinner on a terminal, else one line per change."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from apixo_client._models import Task


@contextmanager
def showing(stream: TextIO) -> Iterator[Callable[[Task], None]]:
    """Give the function that shows a task; leaving the context ends the display."""
    if not stream.isatty():
        yield _plain(stream)
        return
    try:
        import rich  # noqa: F401 - an extra
    except ImportError:
        yield _plain(stream)
    else:
        with _rich(stream) as show:
            yield show


def _plain(stream: TextIO) -> Callable[[Task], None]:
    last: list[str] = []

    def show(task: Task) -> None:
        line = describe(task)
        if last != [line]:
            stream.write(f"{line}\n")
            stream.flush()
            last[:] = [line]

    return show


@contextmanager
def _rich(stream: TextIO) -> Iterator[Callable[[Task], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        # Texts of the service are no markup.
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        bar = progress.add_task("submitting", total=None)

        def show(task: Task) -> None:
            progress.update(bar, description=describe(task))

        yield show


def describe(task: Task) -> str:
    """Give a task in one line."""
    return printable(f"{task.id} {task.state or 'running'}")


def printable(text: str) -> str:
    """Give a text with its control characters spelled out: a service must not steer a terminal."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text
    )


def one_line(text: str) -> str:
    """Give a printable text as one line: a stranger's must not look like several."""
    return printable(text).replace("\n", "\\n")
