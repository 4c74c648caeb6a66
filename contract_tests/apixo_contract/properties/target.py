"""What the properties run against: an emulator in this process, a server by its URL, the live API.

This is the only module of the kit that imports the emulator, as the tests of an application do.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import httpx
from hypothesis import reject

from apixo_client import ConfigurationError, resolve_settings
from apixo_contract.options import DEFAULT_BUDGET, EXAMPLE_IMAGE, UsageError, is_loopback, option
from apixo_contract.properties.service import OverBudgetError, Service
from apixo_contract.session import Budget
from apixo_schemas import contract

EMULATOR, LIVE = "emulator", "live"
# On this machine the clock of clients runs so much faster than real time, so that the documented
# pauses of 5 to 15 s do not slow a run down.
_LOCAL_SPEED = 20.0
_PLENTY = Decimal(1_000_000)
_KEY = "sk-apixo-properties"


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@dataclass(repr=False)
class Target:
    """What the properties run against.

    Attributes:
        name: ``emulator``, ``live``, or the base URL of a server.
        emulator: The emulator in this process; None for a server elsewhere.
        callback_url: A public URL that leads to `callback_port` of this machine, if there is one.
        folder: An empty folder for files.
        examples: How many examples were tried so far.
        troubles: How many calls failed in passing so far: 429, 5xx, no response.
        known: Ids of tasks that were submitted already, by picture, so that they are paid once.
        have_ended: True if the known tasks have ended, so that nothing new comes by waiting.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    budget: Budget
    seed: int
    image_url: str
    failing_image_url: str
    folder: Path
    emulator: Any = None
    callback_url: str | None = None
    callback_port: int = 0
    most_examples: int | None = None
    known: dict[str, str] = field(default_factory=dict)
    have_ended: bool = False
    examples: int = 0
    troubles: int = 0

    def __repr__(self) -> str:
        return self.name

    @property
    def kind(self) -> str:
        """``emulator``, ``url`` or ``live``."""
        if self.emulator is not None:
            return EMULATOR
        return "url" if is_loopback(self.base_url) else LIVE

    @property
    def _speed(self) -> float:
        return _LOCAL_SPEED if self.kind == "url" else 1.0

    def now(self) -> float:
        """Return the time of clients, in seconds."""
        if self.emulator is not None:
            now: float = self.emulator.now_ms / 1000
            return now
        return time.monotonic() * self._speed

    def sleep(self, seconds: float) -> None:
        """Let time pass for clients."""
        if self.emulator is not None:
            self.emulator.sleep(seconds)
        else:
            time.sleep(seconds / self._speed)

    async def asleep(self, seconds: float) -> None:
        """Let time pass for async clients."""
        if self.emulator is not None:
            await self.emulator.asleep(seconds)
        else:
            await asyncio.sleep(seconds / self._speed)

    def transport(self) -> httpx.HTTPTransport:
        """Return a transport of httpx, with a proxy of the environment as httpx uses it."""
        scheme = httpx.URL(self.base_url).scheme
        proxy = getproxies().get(scheme) if self.kind == LIVE else None
        return httpx.HTTPTransport(verify=_certificates(), proxy=proxy)

    @contextmanager
    def example(self, kind: str = "sync") -> Iterator[Service]:
        """Yield the target for one example; a failure gets the calls and the seed as a note.

        Args:
            kind: The kind of its clients, ``sync`` or ``async``.
        """
        self.examples += 1
        if self.emulator is not None:
            self.emulator.reset()
        with ExitStack() as closing:
            service = Service(self, kind, closing)
            try:
                yield service
            except OverBudgetError:
                reject()
            except Exception as error:
                error.add_note(service.story())
                raise


@contextmanager
def open_target(
    name: str = EMULATOR,
    *,
    api_key: str | None = None,
    image_url: str | None = None,
    failing_image_url: str | None = None,
    budget: Budget | str | None = None,
    seed: int = 0,
    live: bool = False,
    callback_url: str | None = None,
    callback_port: int = 0,
    examples: int | None = None,
) -> Iterator[Target]:
    """Yield a target by its name.

    Args:
        name: ``emulator``, ``live``, or a base URL with or without ``/api/v1``.
        api_key: None reads `APIXO_API_KEY`; the emulator needs none.
        image_url: A picture that the target can fetch and enlarge.
        failing_image_url: A source that makes a task fail.
        budget: What all properties may cost at most, in USD if it is no `Budget`; None is no limit
            for the emulator.
        seed: The same seed generates the same examples.
        live: Allows a target that is not on this machine, where tasks cost real money.
        callback_url: A public URL that leads to ``callback_port`` of this machine.
        callback_port: Where to listen for callbacks; 0 takes a free port.
        examples: Examples of each property at most; None takes each property's own number.

    Raises:
        UsageError: The target may not be used so; the message says what to give.
    """
    in_process = name == EMULATOR
    base_url = contract().live_base_url if name in {EMULATOR, LIVE} else name
    try:
        settings = resolve_settings(_KEY if in_process else api_key, base_url)
    except ConfigurationError as error:
        raise UsageError(str(error)) from None
    if not in_process and not settings.is_loopback:
        if not live:
            raise UsageError(f"{name}: tasks there cost real money. Add --live to allow it")
        if image_url is None:
            raise UsageError("a live run needs --image-url: a public JPG, PNG or WebP")
    if not isinstance(budget, Budget):
        limit = _PLENTY if in_process else DEFAULT_BUDGET
        budget = Budget(limit if budget is None else option("budget-usd").read(budget))
    with ExitStack() as stack:
        emulator = stack.enter_context(_emulator(seed)) if in_process else None
        yield Target(
            name=name,
            base_url=settings.base_url,
            api_key=settings.api_key,
            budget=budget,
            seed=seed,
            image_url=image_url or EXAMPLE_IMAGE,
            failing_image_url=failing_image_url or "",
            folder=Path(stack.enter_context(tempfile.TemporaryDirectory())),
            emulator=emulator,
            callback_url=callback_url,
            callback_port=callback_port,
            most_examples=examples,
        )


def _emulator(seed: int) -> Any:
    try:
        from apixo_emulator import intercept
    except ImportError as error:
        raise UsageError(
            f"the target {EMULATOR} needs {error.name}: pip install '.[pytest]' in a checkout of the project, "
            "or give the URL of a server"
        ) from None
    return intercept(seed=seed, auto_advance=False, balance="1000", api_key=_KEY)


def scenarios() -> list[str]:
    """Return the emulator's names of scenarios, with a number where one is wanted."""
    from apixo_emulator.scenarios.vocabulary import vocabulary

    return [entry.name.replace("<seconds>", "7") for entry in vocabulary()]
