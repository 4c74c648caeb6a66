"""What keeping state costs: submits by store and durability, in turn."""

from __future__ import annotations

import os
from contextlib import ExitStack

from apixo_bench import load
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, ratios
from apixo_bench.servers import Command, emulator, running

# The same variable as the tests' names a PostgreSQL that may be filled.
_POSTGRES = "APIXO_TEST_POSTGRES"


def run(bench: Bench) -> list[Figure]:
    """Submit to each store in turn, round by round."""
    bench.say("stores")
    commands = _commands(bench)
    rates: dict[str, list[float]] = {name: [] for name in commands}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(command)) for name, command in commands.items()
        }
        for _ in range(bench.rounds):
            for name, server in servers.items():
                done = load.run(server.port, load.submits(), seconds=bench.seconds)
                rates[name].append(done.rps)
    figures = []
    for name, values in rates.items():
        share = sorted(ratios(values, rates["memory"]))[len(values) // 2]
        figures.append(
            Figure(f"submits, {name}", "/s", tuple(values), note=f"{share:.2f} of memory")
        )
    if _POSTGRES not in os.environ:
        figures.append(Figure("submits, PostgreSQL", "/s", note=f"{_POSTGRES} names no server"))
    return figures


def _commands(bench: Bench) -> dict[str, Command]:
    ephemeral = emulator(bench.checkout, "--ephemeral")
    arguments = list(ephemeral.arguments)
    at = arguments.index("--data")  # contradicts --ephemeral
    del arguments[at : at + 2]
    commands = {
        "memory": Command(tuple(arguments), ephemeral.environment),
        "SQLite, --durability process": emulator(bench.checkout),
        "SQLite, --durability power": emulator(bench.checkout, "--durability", "power"),
    }
    if url := os.environ.get(_POSTGRES):
        commands["PostgreSQL"] = emulator(bench.checkout, "--store", url)
    return commands
