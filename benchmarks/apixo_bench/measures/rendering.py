"""How long a result takes to draw and how much memory: 8k from a source of 1280x720, per format.

Each round is a process of its own, as the peak of a process never goes down.
"""

from __future__ import annotations

import json
import subprocess
import sys

from apixo_bench import cores
from apixo_bench.bench import Bench
from apixo_bench.figures import Aim, Figure, at_most
from apixo_bench.servers import CannotRunError, Checkout

_SECONDS: dict[str, Aim] = {"8k jpg": at_most(0.7), "8k png": at_most(1.5)}
_MIB: dict[str, Aim] = {"8k jpg": at_most(64)}


def run(bench: Bench) -> list[Figure]:
    """Draw every case in fresh processes."""
    cases = json.loads(_probe(bench.checkout, "--cases"))
    figures = []
    for title, order in cases.items():
        bench.say(title)
        found = [json.loads(_probe(bench.checkout, json.dumps(order))) for _ in range(bench.rounds)]
        seconds, mib = ([entry[key] for entry in found] for key in ("seconds", "mib"))
        note = f"{found[0]['megabytes']:.1f} MB; with libvips {found[0]['mib_in_all']:.0f} MiB"
        figures += [
            Figure(title, "s", tuple(seconds), _SECONDS.get(title), note=note),
            Figure(f"{title}, growth of the peak", "MiB", tuple(mib), _MIB.get(title)),
        ]
    return figures


def _probe(checkout: Checkout, order: str) -> str:
    command = [sys.executable, "-m", "apixo_bench.probes.rendering", order]
    with cores.on(cores.BOTH):  # libvips draws with both
        done = subprocess.run(
            command, env=checkout.environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise CannotRunError(f"drawing failed: {done.stderr[-600:]}")
    return done.stdout
