"""What an account may do: its models, its rate as a token bucket, its unfinished tasks at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from apixo_emulator.domain.money import usd

MOST_CALLS = 1_000_000
LONGEST_S = 86_400.0
# A rate as slow as one call a day still counts tokens exactly enough.
_MS_PER_S = 1000
# Floats that refill in many small steps end a hair below the whole token that they owe.
_HAIR = 1e-9
# A clock that is further back was set back; nobody is to wait for the time that it has lost.
_SET_BACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: ``calls`` tokens come in every ``per_s`` seconds, ``burst`` are kept at most.

    Raises:
        ValueError: A number is out of range.
    """

    calls: int
    per_s: float
    burst: int

    def __post_init__(self) -> None:
        if not 1 <= self.calls <= MOST_CALLS:
            raise ValueError(f"calls: expected 1 to {MOST_CALLS}, found {self.calls}")
        if not 0 < self.per_s <= LONGEST_S:
            raise ValueError(
                f"per_s: expected seconds above 0 and up to {LONGEST_S:g}, found {self.per_s:g}"
            )
        if not 1 <= self.burst <= MOST_CALLS:
            raise ValueError(f"burst: expected 1 to {MOST_CALLS}, found {self.burst}")

    @property
    def per_ms(self) -> float:
        """The tokens that come in per millisecond."""
        return self.calls / (self.per_s * _MS_PER_S)

    def shown(self) -> dict[str, Any]:
        """Give it as a JSON value, as the config file writes it."""
        return {"calls": self.calls, "per_s": self.per_s, "burst": self.burst}


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many tokens an account had at an instant, in Unix ms."""

    tokens: float
    at_ms: int


def take_token(bucket: Bucket | None, rate: Rate, now_ms: int) -> tuple[Bucket, int | None]:
    """Take one token at ``now_ms``; give the bucket as it is then, and None.

    Without a token nothing is taken, and instead of None come the ms until there is one. A bucket
    of None was never used and is full.
    """
    held = _refilled(bucket, rate, now_ms)
    if held.tokens >= 1 - _HAIR:
        return Bucket(max(held.tokens - 1, 0.0), held.at_ms), None
    missing_ms = math.ceil((1 - held.tokens) / rate.per_ms - _HAIR)
    return held, max(1, held.at_ms - now_ms + missing_ms)


def _refilled(bucket: Bucket | None, rate: Rate, now_ms: int) -> Bucket:
    if bucket is None or bucket.at_ms - now_ms > _SET_BACK_MS:
        return Bucket(float(rate.burst), now_ms)
    # Calls that were read side by side come in any order; no instant brings tokens in twice.
    at_ms = max(now_ms, bucket.at_ms)
    tokens = bucket.tokens + (at_ms - bucket.at_ms) * rate.per_ms
    return Bucket(min(float(rate.burst), tokens), at_ms)


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What the configuration says of an account; None is as for any other account.

    ``models`` are those that it may use, none if empty; ``concurrency`` is how many of its tasks
    may be unfinished at once; the balance is in millionths of a USD.
    """

    balance_micros: int | None = None
    models: frozenset[str] | None = None
    rate: Rate | None = None
    concurrency: int | None = None

    def shown(self) -> dict[str, Any]:
        """Give what is limited as a JSON value, as the config file writes it."""
        shown: dict[str, Any] = {}
        if self.balance_micros is not None:
            shown["balance"] = usd(self.balance_micros)
        if self.models is not None:
            shown["models"] = sorted(self.models)
        if self.rate is not None:
            shown["rate"] = self.rate.shown()
        if self.concurrency is not None:
            shown["concurrency"] = self.concurrency
        return shown
