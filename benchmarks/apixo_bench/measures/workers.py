"""What a second process brings. The load needs its share of the two cores, which is told."""

from __future__ import annotations

from apixo_bench import cores, load
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, at_least, ratios
from apixo_bench.servers import Command, Running, emulator, running

SCALING = at_least(1.7)


def run(bench: Bench) -> list[Figure]:
    """Compare one process with two, in turn."""
    bench.say("one process and two")
    one = emulator(bench.checkout)
    two = emulator(bench.checkout, "--workers", "2")
    with running(one) as single, running(_anywhere(two)) as double:
        servers = {1: single, 2: double}
        polled = {count: load.polls([server.submit()]) for count, server in servers.items()}
        asked = {"status": polled, "submit": dict.fromkeys(servers, load.submits())}
        return [
            figure
            for kind, requests in asked.items()
            for figure in _scaling(bench, kind, servers, requests)
        ]


def _anywhere(command: Command) -> Command:
    return Command(command.arguments, command.environment, cores.BOTH)


def _scaling(
    bench: Bench, kind: str, servers: dict[int, Running], requests: dict[int, list[load.Request]]
) -> list[Figure]:
    rates: dict[int, list[float]] = {count: [] for count in servers}
    lean: dict[int, list[float]] = {count: [] for count in servers}
    for _ in range(bench.rounds):
        for count, server in servers.items():
            before = server.cpu_s()
            done = load.run(server.port, requests[count], seconds=bench.seconds, connections=64)
            spent = server.cpu_s() - before
            rates[count].append(done.rps)
            lean[count].append(count * done.answers / spent)
    note = "the load takes its share of the same cores"
    by_cpu = ratios(lean[2], lean[1])
    return [
        Figure(f"{kind}: two processes to one", "x", ratios(rates[2], rates[1]), note=note),
        Figure(
            f"{kind}: two to one, on cores of their own",
            "x",
            by_cpu,
            SCALING,
            note="2 x answers a CPU second, to one process's",
        ),
    ]
