"""The load generators' own ceiling: what they reach on a server that does nothing."""

from __future__ import annotations

import shutil
import sys

from apixo_bench import load
from apixo_bench.bench import Bench
from apixo_bench.contestants import PEERS
from apixo_bench.figures import Figure
from apixo_bench.servers import Command, running


def run(bench: Bench) -> list[Figure]:
    """Load the server that does nothing, with wrk where it is installed, and with the bundled one."""
    bench.say("the load itself")
    kinds = {"wrk": False, "bundled": True} if shutil.which("wrk") else {"bundled": True}
    reached: dict[str, list[float]] = {kind: [] for kind in kinds}
    with running(Command((sys.executable, str(PEERS / "nothing.py"), "{port}"))) as server:
        for _ in range(min(bench.rounds, 3)):
            for kind, bundled in kinds.items():
                done = load.run(
                    server.port, load.polls(["0"]), seconds=bench.seconds, bundled=bundled
                )
                reached[kind].append(done.rps)
    return [Figure(f"ceiling of {kind}", "/s", tuple(rates)) for kind, rates in reached.items()]
