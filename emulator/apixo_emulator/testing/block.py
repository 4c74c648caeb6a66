"""The block in which the API's calls are answered in process."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

from apixo_emulator.testing import attaching, sleeping, traffic
from apixo_emulator.testing.inprocess import InProcess
from apixo_emulator.testing.setup import Setup
from apixo_emulator.testing.sites import Sites, base_urls

_T = TypeVar("_T")
_PARAMETER = "emulator"
Opened = tuple[InProcess, traffic.Line]


class Interception:
    """A block, sync or async, or a decorator; see `intercept`. It may be entered again once left."""

    def __init__(self, setup: Setup, sites: Sites) -> None:
        self._setup = setup
        self._sites = sites
        self._open: list[Opened] = []

    def __enter__(self) -> InProcess:
        emulator = InProcess(self._setup)
        try:
            self._open.append(open_line(emulator, self._sites))
        except BaseException:
            emulator.close()
            raise
        return emulator

    def __exit__(self, *exc_info: object) -> None:
        opened = self._open.pop()
        try:
            close_line(opened)
        finally:
            opened[0].close()

    async def __aenter__(self) -> InProcess:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    def __call__(self, function: Callable[..., _T]) -> Callable[..., _T]:
        """Run a function, sync or async, in a block of its own each time it is called.

        One that has a parameter ``emulator`` is given it.
        """
        wants = _PARAMETER in inspect.signature(function).parameters
        asynchronous = inspect.iscoroutinefunction(function)
        made: Any = self._async(function, wants) if asynchronous else self._sync(function, wants)
        wrapper: Callable[..., _T] = made
        functools.update_wrapper(wrapper, function)
        if wants:  # what is given already is nobody else's business, such as pytest's
            made.__signature__ = _without(inspect.signature(function))
        return wrapper

    def _sync(self, function: Any, wants: bool) -> Any:  # noqa: FBT001 - private
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._again() as emulator:
                return function(*args, **kwargs, **_given(emulator, wants=wants))

        return wrapper

    def _async(self, function: Any, wants: bool) -> Any:  # noqa: FBT001 - private
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            async with self._again() as emulator:
                return await function(*args, **kwargs, **_given(emulator, wants=wants))

        return wrapper

    def _again(self) -> Self:
        return type(self)(self._setup, self._sites)


def _given(emulator: InProcess, *, wants: bool) -> dict[str, Any]:
    return {_PARAMETER: emulator} if wants else {}


def _without(signature: inspect.Signature) -> inspect.Signature:
    kept = [entry for entry in signature.parameters.values() if entry.name != _PARAMETER]
    return signature.replace(parameters=kept)


def open_line(emulator: InProcess, sites: Sites) -> Opened:
    """Send the API's calls to an emulator from now on.

    Raises:
        InterceptionError: They would not arrive.
    """
    setup = emulator.setup
    line = traffic.Line(emulator, sites, setup.block_network)
    traffic.connect(line)
    try:
        attaching.hold()
    except BaseException:
        traffic.disconnect(line)
        raise
    if setup.patch_sleep:
        sleeping.patch(emulator)
    return emulator, line


def close_line(opened: Opened) -> None:
    """Let calls go where they went before."""
    emulator, line = opened
    if emulator.setup.patch_sleep:
        sleeping.unpatch(emulator)
    try:
        attaching.release()
    finally:
        traffic.disconnect(line)


def intercept(
    *,
    base_url: str | Iterable[str] = (),
    block_network: bool = False,
    auto_advance: bool = True,
    patch_sleep: bool = False,
    seed: int = 0,
    latency: int | str | None = None,
    balance: str | float | None = None,
    api_key: str | Iterable[str] = (),
    scenario: str | Iterable[str] = (),
    scenarios: str | Path | None = None,
    images: str | Path | None = None,
    callbacks: str | None = None,
    callback_retries: str | None = None,
    config: str | Path | None = None,
) -> Interception:
    """Answer every call to the API in this process.

    Intercepted are calls to the live address, to that of the environment variable
    ``APIXO_BASE_URL``, and to ``base_url``; of httpx, httpx2, requests, urllib3, aiohttp,
    `urllib.request` and `http.client`, sync and async, from any thread. Other calls go out.

    Args:
        base_url: Where else the application calls the API.
        block_network: Whether calls to other hosts are refused; this machine stays reachable.
        auto_advance: Whether polling a task twice at one instant moves the clock to what comes next.
        patch_sleep: Whether sleeping of threads and tasks that have called the API moves the clock.
        seed: From which ids and durations come.
        latency: How long a task takes: milliseconds (40,000 by default), ``fast``, ``realistic``.
        balance: What a key has at first, in USD.
        api_key: Only these keys are accepted; without any, every one is.
        scenario: What happens to every submit: names of the vocabulary, all of them together.
        scenarios: A scenario file.
        images: A folder of source pictures by host and path.
        callbacks: ``local``, or ``strict`` to take public HTTPS addresses only, as live.
        callback_retries: Seconds before each retry of a callback, such as ``30,120,600``.
        config: A configuration file, for its accounts: limits and balances by key.

    Raises:
        TypeError: An option is of another type.
        ValueError: An option is out of range.
    """
    given = {
        "block_network": block_network,
        "auto_advance": auto_advance,
        "patch_sleep": patch_sleep,
        "seed": seed,
        "latency": latency,
        "balance": balance,
        "api_key": api_key,
        "scenario": scenario,
        "scenarios": scenarios,
        "images": images,
        "callbacks": callbacks,
        "callback_retries": callback_retries,
        "config": config,
    }
    setup = Setup.of(**given)
    sites = Sites(base_urls(base_url))
    return Interception(setup, sites)
