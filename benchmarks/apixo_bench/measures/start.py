"""From exec to the ready line, and the memory held then: with nothing stored, and with much."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from apixo_bench import cores, load
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure, at_most, ratios
from apixo_bench.seeding import fill
from apixo_bench.servers import CannotRunError, Checkout, emulator, free_port, running

READY_EMPTY_MS = at_most(300)
READY_FULL_MS = at_most(500)
MEMORY_MIB = at_most(50)
SCALE = at_most(1.2)
_MANY, _MANY_QUICK, _FEW = 1_000_000, 100_000, 1_000
_STARTS = 9


def run(bench: Bench) -> list[Figure]:
    """Start in an empty folder, in one with many tasks, and compare polls of few and many."""
    starts = 4 if bench.quick else _STARTS
    many = _MANY_QUICK if bench.quick else _MANY
    bench.say("starting in empty folders")
    empty = [_start(bench.checkout, None) for _ in range(starts + 1)][1:]  # the first compiles
    with _seeded(bench, many) as (full, ids), _seeded(bench, _FEW) as (small, few_ids):
        bench.say(f"starting with {many:,} tasks")
        laden = [_start(bench.checkout, full) for _ in range(starts + 1)][1:]
        scaled = _polls(bench, (full, ids), (small, few_ids), many)
    bare = _bare_python_ms()
    return [
        Figure(
            "ready from exec, nothing stored",
            "ms",
            tuple(ms for ms, _ in empty),
            READY_EMPTY_MS,
            note=f"of it {bare:.0f} ms for Python itself",
        ),
        Figure(
            f"ready from exec, {many:,} tasks stored",
            "ms",
            tuple(ms for ms, _ in laden),
            READY_FULL_MS,
        ),
        Figure("memory after start", "MiB", tuple(mib for _, mib in empty), MEMORY_MIB),
        *scaled,
    ]


def _start(checkout: Checkout, folder: Path | None) -> tuple[float, float]:
    """Give the ms until the ready line and the MiB held then."""
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as made:
        command = emulator(checkout)
        arguments = [
            part.format(port=free_port(), folder=folder or made) for part in command.arguments
        ]
        with cores.on(cores.SERVER):
            began = time.perf_counter()
            process = subprocess.Popen(
                arguments, env=dict(command.environment), stdout=subprocess.PIPE, cwd=made
            )
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = process.stdout.readline()
        spent = time.perf_counter() - began
        try:
            if b"ready" not in line:
                raise CannotRunError(f"expected the ready line, found {line!r}")
            held = Path(f"/proc/{process.pid}/status").read_text("ascii")
            return spent * 1e3, int(held.split("VmRSS:")[1].split()[0]) / 1024
        finally:
            process.terminate()
            process.communicate()


def _bare_python_ms() -> float:
    """Give what the interpreter alone takes, without the site-packages."""
    took = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        took.append(time.perf_counter() - began)
    return median(took) * 1e3


@contextmanager
def _seeded(bench: Bench, tasks: int) -> Iterator[tuple[Path, list[str]]]:
    bench.say(f"storing {tasks:,} tasks")
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as folder:
        yield Path(folder), fill(bench.checkout, Path(folder), tasks)


def _polls(
    bench: Bench, many: tuple[Path, list[str]], few: tuple[Path, list[str]], count: int
) -> list[Figure]:
    """Compare the median poll of many stored tasks with that of few, side by side."""
    bench.say("polls of many tasks and of few")
    with (
        running(emulator(bench.checkout), many[0]) as full,
        running(emulator(bench.checkout), few[0]) as small,
    ):
        laden: list[load.Result] = []
        light: list[load.Result] = []
        for _ in range(bench.rounds):
            for server, ids, results in ((full, many[1], laden), (small, few[1], light)):
                results.append(load.run(server.port, load.polls(ids), seconds=bench.seconds))
    p50 = ratios([r.p50_ms for r in laden], [r.p50_ms for r in light])
    title = f"poll with {count:,} tasks to {_FEW:,}"
    return [
        Figure(f"{title}, p50", "x", p50, SCALE),
        Figure(f"{title}, p99", "x", ratios([r.p99_ms for r in laden], [r.p99_ms for r in light])),
    ]
