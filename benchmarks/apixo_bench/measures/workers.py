"""What a second process brings. The load needs its share of the two cores, which is told.

Submits that come at once share a commit. Of few connections two processes have half as many each, so
that they commit more often for the same submits; with many, one process gains nothing by more.
"""

from __future__ import annotations

from apixo_bench import cores, load
from apixo_bench.bench import Bench
from apixo_bench.figures import Aim, Figure, at_least, ratios
from apixo_bench.servers import Command, Running, emulator, running

SCALING = at_least(1.7)
FEW, MANY = 64, 128


def run(bench: Bench) -> list[Figure]:
    """Compare one process with two, in turn."""
    bench.say("one process and two")
    one = emulator(bench.checkout)
    two = emulator(bench.checkout, "--workers", "2")
    with running(one) as single, running(_anywhere(two)) as double:
        servers = {1: single, 2: double}
        polled = {count: load.polls([server.submit()]) for count, server in servers.items()}
        submits = dict.fromkeys(servers, load.submits())
        return [
            *_scaling(bench, "status", servers, polled, MANY),
            *_scaling(bench, "submit", servers, submits, MANY),
            *_scaling(bench, "submit", servers, submits, FEW, aim=None),
        ]


def _anywhere(command: Command) -> Command:
    return Command(command.arguments, command.environment, cores.BOTH)


def _scaling(
    bench: Bench,
    kind: str,
    servers: dict[int, Running],
    requests: dict[int, list[load.Request]],
    connections: int,
    *,
    aim: Aim | None = SCALING,
) -> list[Figure]:
    rates: dict[int, list[float]] = {count: [] for count in servers}
    lean: dict[int, list[float]] = {count: [] for count in servers}
    for _ in range(bench.rounds):
        for count, server in servers.items():
            before = server.cpu_s()
            done = load.run(
                server.port, requests[count], seconds=bench.seconds, connections=connections
            )
            spent = server.cpu_s() - before
            rates[count].append(done.rps)
            lean[count].append(count * done.answers / spent)
    title = f"{kind}, {connections} connections: two processes to one"
    return [
        Figure(
            title,
            "x",
            ratios(rates[2], rates[1]),
            note="the load takes its share of the same cores",
        ),
        Figure(
            f"{title}, on cores of their own",
            "x",
            ratios(lean[2], lean[1]),
            aim,
            note="2 x answers a CPU second, to one process's",
        ),
    ]
