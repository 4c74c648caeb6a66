"""What keeping state costs: submits by store and durability, in turn."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from apixo_bench import load, postgres
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, ratios
from apixo_bench.servers import CannotRunError, Command, emulator, running


def run(bench: Bench) -> list[Figure]:
    """Submit to each store in turn, round by round."""
    bench.say("stores")
    commands = _commands(bench)
    absent: list[Figure] = []
    with ExitStack() as stack:
        try:
            url = stack.enter_context(postgres.server())
            commands["PostgreSQL"] = emulator(bench.checkout, "--store", url)
        except CannotRunError as error:
            absent.append(Figure("submits, PostgreSQL", "/s", note=str(error)))
        servers = {
            name: stack.enter_context(running(command)) for name, command in commands.items()
        }
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(bench.rounds):
            for name, server in servers.items():
                done = load.run(server.port, load.submits(), seconds=bench.seconds)
                rates[name].append(done.rps)
    shares = {name: median(ratios(values, rates["memory"])) for name, values in rates.items()}
    return [
        *(
            Figure(f"submits, {name}", "/s", tuple(values), note=f"{shares[name]:.2f} of memory")
            for name, values in rates.items()
        ),
        *absent,
    ]


def _commands(bench: Bench) -> dict[str, Command]:
    ephemeral = emulator(bench.checkout, "--ephemeral")
    arguments = list(ephemeral.arguments)
    at = arguments.index("--data")  # contradicts --ephemeral
    del arguments[at : at + 2]
    return {
        "memory": Command(tuple(arguments), ephemeral.environment),
        "SQLite, --durability process": emulator(bench.checkout),
        "SQLite, --durability power": emulator(bench.checkout, "--durability", "power"),
    }
