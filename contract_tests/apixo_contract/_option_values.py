"""What the options of a run may be: a wrong one is told as such, before anything is sent."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apixo_contract._secrets import scrubbed
from apixo_contract._visible import one_line

if TYPE_CHECKING:
    from apixo_contract._settings import Settings

SEEDS = 2**32
_MOST_USD = 1_000_000
# Longer than any task takes; a system can sleep so long at once.
_DAY_S = 86_400
_HIGHEST_PORT = 65_535
_LABEL = r"(?!-)[\w-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_LONGEST_NAME = 253
_PASSWORD = re.compile(r"//[^/?#]*@")


class UsageError(ValueError):
    """The run cannot start as it was asked for; the message says what to change."""


@dataclass(frozen=True, slots=True)
class _Range:
    """Which numbers an option takes; ``wanted`` says so in words."""

    field: str
    option: str
    kind: type[int | float]
    wanted: str
    low: int = 0
    high: float = float("inf")
    above_low: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, self.kind)):
            return False
        # Written so that it is false for NaN.
        return self.low <= value <= self.high and not (self.above_low and value == self.low)


_RANGES = (
    _Range("max_wait_s", "--max-wait", float, f"seconds from 0 to {_DAY_S}", high=_DAY_S),
    _Range(
        "poll_interval_s",
        "--poll-interval",
        float,
        f"seconds, more than 0 and at most {_DAY_S}",
        high=_DAY_S,
        above_low=True,
    ),
    _Range(
        "callback_port",
        "--callback-port",
        int,
        f"a port from 1 to {_HIGHEST_PORT}, or 0 for a free one",
        high=_HIGHEST_PORT,
    ),
    _Range("seed", "--seed", int, f"an integer from 0 to {SEEDS - 1}", high=SEEDS - 1),
    _Range("examples", "--examples", int, "an integer, 0 or more"),
)


def faults(settings: Settings) -> Iterator[str]:
    """Say which options have values that no run can use, and what was expected."""
    try:
        usd(settings.budget_usd)
    except UsageError as error:
        yield str(error)
    for known in _RANGES:
        value = getattr(settings, known.field)
        if value is not None and not known.holds(value):
            yield _fault(known.option, known.wanted, value)
    yield from _text_faults(settings)


def _text_faults(settings: Settings) -> Iterator[str]:
    host, url = settings.callback_host, settings.callback_url
    if host is not None and not _is_host(host):
        wanted = "this machine's name or address alone, such as 192.0.2.7 or ci.example.com"
        yield _fault("--callback-host", wanted, host)
    if url is not None and not _is_url(url):
        wanted = "an http or https URL without a fragment, such as https://tunnel.example.com"
        yield _fault("--callback-url", wanted, url)
    images = {"--image-url": settings.image_url, "--failing-image-url": settings.failing_image_url}
    for option, image in images.items():
        if image is not None and not _is_utf8(image):
            yield _fault(option, "a text in UTF-8", image)


def _fault(option: str, wanted: str, found: object) -> str:
    told = scrubbed(_PASSWORD.sub("//…@", found)) if isinstance(found, str) else found
    return f"{option}: expected {wanted}, found {one_line(repr(told), 100)}"


def usd(given: Decimal | float | str) -> Decimal:
    """Read an amount that a run may cost.

    Raises:
        UsageError: It is none; the message says what is.
    """
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount.is_finite() and 0 <= amount <= _MOST_USD:
        return amount
    wanted = f"an amount in USD from 0 to {_MOST_USD}, such as 0.10"
    raise UsageError(_fault("--budget-usd", wanted, str(given)))


def _is_host(text: str) -> bool:
    try:
        # An address with a zone means something on this machine alone.
        return ipaddress.ip_address(text) is not None and "%" not in text
    except ValueError:
        return bool(_NAME.fullmatch(text)) and len(text) <= _LONGEST_NAME


def _is_url(text: str) -> bool:
    if not text.isprintable() or any(mark in text for mark in " #\\"):
        return False
    try:
        parts = urlsplit(text)
        has_host = parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:  # of the port, or of an IPv6 address
        return False
    return parts.scheme in ("http", "https") and has_host


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
