"""The options of the command line that name a target and what a run may do there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from apixo_contract._option_values import SEEDS
from apixo_contract._settings import DEFAULT_BUDGET, Settings
from apixo_contract._verify import settle

Command = TypeVar("Command", bound=Callable[..., Any])


_OPTIONS = (
    click.option("--base-url", help="The API's address, with or without /api/v1. [APIXO_BASE_URL]"),
    click.option("--api-key", help="The key. Better: APIXO_API_KEY, which no process list shows."),
    click.option("--image-url", help="A picture that the target can fetch and enlarge."),
    click.option("--failing-image-url", help="A source that makes a task fail."),
    click.option(
        "--budget-usd",
        default=str(DEFAULT_BUDGET),
        show_default=True,
        help="The most that a run may cost; every submit is counted before it is sent.",
    ),
    click.option(
        "--max-wait",
        "max_wait_s",
        type=float,
        help="Seconds to wait for a task [180]. If given as 45 or more, the second try of a "
        "callback is waited for too.",
    ),
    click.option(
        "--poll-interval",
        "poll_interval_s",
        type=float,
        help="Seconds between two polls of a task [on this machine less than 1, else 5].",
    ),
    click.option(
        "--callback-host",
        help="This machine's name or address as the target reaches it, for callbacks. "
        "[127.0.0.1 if the target is on this machine]",
    ),
    click.option(
        "--callback-url", help="A public URL that leads to --callback-port, e.g. a tunnel's."
    ),
    click.option(
        "--callback-port",
        type=int,
        default=0,
        show_default=True,
        help="Where to listen for callbacks; 0 takes a free port.",
    ),
    click.option(
        "--examples",
        type=int,
        default=12,
        show_default=True,
        help="Generated bodies for each rule, broken alone; pairs and triples get fewer each.",
    ),
    click.option("--seed", type=int, help="The same seed, the same bodies."),
    click.option(
        "--live", is_flag=True, help="Allow a target that is not this machine: it costs real money."
    ),
)


def target_options(command: Command) -> Command:
    """Add the options that `settings_of` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings_of(options: dict[str, Any]) -> Settings:
    """Make settings of the options that `target_options` has added; on live, say what may be spent.

    Raises:
        UsageError: The run may not start so.
    """
    names = set(Settings.__dataclass_fields__) - {"in_process"}
    given = {name: value for name, value in options.items() if name in names}
    seed = given.pop("seed", None)
    settings = settle(**given, seed=secrets.randbelow(SEEDS) if seed is None else seed)
    if not settings.is_local:
        click.echo(
            f"{settings.base_url}: this run costs at most ${settings.budget_usd}; "
            "what costs nothing is checked first",
            err=True,
        )
    return settings


def keep_hypothesis_out_of_the_way() -> None:
    """Let Hypothesis keep its tables of characters in the user's cache, not in the working folder.

    It keeps no examples at all: what is sent to a target stays in this process.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache / "apixo-contract"))
