"""How long a task takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import NormalDist

from apixo_emulator.domain.chance import unit
from apixo_emulator.domain.nearest import shown
from apixo_schemas import contract

# Long enough to see `pending` and `processing` go by, short enough to wait for.
FAST_MS = 1500
LONGEST_MS = 24 * 3600 * 1000
_MILLISECONDS = re.compile(r"\d{1,20}", re.ASCII)
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Latency:
    """The duration of tasks: ``fixed_ms``, or where that is None a log-normal distribution.

    ``median_ms`` None takes the realistic one of the contract's assumptions, by tier.
    """

    fixed_ms: int | None
    median_ms: float | None = None
    sigma: float | None = None

    def duration_ms(self, seed: int, task_id: str, resolution: str) -> int:
        """Return the duration of one task, in ms.

        The realistic one is log-normal around the page's example, by tier (assumption
        ``latency.distribution``).
        """
        if self.fixed_ms is not None:
            return self.fixed_ms
        terms = contract()
        shape = terms.assumed("latency.distribution")
        sigma: float = shape["sigma"] if self.sigma is None else self.sigma
        median = self.median_ms
        if median is None:
            median = terms.typical_latency_ms * shape["factor"][resolution]
        deviation = _NORMAL.inv_cdf(unit(seed, "latency", task_id)) * sigma
        return min(round(median * math.exp(deviation)), LONGEST_MS)


def read_latency(text: str) -> Latency:
    """Read ``fast``, ``realistic`` or a number of milliseconds.

    Raises:
        ValueError: It is none of them.
    """
    match text.strip().lower():
        case "fast":
            return Latency(FAST_MS)
        case "realistic":
            return Latency(None)
        case digits if _MILLISECONDS.fullmatch(digits) and int(digits) <= LONGEST_MS:
            return Latency(int(digits))
    raise ValueError(
        f"expected fast, realistic or milliseconds from 0 to {LONGEST_MS}, found {shown(text)}"
    )
