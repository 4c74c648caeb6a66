"""What a run is asked to do, and which questions must be settled before it may start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from apixo_contract._option_values import UsageError, faults

__all__ = [
    "DEFAULT_BUDGET",
    "EXAMPLE_IMAGE",
    "Settings",
    "Unreachable",
    "UsageError",
    "check",
    "is_loopback",
]

# The page's own example. A target on this machine is an emulator or a stub: nothing is fetched.
EXAMPLE_IMAGE = "https://example.com/input.jpg"
DEFAULT_BUDGET = Decimal("0.10")


class Unreachable(Exception):
    """The target does not answer; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settled options of a run; times in seconds.

    Raises:
        UsageError: No run can use these values.
    """

    base_url: str
    api_key: str = field(repr=False)
    image_url: str = EXAMPLE_IMAGE
    failing_image_url: str | None = None
    budget_usd: Decimal = DEFAULT_BUDGET
    # How long a task may take; None waits 180 s and skips what takes longer by its nature.
    max_wait_s: float | None = None
    # None polls often on this machine and as the page recommends elsewhere.
    poll_interval_s: float | None = None
    callback_host: str | None = None
    callback_url: str | None = None
    callback_port: int = 0
    seed: int = 0
    # Generated bodies for each documented rule alone; sets of rules get fewer each. 0 sends none.
    examples: int = 12
    live: bool = False
    # The target is called without a network.
    in_process: bool = False

    def __post_init__(self) -> None:
        if found := list(faults(self)):
            raise UsageError("; ".join(found))

    @property
    def is_local(self) -> bool:
        """Whether the target runs here: asking it often disturbs nobody, and costs nothing."""
        return self.in_process or self.is_loopback

    @property
    def takes_callbacks(self) -> bool:
        """Whether there is an address that callbacks can be sent to."""
        if self.callback_host or self.callback_url:
            return True
        return self.is_loopback and not self.in_process

    @property
    def is_loopback(self) -> bool:
        """Whether the target runs on this machine."""
        return is_loopback(self.base_url)

    @property
    def waits_for_retries(self) -> bool:
        """Whether to turn the first callback away and wait for the second: if time was given."""
        return self.max_wait_s is not None and self.max_wait_s >= _RETRY_WAIT_S

    @property
    def task_wait_s(self) -> float:
        """Give how long to wait for a task to end."""
        return _TASK_WAIT_S if self.max_wait_s is None else self.max_wait_s

    def public(self) -> dict[str, Any]:
        """Give what a report may show."""
        return {
            "image_url": self.image_url[:200],
            "failing_image_url": self.failing_image_url and self.failing_image_url[:200],
            "budget_usd": str(self.budget_usd),
            "max_wait_s": self.max_wait_s,
            "poll_interval_s": self.poll_interval_s,
            "callbacks": self.callback_url or self.callback_host,
        }


_TASK_WAIT_S = 180.0
# The first retry comes after 30 s (platform fact P5); the rest is for the way.
_RETRY_WAIT_S = 45.0


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(settings: Settings, *, image_given: bool) -> None:
    """Refuse what must not start: a foreign host without leave, a live run without a picture.

    Raises:
        UsageError: Something must be given first.
    """
    if settings.is_local:
        return
    host = urlsplit(settings.base_url).hostname
    if not settings.live:
        raise UsageError(
            f"{host} is not this machine: tasks there cost real money. Add --live to allow it; "
            f"the run spends at most {settings.budget_usd} USD"
        )
    if not image_given and settings.budget_usd > 0:
        raise UsageError(
            "a live run needs --image-url: a public JPG, PNG or WebP. The documentation's example "
            f"{EXAMPLE_IMAGE} is no picture, every task would fail and cost money"
        )
