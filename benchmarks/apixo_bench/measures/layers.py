"""Where the time of a poll and of a submit goes, by layer: py-spy looks 500 times a second.

A sample counts for the innermost frame that belongs to a layer; time in C belongs to whoever called
it. A layer's µs are its share of the server's processor time an answer.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from apixo_bench import load
from apixo_bench.bench import Bench
from apixo_bench.figures import Figure
from apixo_bench.servers import CannotRunError, Running, emulator, running

# What stands outside of it started the server, and has no part in a call.
_LOOP = "asyncio/runners.py"
_ASLEEP = "wait (threading.py"
_RATE = 500
_SECONDS, _SECONDS_QUICK = 6, 3
# The first pattern that a frame's file fits names its layer.
LAYERS: tuple[tuple[str, str], ...] = (
    ("SQLite", r"apixo_emulator/storage/"),
    ("validation", r"apixo_emulator/domain/submission"),
    ("pictures: the source's verdict", r"apixo_emulator/(pictures/|core/pictures|core/addresses)"),
    ("answer's JSON", r"apixo_emulator/domain/(render|envelope)"),
    ("route, key, task", r"apixo_emulator/domain/"),
    ("gate, clock, worlds", r"apixo_emulator/service/"),
    ("adapter from HTTP", r"apixo_emulator/(server|worker)"),
    ("uvicorn and httptools", r"uvicorn/protocols/|httptools"),
)
LOOP, OTHER_THREADS = "event loop, sockets", "other threads"


def run(bench: Bench) -> list[Figure]:
    """Look at a server under each kind of load."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise CannotRunError("not installed: pip install py-spy")
    with running(emulator(bench.checkout)) as server:
        polls = load.polls([server.submit() for _ in range(64)])
        load.run(server.port, polls, seconds=2)  # tasks end, caches fill
        return [
            figure
            for kind, requests in (("status", polls), ("submit", load.submits()))
            for figure in _layers(bench, kind, server, requests, spy)
        ]


def _layers(
    bench: Bench, kind: str, server: Running, requests: list[load.Request], spy: str
) -> list[Figure]:
    bench.say(f"sampling {kind}")
    seconds = _SECONDS_QUICK if bench.quick else _SECONDS
    free_s, free = server.cpu_s(), load.run(server.port, requests, seconds=seconds)
    whole_us = (server.cpu_s() - free_s) / free.answers * 1e6
    samples = _sample(server, requests, seconds, spy)
    total = sum(samples.values())
    figures = [Figure(f"{kind}: in all", "µs", (whole_us,), note="processor time, unsampled")]
    for layer in (*(name for name, _ in LAYERS), LOOP, OTHER_THREADS):
        share = samples[layer] / total
        figures.append(Figure(f"{kind}: {layer}", "µs", (whole_us * share,), note=f"{share:.0%}"))
    return figures


def _sample(server: Running, requests: list[load.Request], seconds: int, spy: str) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as folder:
        out = Path(folder) / "stacks"
        options = ["--format", "raw", "--rate", str(_RATE), "--duration", str(seconds)]
        command = [spy, "record", "--pid", str(server.pid), "--output", str(out), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.3)  # it has to find its way into the process
        load.run(server.port, requests, seconds=seconds)
        said = process.communicate()[1].decode(errors="replace")
        if not out.exists():
            raise CannotRunError(f"py-spy gave no samples: {said[-300:]}")
        return by_layer(out.read_text("utf-8", "replace"))


def by_layer(stacks: str) -> Counter[str]:
    """Count py-spy's raw stacks, `frame;frame;… count` a line, by layer."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if _ASLEEP not in frames[-1]:  # the sampler takes some waits for work
            counts[layer_of(frames)] += int(count)
    return counts


def layer_of(frames: list[str]) -> str:
    """Name the layer of the innermost frame that belongs to one."""
    loop = max((n for n, frame in enumerate(frames) if _LOOP in frame), default=None)
    if loop is None:
        return OTHER_THREADS
    for frame in reversed(frames[loop + 1 :]):
        for layer, pattern in LAYERS:
            if re.search(pattern, frame):
                return layer
    return LOOP
