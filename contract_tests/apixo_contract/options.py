"""The options of a run: declared once for the command, the pytest suite and the functions.

`OPTIONS` says what each option means and which values it takes. `Settings` holds the values of one
run and refuses those that no run can use.
"""

from __future__ import annotations

import ipaddress
import math
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from apixo_contract.masking import scrub
from apixo_contract.text import one_line

# The page's own example. A target on this machine is an emulator or a stub, which fetches nothing.
EXAMPLE_IMAGE = "https://example.com/input.jpg"
DEFAULT_BUDGET = Decimal("0.10")
# On this machine, where tasks cost nothing, the client's properties pay for tasks, too.
LOCAL_BUDGET = Decimal("0.40")
DEFAULT_EXAMPLES = 12
_SEEDS = 2**32
_MOST_USD = 1_000_000
# Longer than any task takes; a system can sleep so long at once.
_DAY_S = 86_400
_HIGHEST_PORT = 65_535
_TASK_WAIT_S = 180.0
# The first retry of a callback comes after 30 s (platform fact P5); the rest is for its way.
_RETRY_WAIT_S = 45.0
_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_LONGEST_NAME = 253
_PASSWORD = re.compile(r"//[^/?#]*@")


class UsageError(ValueError):
    """The run cannot start as asked; the message says what to change."""


class Unreachable(Exception):
    """The target does not answer; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a run.

    Attributes:
        name: As the command has it, without the dashes.
        kind: The type of its values.
        wanted: Which values it takes, in words.
        holds: The same as a condition.
        text: What it means.
    """

    name: str
    kind: Callable[[str], Any]
    wanted: str
    holds: Callable[[Any], bool]
    text: str
    default: Any = None

    @property
    def field(self) -> str:
        """Return the field of `Settings`."""
        return self.name.replace("-", "_")

    def read(self, given: Any) -> Any:
        """Return a value, converted from a text or a number.

        Raises:
            UsageError: No run can use it; the message names the option and what is expected.
        """
        value = given
        if isinstance(given, str) or (self.kind is Decimal and isinstance(given, int | float)):
            with suppress(ValueError, InvalidOperation):
                value = self.kind(str(given))
        if isinstance(value, bool) or not self.holds(value):
            told = scrub(_PASSWORD.sub("//…@", given)) if isinstance(given, str) else given
            found = one_line(repr(told), 100)
            raise UsageError(f"--{self.name}: expected {self.wanted}, found {found}")
        return value


def _is_duration(value: Any) -> bool:
    # Written so that it is false for NaN.
    return isinstance(value, int | float) and 0 <= value <= _DAY_S


def _up_to(most: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and 0 <= value <= most


def _is_host(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        # An address with a zone has a meaning on this machine only.
        return ipaddress.ip_address(value) is not None and "%" not in value
    except ValueError:
        return bool(_NAME.fullmatch(value)) and len(value) <= _LONGEST_NAME


def _is_url(value: Any) -> bool:
    if not isinstance(value, str) or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        has_host = parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:  # of the port, or of an IPv6 address
        return False
    is_odd = any(mark in value for mark in " #\\")
    return parts.scheme in ("http", "https") and has_host and not is_odd


def _is_utf8(value: Any) -> bool:
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


_TEXT = (str, "a text in UTF-8", _is_utf8)
OPTIONS = (
    Option("image-url", *_TEXT, "A picture that the target can fetch and enlarge."),
    Option("failing-image-url", *_TEXT, "A source that makes a task fail."),
    Option(
        "budget-usd",
        Decimal,
        f"an amount in USD from 0 to {_MOST_USD}, such as 0.10",
        lambda v: isinstance(v, Decimal) and v.is_finite() and 0 <= v <= _MOST_USD,
        "The most that a run may cost; every submit is counted before it is sent. "
        f"[{DEFAULT_BUDGET}; on this machine {LOCAL_BUDGET}]",
    ),
    Option(
        "max-wait",
        float,
        f"seconds from 0 to {_DAY_S}",
        _is_duration,
        "Seconds to wait for a task [180]. 45 or more also waits for the second try of a callback.",
    ),
    Option(
        "poll-interval",
        float,
        f"seconds, more than 0 and at most {_DAY_S}",
        lambda v: _is_duration(v) and v > 0,
        "Seconds between two polls of a task [on this machine less than 1, else 5].",
    ),
    Option(
        "callback-host",
        str,
        "this machine's name or address alone, such as 192.0.2.7 or ci.example.com",
        _is_host,
        "This machine's name or address as the target reaches it, for callbacks. [127.0.0.1 if the "
        "target is on this machine]",
    ),
    Option(
        "callback-url",
        str,
        "an http or https URL without a fragment, such as https://tunnel.example.com",
        _is_url,
        "A public URL that leads to --callback-port, e.g. a tunnel's.",
    ),
    Option(
        "callback-port",
        int,
        f"a port from 1 to {_HIGHEST_PORT}, or 0 for a free one",
        _up_to(_HIGHEST_PORT),
        "Where to listen for callbacks; 0 takes a free port.",
        default=0,
    ),
    Option(
        "examples",
        int,
        "an integer, 0 or more",
        _up_to(math.inf),
        "Generated bodies for each rule broken alone; sets of rules get fewer each.",
        default=DEFAULT_EXAMPLES,
    ),
    Option(
        "seed",
        int,
        f"an integer from 0 to {_SEEDS - 1}",
        _up_to(_SEEDS - 1),
        "The same seed generates the same bodies. [random]",
    ),
)


def option(name: str) -> Option:
    """Return an option by its name.

    Raises:
        StopIteration: There is no such option.
    """
    return next(found for found in OPTIONS if found.name == name)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one run; times in seconds.

    Attributes:
        max_wait: How long a task may take. None waits 180 s and skips what takes longer by its
            nature.
        poll_interval: None polls often on this machine and as the page recommends elsewhere.
        examples: Generated bodies for each documented rule alone; 0 sends none.
        live: Allows a target that is not this machine, where tasks cost real money.
        in_process: The target is called without a network.

    Raises:
        UsageError: No run can use these values.
    """

    base_url: str
    api_key: str = field(repr=False)
    image_url: str = EXAMPLE_IMAGE
    failing_image_url: str | None = None
    budget_usd: Decimal = DEFAULT_BUDGET
    max_wait: float | None = None
    poll_interval: float | None = None
    callback_host: str | None = None
    callback_url: str | None = None
    callback_port: int = 0
    examples: int = DEFAULT_EXAMPLES
    seed: int = 0
    live: bool = False
    in_process: bool = False

    def __post_init__(self) -> None:
        for known in OPTIONS:
            value = getattr(self, known.field)
            if value is not None:
                known.read(value)

    @property
    def is_loopback(self) -> bool:
        """True if the target runs on this machine."""
        return is_loopback(self.base_url)

    @property
    def is_local(self) -> bool:
        """True if the target runs here, so that frequent calls disturb nothing and cost nothing."""
        return self.in_process or self.is_loopback

    @property
    def takes_callbacks(self) -> bool:
        """True if there is an address that callbacks can be sent to."""
        if self.callback_host or self.callback_url:
            return True
        return self.is_loopback and not self.in_process

    @property
    def waits_for_retries(self) -> bool:
        """True if the first callback is refused, and the time given is enough for the second."""
        return self.max_wait is not None and self.max_wait >= _RETRY_WAIT_S

    @property
    def task_wait_s(self) -> float:
        """Return how long to wait for a task to end."""
        return _TASK_WAIT_S if self.max_wait is None else self.max_wait

    def public(self) -> dict[str, Any]:
        """Return what a report may show of the options."""
        return {
            "image_url": self.image_url[:200],
            "failing_image_url": self.failing_image_url and self.failing_image_url[:200],
            "budget_usd": str(self.budget_usd),
            "max_wait_s": self.max_wait,
            "poll_interval_s": self.poll_interval,
            "callbacks": self.callback_url or self.callback_host,
        }


def is_loopback(url: str) -> bool:
    """True if a URL names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# How messages of the client name its parameters, and how the kit names its options.
_CLIENT_WORDS = {
    "pass api_key=… to the client": "give --api-key",
    "api_key=…": "--api-key",
    "base_url=…": "--base-url",
}


def settle(base_url: str | None, api_key: str | None, options: Mapping[str, Any]) -> Settings:
    """Return the settings of a run that may start.

    Args:
        base_url: With or without ``/api/v1``. None takes ``APIXO_BASE_URL``, else the live API.
        api_key: None takes ``APIXO_API_KEY``.
        options: Other fields of `Settings`, as values or texts; None stands for the default.

    Raises:
        UsageError: A value is missing or cannot be used, a target elsewhere was not allowed, or a
            live run has no picture.
    """
    # Imported here: every run of pytest reads the options, and httpx takes a tenth of a second.
    from apixo_client import ConfigurationError, resolve_settings

    try:
        found = resolve_settings(api_key, base_url)
    except ConfigurationError as error:
        words = str(error)
        for name, kit_name in _CLIENT_WORDS.items():
            words = words.replace(name, kit_name)
        raise UsageError(words) from None
    known = {found.field: found for found in OPTIONS}
    given = {
        name: known[name].read(value) if name in known else value
        for name, value in options.items()
        if value is not None
    }
    given.setdefault("seed", secrets.randbelow(_SEEDS))
    if is_loopback(found.base_url) and not given.get("in_process"):
        given.setdefault("budget_usd", LOCAL_BUDGET)
    settings = Settings(found.base_url, found.api_key, **given)
    if not settings.is_local:
        _check_foreign(settings, image_given="image_url" in given)
    return settings


def _check_foreign(settings: Settings, *, image_given: bool) -> None:
    host = urlsplit(settings.base_url).hostname
    if not settings.live:
        raise UsageError(
            f"{host} is not this machine: tasks there cost real money. Add --live to allow it; "
            f"the run costs at most ${settings.budget_usd}"
        )
    if not image_given and settings.budget_usd > 0:
        raise UsageError(
            "a live run needs --image-url: a public JPG, PNG or WebP. The documentation's example "
            f"{EXAMPLE_IMAGE} is no picture, every task would fail and cost money"
        )
