"""When to try again. Pure: the random source and the time are handed in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

# Beyond this many doublings every cap is reached; it keeps huge numbers out of floats.
_MOST_DOUBLINGS = 64


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how fast a failed request is repeated.

    Attributes:
        attempts: How often a request is sent at most, the first time included.
        base_s: Upper bound of the first pause, in seconds; it doubles with each failure.
        cap_s: Upper bound of every pause, in seconds.
        max_retry_after_s: A `Retry-After` longer than this is not waited for: the error is raised.
    """

    attempts: int = 8
    base_s: float = 1.0
    cap_s: float = 30.0
    max_retry_after_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ValueError: `attempts` is below 1, or a time is negative or not finite.
        """
        times = (self.base_s, self.cap_s, self.max_retry_after_s)
        if self.attempts < 1 or any(not math.isfinite(time) or time < 0 for time in times):
            raise ValueError(f"attempts from 1 and finite times from 0 were expected, got {self}")


def backoff(failures: int, policy: RetryPolicy, rng: Random) -> float:
    """Give the pause in seconds after the nth failure (from 1): exponential, with full jitter."""
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return rng.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0**doublings))


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a `Retry-After`: seconds, or an HTTP date held against ``now`` (Unix time, seconds).

    Gives seconds from 0, or None for what is absent or not understood. Never raises.
    """
    if value is None:
        return None
    text = value.strip()
    seconds = _seconds(text)
    if seconds is None:
        seconds = _seconds_until(text, now)
    return None if seconds is None else max(0.0, seconds)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _seconds_until(text: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            # "-0000" and obsolete zones: HTTP dates are GMT.
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp() - now
    # The standard library's parser lets several errors through on odd dates.
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
