"""How an emulator in process is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from apixo_emulator.core.callbacks import CallbackMode
from apixo_emulator.core.nearest import did_you_mean
from apixo_emulator.core.pictures import FetchMode
from apixo_emulator.service import Options, WorldOptions
from apixo_emulator.settings import Settings

# Just below the documented 41 s, so that who waits for 41 s sees the end.
LATENCY_MS = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of an emulator in process; those that ``serve`` has mean the same.

    Attributes:
        seed: From which ids and durations come.
        latency: How long a task takes: milliseconds, ``fast`` or ``realistic``.
        balance: What a key has at first, in USD.
        api_key: Only these keys are accepted; without any, every one is.
        scenario: What happens to every submit: names of the vocabulary.
        scenarios: A scenario file.
        config: A configuration file, for its accounts: limits and balances by key.
        images: A folder of source pictures by host and path.
        callbacks: ``local``, or ``strict`` to take public HTTPS addresses only, as live.
        callback_retries: Seconds before each retry of a callback, such as ``30,120,600``.
        auto_advance: Whether polling a task twice at one instant moves the clock.
        patch_sleep: Whether the sleeping of those who call the API moves the clock.
        block_network: Whether calls to other hosts than this machine are refused.
    """

    seed: int = 0
    latency: int | str = LATENCY_MS
    balance: str = "100"
    api_key: tuple[str, ...] = ()
    scenario: tuple[str, ...] = ()
    scenarios: Path | None = None
    config: Path | None = None
    images: Path | None = None
    callbacks: str = CallbackMode.LOCAL
    callback_retries: str | None = None
    auto_advance: bool = True
    patch_sleep: bool = False
    block_network: bool = False

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Read options as a person gives them: one text for several, None for the default.

        Raises:
            TypeError: There is no such option.
            ValueError: A value is out of range.
        """
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TypeError(f"unknown option {name!r}; expected {', '.join(known)}.{hint}")
        setup = cls(
            **{
                name: _READ[name](value) if name in _READ else value
                for name, value in given.items()
                if value is not None
            }
        )
        setup.settings()
        return setup

    def settings(self) -> Settings:
        """Give them as the options of ``serve``.

        Raises:
            ValueError: A value is out of range.
        """
        return Settings(
            seed=self.seed,
            latency=str(self.latency),
            balance=self.balance,
            api_key=self.api_key,
            scenarios=self.scenarios,
            images=self.images,
            callbacks=CallbackMode(self.callbacks),
            callback_retries=self.callback_retries,
            fetch=FetchMode.LOOPBACK,
            accounts=self._accounts(),
        )

    def _accounts(self) -> Any:
        if self.config is None:
            return {}
        from apixo_emulator.config import load_config

        return load_config(self.config, Path.cwd()).accounts

    def service_options(self) -> Options:
        """Give them as the service takes them: one world, its clock frozen."""
        settings = self.settings()
        return Options(
            latency=settings.task_latency(),
            balance_micros=settings.balance_micros(),
            api_keys=frozenset(settings.api_key) or None,
            callbacks=settings.callback_options(),
            worlds=WorldOptions(seed=self.seed, rate=0.0, rules=settings.rules()),
            accounts=settings.accounts,
        )


def _names(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "api_key": _names,
    "scenario": _names,
    "scenarios": Path,
    "config": Path,
    "images": Path,
    "balance": str,
}
