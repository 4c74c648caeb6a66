"""How an emulator in process is set up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from apixo_emulator.domain.callbacks import CallbackMode
from apixo_emulator.domain.nearest import did_you_mean
from apixo_emulator.domain.pictures import FetchMode
from apixo_emulator.domain.problems import found
from apixo_emulator.scenarios.rules import rule_of
from apixo_emulator.service import Options, WorldOptions
from apixo_emulator.settings import Settings

# Just below the documented 41 s, so that who waits for 41 s sees the end.
LATENCY_MS = 40_000
_MOST_BITS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of an emulator in process; those that ``serve`` has mean the same.

    Attributes:
        seed: From which ids and durations come.
        latency: How long a task takes: milliseconds, ``fast`` or ``realistic``.
        balance: What a key has at first, in USD.
        api_key: Only these keys are accepted; without any, every one is.
        scenario: What happens to every submit: names of the vocabulary, all of them together.
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
            TypeError: There is no such option, or a value is of another type.
            ValueError: A value is out of range.
        """
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TypeError(f"unknown option {name!r}; expected {', '.join(known)}.{hint}")
        setup = cls(
            **{
                name: _READ[name](name, value) if name in _READ else value
                for name, value in given.items()
                if value is not None
            }
        )
        setup.settings()
        if setup.scenario:
            rule_of({"scenario": list(setup.scenario)}, "setup")
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
            callbacks=_callback_mode(self.callbacks),
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


def _callback_mode(given: str) -> CallbackMode:
    try:
        return CallbackMode(given)
    except ValueError:
        hint = did_you_mean(given, CallbackMode)
        expected = f"expected one of {', '.join(CallbackMode)}"
        raise ValueError(f"callbacks: {expected}; found {found(given)}.{hint}") from None


def _names(name: str, given: Any) -> tuple[str, ...]:
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
    texts: tuple[Any, ...] = tuple(given) if is_list else (given,)
    for text in texts:
        _check(name, text, str, "a text, or a list of texts")
    return texts


def _path(name: str, given: Any) -> Path:
    _check(name, given, str | os.PathLike, "a path, a text")
    return Path(given)


def _text(name: str, given: Any) -> str:
    _check(name, given, str, "a text")
    return str(given)


def _flag(name: str, given: Any) -> bool:
    _check(name, given, bool, "True or False")
    return bool(given)


def _amount(name: str, given: Any) -> str:
    _check(name, given, str | int | float | Decimal, "an amount in USD such as 100 or 0.05")
    return str(given)


def _latency(name: str, given: Any) -> int | str:
    _check(name, given, str | int, "fast, realistic or milliseconds, an integer")
    return given  # type: ignore[no-any-return] # checked


def _check(name: str, given: object, kind: Any, expected: str) -> None:
    is_number = isinstance(given, bool) and kind is not bool
    if is_number or not isinstance(given, kind):
        raise TypeError(f"{name}: expected {expected}; found {found(given)}")
    if isinstance(given, int) and given.bit_length() > _MOST_BITS:  # Python writes no such number
        raise ValueError(f"{name}: expected {expected}; found {found(given)}")


_READ: Mapping[str, Callable[[str, Any], Any]] = {
    "api_key": _names,
    "scenario": _names,
    "scenarios": _path,
    "config": _path,
    "images": _path,
    "balance": _amount,
    "latency": _latency,
    "callbacks": _text,
    "callback_retries": _text,
    "auto_advance": _flag,
    "patch_sleep": _flag,
    "block_network": _flag,
}
