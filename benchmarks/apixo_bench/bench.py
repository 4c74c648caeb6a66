"""What all measures share: whose emulator, how long, and where to say what is going on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from apixo_bench.figures import Figure
from apixo_bench.servers import Checkout


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmarks. ``quick`` is for under a minute, with wider spreads."""

    checkouts: list[Checkout] = field(default_factory=lambda: [Checkout()])
    quick: bool = False
    rounds: int = 3
    seconds: float = 2.0

    @property
    def checkout(self) -> Checkout:
        """The emulator that the measures other than the throughput look at."""
        return self.checkouts[0]

    def say(self, words: str) -> None:
        """Tell whoever waits what is being done."""
        sys.stderr.write(f"  … {words}\n")
        sys.stderr.flush()


Measure = Callable[[Bench], list[Figure]]
