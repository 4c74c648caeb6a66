"""How an emulator in process is set up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from apixo_emulator import option_types as types
from apixo_emulator.option_types import SWITCH
from apixo_emulator.scenarios.rules import rule_of
from apixo_emulator.service import Options, WorldOptions
from apixo_emulator.settings import (
    OPTIONS,
    Settings,
    load_settings,
    option,
    options_of,
    read_options,
)
from apixo_emulator.testing.routing import BaseUrl, base_url_of

# Just below the documented 41 s, so that code that waits for 41 s sees the end.
LATENCY_MS = 40_000
_SHARED = (
    *("seed", "latency", "balance", "api_key", "scenarios", "images", "refused_sources"),
    *("fetch_timeout", "source_size", "source_memory", "ca"),
    *("callbacks", "callback_retries"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of an emulator in process: `settings` that ``serve`` has too, and its own."""

    settings: Settings
    base_url: tuple[BaseUrl, ...] = option(
        types.several(types.parsed("URL", base_url_of)), "where else the application calls the API"
    )
    scenario: tuple[str, ...] = option(
        types.several(types.text("NAME", "the name of a scenario", bool)),
        "what happens to every submit: names of the vocabulary, all of them together",
    )
    config: Path | None = option(
        types.path("FILE"), "a config file, for its accounts: limits and balances by key"
    )
    auto_advance: bool = option(
        SWITCH, "whether polling a task twice at one instant moves the clock", default=True
    )
    patch_sleep: bool = option(
        SWITCH,
        "whether a sleep of threads and tasks that have called the API moves the clock",
        default=True,
    )
    block_network: bool = option(
        SWITCH, "whether calls to other hosts than this machine are refused", default=False
    )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Return the setup of options as people write them; None is the default.

        Raises:
            TypeError: There is no such option.
            ValueError: A value is none of its option's.
        """
        known = {name: OPTIONS[name] for name in _SHARED} | dict(options_of(cls))
        wanted = {name: value for name, value in given.items() if value is not None}
        read = read_options(known, {"seed": 0, "latency": LATENCY_MS, **wanted})
        settings = Settings(**{name: read.pop(name) for name in _SHARED if name in read})
        if "config" in read:
            accounts = load_settings(config=read["config"], environ={}).accounts
            settings = replace(settings, accounts=accounts)
        if read.get("scenario"):
            rule_of({"scenario": list(read["scenario"])}, "setup")
        return cls(settings=settings, **read)

    def service_options(self) -> Options:
        """Return them as the service takes them: one world, its clock frozen."""
        settings = self.settings
        return Options(
            latency=settings.latency,
            balance_micros=settings.balance,
            api_keys=frozenset(settings.api_key) or None,
            callbacks=settings.callback_options(),
            worlds=WorldOptions(seed=settings.seed, rate=0.0, rules=settings.rules()),
            accounts=settings.accounts,
        )
