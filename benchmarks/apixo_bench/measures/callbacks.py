"""Callbacks: how fast many that are due at once leave, and what polls feel of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from apixo_bench import cores
from apixo_bench.bench import Bench
from apixo_bench.caller import flood, p99, patience_ms, poll, submit, task_id
from apixo_bench.figures import Figure, at_most
from apixo_bench.receivers import Apart, Hanging
from apixo_bench.servers import emulator, running

CALLBACKS, CALLBACKS_QUICK = 10_000, 1_000
WITHIN_S = at_most(5)
SLOWER = at_most(3)
HUNG = 1_000
_QUIET_S = 2.0
_LOST_S = 120.0


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst: the s from its first callback to its last, and polls' p99 in ms around it."""

    seconds: float
    arrived: int
    quiet_ms: float
    busy_ms: float


def run(bench: Bench) -> list[Figure]:
    """Let many come due at once to one fast receiver; then let many receivers hang."""
    count = CALLBACKS_QUICK if bench.quick else CALLBACKS
    rounds = 1 if bench.quick else min(bench.rounds, 2)
    bursts = []
    for number in range(rounds):
        bench.say(f"{count:,} callbacks due at once, {number + 1} of {rounds}")
        with cores.on(cores.LOAD):
            bursts.append(asyncio.run(_burst(bench, count)))
    slower = tuple(burst.busy_ms / burst.quiet_ms for burst in bursts)
    lost = sum(count - burst.arrived for burst in bursts)
    figures = [
        Figure(
            f"{count:,} callbacks due at once, sent within",
            "s",
            tuple(burst.seconds for burst in bursts),
            None if bench.quick else WITHIN_S,
            note=f"{lost} MISSING" if lost else "",
        ),
        Figure("callbacks a second", "/s", tuple(b.arrived / b.seconds for b in bursts)),
        Figure(
            "p99 of a poll meanwhile, to that before",
            "x",
            slower,
            SLOWER,
            note=f"{bursts[-1].quiet_ms:.2f} ms before, {bursts[-1].busy_ms:.2f} ms meanwhile",
        ),
    ]
    return figures if bench.quick else [*figures, _hung(bench)]


async def _burst(bench: Bench, count: int) -> Burst:
    """Submit while nothing is due yet: tasks take long, until the clock of the last has run out."""
    latency_s = max(4.0, count / 1000)
    options = ("--latency", str(round(latency_s * 1000)))
    async with Apart() as receiver:
        with running(emulator(bench.checkout, *options)) as server:
            began = time.perf_counter()
            answers = await flood(server.port, [submit(receiver.url)] * count)
            last = poll(task_id(answers[-1]))
            quiet = await patience_ms(
                server.port, last, lambda: time.perf_counter() > began + latency_s * 0.9
            )
            await patience_ms(server.port, last, lambda: receiver.arrived > 0 or _late(began))
            busy = await patience_ms(
                server.port, last, lambda: receiver.arrived >= count or _late(began)
            )
            return Burst(receiver.spent_s, receiver.arrived, p99(quiet), p99(busy))


def _late(began: float) -> bool:
    return time.perf_counter() > began + _LOST_S


def _hung(bench: Bench) -> Figure:
    bench.say(f"{HUNG:,} receivers that hang")
    with cores.on(cores.LOAD):
        quiet, busy = asyncio.run(_while_receivers_hang(bench))
    note = f"{quiet:.2f} ms before, {busy:.2f} ms meanwhile"
    return Figure(
        f"p99 of a poll while {HUNG:,} receivers hang", "x", (busy / quiet,), SLOWER, note=note
    )


async def _while_receivers_hang(bench: Bench) -> tuple[float, float]:
    """Measure polls before, and while receivers hang: each on a port of its own."""
    async with Hanging(HUNG) as hanging:
        with running(emulator(bench.checkout, "--latency", "0")) as server:
            first = await flood(server.port, [submit()])
            asked = poll(task_id(first[0]))
            until = time.perf_counter() + _QUIET_S
            quiet = await patience_ms(server.port, asked, lambda: time.perf_counter() > until)
            await flood(server.port, [submit(url) for url in hanging.urls])
            await asyncio.wait_for(hanging.all_reached.wait(), _LOST_S)
            until = time.perf_counter() + _QUIET_S
            busy = await patience_ms(server.port, asked, lambda: time.perf_counter() > until)
            return p99(quiet), p99(busy)
