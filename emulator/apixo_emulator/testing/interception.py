"""The block in which calls to the API are answered by an emulator in this process."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial, update_wrapper
from pathlib import Path
from typing import Any, Self, TypeVar

from apixo_emulator.testing import mocks, routing, transports
from apixo_emulator.testing.clock import ClientTiming, SleepPatches, VirtualClock
from apixo_emulator.testing.emulator import InProcess
from apixo_emulator.testing.patches import ImportWatcher, Patches
from apixo_emulator.testing.routing import BaseUrl, Session
from apixo_emulator.testing.setup import Setup

_T = TypeVar("_T")
_PARAMETER = "emulator"

# What is patched, by the module that must have been imported.
_TABLE: Mapping[str, Callable[[Any, Patches], None]] = {
    "socket": mocks.patch_network,
    "http.client": transports.patch_http_client,
    "urllib3": transports.patch_urllib3,
    "httpx": transports.patch_httpx,
    "httpx2": transports.patch_httpx,
    "aiohttp": transports.patch_aiohttp,
    "respx": mocks.patch_respx,
    "responses": mocks.patch_responses,
    "requests_mock": mocks.patch_requests_mock,
    "vcr": mocks.patch_vcr,
    "aioresponses": mocks.patch_aioresponses,
}
_lock = threading.RLock()


def _current_clock() -> VirtualClock | None:
    """Return the clock of the session that the running code is in, unless sleeping is real."""
    clock = next((session.emulator.clock for session in routing.sessions()), None)
    return clock if clock is not None and clock.patches_sleep else None


_patches, _sleeps, _client = Patches(), SleepPatches(), ClientTiming(_current_clock)
_patched: set[str] = set()
_open = 0


def open_session(emulator: InProcess, also: BaseUrl | None = None) -> Session:
    """Send calls to an emulator from now on, until `close_session`.

    They are those to the live address, to the addresses of its setup, and to one ``also``.
    """
    global _open  # noqa: PLW0603 - counted for the whole process, as libraries are patched for it
    session = Session(emulator, filter(None, (*emulator.setup.base_url, also)))
    routing.add(session)
    with _lock:
        _open += 1
        if _open == 1:
            _watcher.start()
            for name in [name for name in _TABLE if name in sys.modules]:
                _patch(name)
            _sleeps.put()
            _client.put()
    return session


def close_session(session: Session) -> None:
    """Let calls go where they went before; sleeping is real again."""
    global _open  # noqa: PLW0603 - as above
    with _lock:
        _open -= 1
        if not _open:
            _watcher.stop()
            _client.undo()
            _sleeps.undo()
            _patches.undo()
            _patched.clear()
    session.emulator.clock.is_open = False
    routing.remove(session)


def _patch(name: str) -> None:
    """Patch a library that is imported, unless it is patched already."""
    if name not in _TABLE or name in _patched:
        return
    _patched.add(name)
    # A version of a library without these names is not intercepted. Its calls are refused by what
    # `patch_network` has patched, when there are any.
    with suppress(AttributeError, ImportError):
        _patches.put_all(name, partial(_TABLE[name], sys.modules[name], _patches))


def _imported(name: str) -> None:
    with _lock:
        if _open:
            _patch(name)
            _sleeps.put()
            _client.put()


_watcher = ImportWatcher({*_TABLE, "asyncio", "trio", "apixo_client"}, _imported)


class Interception:
    """A block, sync or async, or a decorator; see `intercept`. It may be entered again once left."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._entered: list[tuple[InProcess, Session]] = []

    def __enter__(self) -> InProcess:
        emulator = InProcess(self._setup)
        self._entered.append((emulator, open_session(emulator)))
        return emulator

    def __exit__(self, *exc_info: object) -> None:
        emulator, session = self._entered.pop()
        try:
            close_session(session)
        finally:
            emulator.close()

    async def __aenter__(self) -> InProcess:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    def __call__(self, function: Callable[..., _T]) -> Callable[..., _T]:
        """Return a function, sync or async, that runs in a block of its own each time.

        One that has a parameter ``emulator`` is given it.
        """
        signature = inspect.signature(function)
        wants = _PARAMETER in signature.parameters

        def given(emulator: InProcess) -> dict[str, Any]:
            return {_PARAMETER: emulator} if wants else {}

        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            async with self._again() as emulator:
                result: Any = function(*args, **kwargs, **given(emulator))
                return await result

        def synchronous(*args: Any, **kwargs: Any) -> Any:
            with self._again() as emulator:
                return function(*args, **kwargs, **given(emulator))

        wrapper: Any = asynchronous if inspect.iscoroutinefunction(function) else synchronous
        update_wrapper(wrapper, function)
        if wants:  # or pytest would look for a fixture of this name
            kept = [entry for name, entry in signature.parameters.items() if name != _PARAMETER]
            wrapper.__signature__ = signature.replace(parameters=kept)
        made: Callable[..., _T] = wrapper
        return made

    def _again(self) -> Self:
        return type(self)(self._setup)


def intercept(
    *,
    base_url: str | Iterable[str] = (),
    block_network: bool = False,
    auto_advance: bool = True,
    patch_sleep: bool = True,
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
    **more: Any,
) -> Interception:
    """Return a block in which every call to the API is answered in this process.

    Intercepted are calls to the live address, to that of the environment variable
    ``APIXO_BASE_URL``, and to ``base_url``; of httpx, httpx2, requests, urllib3, aiohttp,
    `urllib.request` and `http.client`, sync and async, from any thread. Other calls go out.
    Connections to these addresses by any other way are refused meanwhile.

    Args:
        base_url: Where else the application calls the API.
        block_network: Whether calls to other hosts are refused; this machine stays reachable.
        auto_advance: Whether polling a task twice at one instant moves the clock to its next event.
        patch_sleep: Whether a sleep of threads and tasks that have called the API moves the clock.
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
        more: Other options of ``serve`` by name that are of use here, such as ``fetch_timeout``.

    Raises:
        TypeError: There is no such option.
        ValueError: A value is none of its option's.
    """
    options = dict(locals())
    options |= options.pop("more")
    return Interception(Setup.of(**options))
