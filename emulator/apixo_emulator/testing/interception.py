"""The block in which calls to the API are answered by an emulator in this process, and its options."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import update_wrapper
from pathlib import Path
from typing import Any, Self, TypeVar

from apixo_emulator import option_types as types
from apixo_emulator.config_file import load_settings
from apixo_emulator.option_types import SWITCH, option, options_of
from apixo_emulator.scenarios.rules import rule_of
from apixo_emulator.service import Options, WorldOptions
from apixo_emulator.settings import OPTIONS, Settings, read_options
from apixo_emulator.testing import clock, patches, routing, transports
from apixo_emulator.testing.emulator import InProcess
from apixo_emulator.testing.patches import ImportWatcher, Patches
from apixo_emulator.testing.routing import BaseUrl, Session, base_url_of

_T = TypeVar("_T")
_SCENARIO = "the name of a scenario"
_PARAMETER = "emulator"

# Just below the documented 41 s, so that code that waits for 41 s sees the end.
LATENCY_MS = 40_000
_SHARED = (
    *("seed", "latency", "balance", "api_key", "scenarios", "images", "refused_sources"),
    *("fetch_timeout", "source_size", "source_memory", "ca"),
    *("callbacks", "callback_retries"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The options of an emulator in process: ``settings`` that ``serve`` has too, and its own.

    `intercept` says what they mean.
    """

    settings: Settings
    base_url: tuple[BaseUrl, ...] = option(types.several(types.parsed("URL", base_url_of)))
    scenario: tuple[str, ...] = option(types.several(types.text("NAME", _SCENARIO, bool)))
    config: Path | None = option(types.path("FILE"))
    auto_advance: bool = option(SWITCH, default=True)
    patch_sleep: bool = option(SWITCH, default=True)
    block_network: bool = option(SWITCH, default=False)

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


# What is patched once a module has been imported.
_TABLE: tuple[tuple[str, Callable[[Any, Patches], None]], ...] = (
    ("time", clock.patch_time),
    ("asyncio", clock.patch_asyncio),
    ("uvloop", clock.patch_uvloop),
    ("uvloop", patches.patch_uvloop),
    ("trio", clock.patch_trio),
    ("trio", patches.patch_trio),
    ("anyio.to_thread", clock.patch_anyio),
    ("apixo_client", clock.patch_client),
    ("socket", patches.patch_network),
    ("http.client", transports.patch_http_client),
    ("urllib3", transports.patch_urllib3),
    ("requests", transports.patch_requests),
    ("httpx", transports.patch_httpx),
    ("httpx2", transports.patch_httpx),
    ("aiohttp", transports.patch_aiohttp),
    ("respx", patches.patch_respx),
    ("responses", patches.patch_responses),
    ("requests_mock", patches.patch_requests_mock),
    ("vcr", patches.patch_vcr),
    ("aioresponses", patches.patch_aioresponses),
)


class _Patching:
    """Patches the libraries of this process while any session is open."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._open = 0
        self._patches = Patches()
        self._watcher = ImportWatcher(dict(_TABLE), self._imported)

    def open(self, session: Session) -> None:
        with self._lock:
            routing.add(session)
            self._open += 1
            if self._open == 1:
                sys.meta_path.insert(0, self._watcher)
            # For each session: since the first one others may have put back what they had found.
            self._put(dict(_TABLE))

    def close(self, session: Session) -> None:
        with self._lock:
            self._open -= 1
            if not self._open:
                sys.meta_path.remove(self._watcher)
                self._patches.undo()
            session.emulator.clock.is_open = False
            routing.remove(session)

    def _imported(self, name: str) -> None:
        with self._lock:
            if self._open:
                self._put({name})

    def _put(self, names: Container[str]) -> None:
        for name, patch in _TABLE:
            if name in names and name in sys.modules:
                # A version of a library without these names is not intercepted. Its calls are
                # refused by what `patch_network` has patched, when there are any.
                with suppress(AttributeError, ImportError):
                    patch(sys.modules[name], self._patches)


_patching = _Patching()


@contextmanager
def open_session(emulator: InProcess, also: BaseUrl | None = None) -> Iterator[None]:
    """Send calls to an emulator until the block ends.

    They are those to the live address, to the addresses of its setup, and to one ``also``.
    """
    session = Session(emulator, filter(None, (*emulator.setup.base_url, also)))
    _patching.open(session)
    try:
        yield
    finally:
        _patching.close(session)


_NOT_DECORATED: dict[str, Callable[[object], bool]] = {
    "class": inspect.isclass,
    "generator": inspect.isgeneratorfunction,
    "async generator": inspect.isasyncgenfunction,
}


class Interception:
    """A block, sync or async, or a decorator; see `intercept`. It may be entered again once left."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._entered: list[ExitStack] = []

    def __enter__(self) -> InProcess:
        with ExitStack() as stack:
            emulator = stack.enter_context(closing(InProcess(self._setup)))
            stack.enter_context(open_session(emulator))
            self._entered.append(stack.pop_all())
        return emulator

    def __exit__(self, *exc_info: object) -> None:
        self._entered.pop().close()

    async def __aenter__(self) -> InProcess:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)

    def __call__(self, function: Callable[..., _T]) -> Callable[..., _T]:
        """Return a function, sync or async, that runs in a block of its own each time.

        One that has a parameter ``emulator`` is given it.

        Raises:
            TypeError: It is a class, or a generator function, whose body runs after its call.
        """
        for kind, is_one in _NOT_DECORATED.items():
            if is_one(function):
                raise TypeError(
                    f"intercept() expected a function, found the {kind} {function!r}. Write with"
                    " apixo_emulator.intercept() as emulator: in a body, or self.emulator ="
                    " self.enterContext(apixo_emulator.intercept()) in the setUp of a TestCase."
                )
        signature = inspect.signature(function)
        parameters = signature.parameters

        def run(emulator: InProcess, *args: Any, **kwargs: Any) -> Any:
            given = {_PARAMETER: emulator} if _PARAMETER in parameters else {}
            return function(*args, **kwargs, **given)

        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            async with type(self)(self._setup) as emulator:
                return await run(emulator, *args, **kwargs)

        def synchronous(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self._setup) as emulator:
                return run(emulator, *args, **kwargs)

        wrapper: Any = asynchronous if inspect.iscoroutinefunction(function) else synchronous
        update_wrapper(wrapper, function)
        # Without the parameter, or pytest would look for a fixture of this name.
        kept = [entry for name, entry in parameters.items() if name != _PARAMETER]
        wrapper.__signature__ = signature.replace(parameters=kept)
        made: Callable[..., _T] = wrapper
        return made


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
