"""Four 8k results asked for at once: the server's memory, and what polls feel meanwhile."""

from __future__ import annotations

import asyncio
import time

from apixo_bench import cores
from apixo_bench.bench import Bench
from apixo_bench.caller import Caller, flood, p99, patience_ms, poll, submit, task_id
from apixo_bench.figures import Figure, at_most
from apixo_bench.load import Request
from apixo_bench.servers import Command, Running, emulator, running

AT_ONCE = 4
MEMORY_MIB = at_most(400)
SLOWER = at_most(3)
_FORMATS = ("jpg", "png", "webp", "jpg")
_QUIET_S = 2.0


def run(bench: Bench) -> list[Figure]:
    """Draw placeholders: what an offline machine serves, and no quicker than a photograph.

    Once with server and load on a core each, as the other measures have it, and once with both on both
    cores, as on a developer's machine: there the caller itself waits for a core, too.
    """
    command = emulator(bench.checkout, "--latency", "0")
    bench.say(f"{AT_ONCE} results of 8k at once")
    with cores.on(cores.LOAD):
        apart = _rounds(bench, command)
    bench.say(f"{AT_ONCE} results of 8k at once, all on both cores")
    shared = _rounds(bench, Command(command.arguments, command.environment, cores.BOTH))
    peaks, seconds, _, _ = zip(*shared, strict=True)
    return [
        Figure(f"{AT_ONCE} x 8k at once, peak memory of the server", "MiB", peaks, MEMORY_MIB),
        Figure(f"{AT_ONCE} x 8k at once on both cores, until the last is there", "s", seconds),
        _slower("p99 of a poll meanwhile, to that before", apart, "load on a core of its own"),
        _slower("the same, all on both cores", shared, "the caller waits for a core, too"),
    ]


def _rounds(bench: Bench, command: Command) -> list[tuple[float, float, float, float]]:
    found = []
    for _ in range(1 if bench.quick else min(3, bench.rounds)):
        with running(command) as server:
            found.append(asyncio.run(_draw(server)))
    return found


def _slower(title: str, found: list[tuple[float, float, float, float]], how: str) -> Figure:
    ratio = tuple(busy / quiet for _, _, quiet, busy in found)
    _, _, quiet, busy = found[-1]
    note = f"{quiet:.2f} ms before, {busy:.2f} ms meanwhile; {how}"
    return Figure(title, "x", ratio, SLOWER, note=note)


async def _draw(server: Running) -> tuple[float, float, float, float]:
    """Give the peak in MiB, the s until all are there, and polls' p99 in ms before and meanwhile."""
    asked = [submit(resolution="8k", output_format=name) for name in _FORMATS]
    answers = [await flood(server.port, [one], 1) for one in asked]
    ids = [task_id(answer[0]) for answer in answers]
    polled = poll(ids[0])
    until = time.perf_counter() + _QUIET_S
    quiet = await patience_ms(server.port, polled, lambda: time.perf_counter() > until)
    names = [f"{one}.{name}" for one, name in zip(ids, _FORMATS, strict=True)]
    began = time.perf_counter()
    drawing = asyncio.gather(*(_fetch(server.port, name) for name in names))
    busy = await patience_ms(server.port, polled, drawing.done)
    spent = time.perf_counter() - began
    await drawing
    return server.peak_mib(), spent, p99(quiet), p99(busy)


async def _fetch(port: int, name: str) -> None:
    caller = await Caller.open(port)
    await caller.call(Request("GET", f"/files/{name}").wire("127.0.0.1"))
    caller.close()
