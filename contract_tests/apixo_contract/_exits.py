"""How a command ends: in words, and with an exit code that says whose doing it was."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from apixo_contract._observations import Run
from apixo_contract._reporting import cost_line
from apixo_contract._settings import Settings, Unreachable, UsageError
from apixo_contract._verify import observe, unjudged
from apixo_contract._visible import visible

_BAD_USAGE = 2
_UNREACHABLE = 3
# As `sysexits.h` and shells have them.
_FAULT = 70
_INTERRUPTED = 130

# What people read about them; 0 and 1 are a report's.
EXIT_CODES = {
    0: "the target keeps the contract; of `diff`: both answer alike",
    1: "it drifted: a promise is broken; of `diff`: they differ",
    _BAD_USAGE: "bad usage: an option, a file or a key cannot be used",
    _UNREACHABLE: "the target cannot be reached, or is too busy to be judged",
    _FAULT: "a fault of `apixo-contract` itself",
    _INTERRUPTED: "interrupted by Ctrl-C; what was spent is told",
}


@contextmanager
def told_in_words() -> Iterator[list[Run]]:
    """Turn what stops a command into clear lines and its exit code.

    Gives a list for the runs that are made in the block, be they whole or not: what they have cost
    is told when they were in vain.
    """
    made: list[Run] = []
    try:
        yield made
    except KeyboardInterrupt:
        _stop("interrupted", _INTERRUPTED, made)
    except Unreachable as error:
        _stop(str(error), _UNREACHABLE, _paid(made))
    except BrokenPipeError:
        raise  # whoever reads our output has enough of it: click knows how to end then
    except (OSError, UsageError) as error:
        _stop(str(error), _BAD_USAGE, _paid(made))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not look like drift
        traceback.print_exc()
        words = f"this is a fault of apixo-contract and not of the target ({type(error).__name__})"
        _stop(f"{words}; please report it with the lines above", _FAULT, _paid(made))


def _paid(made: Iterable[Run]) -> list[Run]:
    return [run for run in made if unjudged(run).spent_usd]


def _stop(words: str, code: int, made: Iterable[Run]) -> None:
    told = [words, *(f"{run.target}: {cost_line(unjudged(run))}" for run in made)]
    for line in told:
        say(line)
    sys.exit(code)


def say(words: str) -> None:
    """Say something beside the report."""
    click.echo(f"apixo-contract: {visible(words)}", err=True)


def tell(words: str) -> None:
    """Say what happens, to people only: a log needs the report alone."""
    if sys.stderr.isatty():
        click.echo(f"… {words}", err=True)


def observe_for(
    made: list[Run], settings: Settings, stopped: Callable[[Run], object] = lambda _run: None
) -> Run:
    """Make a run, and add it to those of `told_in_words`.

    Args:
        made: The list that `told_in_words` gave.
        settings: What to do.
        stopped: Is given what was seen, if the run is stopped.

    Raises:
        UsageError: The target refuses the key, or callbacks cannot be received.
        Unreachable: The target does not answer.
    """

    def keep(run: Run) -> None:
        made.append(run)
        stopped(run)

    run = observe(settings, tell=tell, stopped=keep)
    made.append(run)
    return run
