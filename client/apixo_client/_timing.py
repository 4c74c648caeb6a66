"""When to poll, and where the client takes time and chance from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Self

from apixo_client._contract import terms

if TYPE_CHECKING:
    from apixo_schemas import Poll


@dataclass(frozen=True)
class Pace:
    """When to poll, each time picked at random from a range of seconds.

    Attributes:
        first_s: Between the submit and the first poll.
        interval_s: Between polls.
    """

    first_s: tuple[float, float]
    interval_s: tuple[float, float]

    @classmethod
    def every(cls, seconds: float) -> Self:
        """Poll at a constant pace, such as a fast one against an emulator."""
        return cls((seconds, seconds), (seconds, seconds))

    @classmethod
    def recommended(cls, resolution: str) -> Self:
        """Give the pace that the documentation recommends for a tier."""
        poll: Poll = terms().polling.for_tier(resolution.lower())
        first, interval = poll.first_ms, poll.interval_ms
        return cls((first[0] / 1000, first[1] / 1000), (interval[0] / 1000, interval[1] / 1000))


@dataclass(frozen=True)
class Timing:
    """Where the client takes time and chance from; tests hand in their own.

    Attributes:
        monotonic: Seconds that never jump, for deadlines.
        wall: Unix time in seconds, for HTTP dates.
        rng: Source of jitter.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    rng: Random = field(default_factory=Random)
