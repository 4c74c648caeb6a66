"""Whether memory stays flat while tasks come in."""

from __future__ import annotations

import time

from apixo_bench import load
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, at_most
from apixo_bench.servers import emulator, running

SUBMITS, SUBMITS_QUICK = 1_000_000, 30_000
# Caches and the journal are full after this share of them.
_FILLED = 1 / 3
GROWTH_MIB = at_most(8)
_LONGEST_S = 60.0


def run(bench: Bench) -> list[Figure]:
    """Submit much and look at the memory held, after a third and at the end."""
    wanted = SUBMITS_QUICK if bench.quick else SUBMITS
    held: list[tuple[int, float]] = []
    done = 0
    with running(emulator(bench.checkout)) as server:
        start = server.resident_mib()
        until = time.monotonic() + _LONGEST_S
        while done < wanted and time.monotonic() < until:
            done += load.run(server.port, load.submits(), seconds=2).answers
            held.append((done, server.resident_mib()))
            bench.say(f"{done:,} of {wanted:,} submits, {held[-1][1]:.0f} MiB")
    filled = next(mib for count, mib in held if count >= done * _FILLED)
    end = held[-1][1]
    return [
        Figure(f"memory after {done:,} submits", "MiB", (end,), note=f"{start:.0f} at the start"),
        Figure("growth over the last two thirds", "MiB", (end - filled,), GROWTH_MIB),
    ]
