"""Calls that never reach a socket: a static route of respx and responses, and the emulator's own.

Each probe runs in a process of its own: all three patch the same libraries.
"""

from __future__ import annotations

import json
import subprocess
import sys

from apixo_bench import cores
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, ratios
from apixo_bench.servers import Checkout

# Probe: its title, and the client library that it stands under.
PROBES = {
    "httpx": "httpx to a transport that does nothing",
    "respx": "httpx, respx static route",
    "emulator-httpx": "httpx, emulator intercepted",
    "requests": "requests to an adapter that does nothing",
    "responses": "requests, responses static route",
    "emulator-requests": "requests, emulator intercepted",
}


def run(bench: Bench) -> list[Figure]:
    """Poll in process with each, in turn."""
    bench.say("in process")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PROBES}
    absent: dict[str, str] = {}
    for _ in range(bench.rounds):
        for name in PROBES:
            outcome = _probe(bench.checkout, name)
            if isinstance(outcome, str):
                absent[name] = outcome
            else:
                found[name].append(outcome)
    return [figure for name in PROBES for figure in _figures(name, found, absent)]


def _figures(
    name: str, found: dict[str, list[dict[str, float]]], absent: dict[str, str]
) -> list[Figure]:
    title = PROBES[name]
    if name in absent:
        return [Figure(title, "µs", note=absent[name])]
    floor = "httpx" if PROBES[name].startswith("httpx") else "requests"
    figures = []
    for kind in found[name][0]:
        took = [entry[kind] for entry in found[name]]
        note = ""
        if name != floor and floor not in absent:
            least = ratios(took, [entry[kind] for entry in found[floor]])
            note = f"{sorted(least)[len(least) // 2]:.2f} x the library alone"
        figures.append(Figure(f"{title}: {kind}", "µs", tuple(took), note=note))
    return figures


def _probe(checkout: Checkout, name: str) -> dict[str, float] | str:
    command = [sys.executable, "-m", "apixo_bench.probes.inprocess", name]
    with cores.on(cores.SERVER):
        done = subprocess.run(
            command, env=checkout.environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2]
    result: dict[str, float] = json.loads(done.stdout)
    return result
