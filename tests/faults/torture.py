"""Kill the server again and again under load, then check the books: `torture.py --kills 1000`."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # started as a program; its neighbours are found beside it
    sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.callers import Caller, answered, cents, final_answer
from faults.hooks import Hooks, hooked
from faults.load import Books, Load
from faults.mortal import end, launch, steady_port, until_ready
from support.process import children, command

_LOADS = 2
_START_CENTS = 100_000_000
# Longer than a lease: without a data folder of its own a server waits for those of the dead.
_ARRIVAL_S = 90
_SHARE_KILLED_AT_START = 0.15
_LONGEST_LIFE_S = 0.4


@dataclass
class Summary:
    kills: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    callback_tasks: int = 0
    callbacks: int = 0
    finals_seen: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        figures = (
            f"{self.kills} kills in {self.seconds:.0f} s, {self.acknowledged} submits acknowledged, "
            f"{self.unacknowledged} cut off, {self.callbacks} callbacks of {self.callback_tasks} "
            f"tasks, {self.finals_seen} final answers seen, {len(self.violations)} violations"
        )
        return "\n".join([figures, *self.violations[:20]])


def torture(
    *, kills: int, seed: int, store: str, folder: Path, emulators: int = 1, workers: int = 1
) -> Summary:
    """Kill ``kills`` times. ``store`` is sqlite, or a URL for --store, which several may share."""
    began = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - chance that can be repeated
    summary = Summary()
    key = f"sk-torture-{seed}-{time.time_ns()}"  # a shared store may know earlier ones
    servers = [_Server(steady_port(), store, workers, folder / f"{n}") for n in range(emulators)]
    with hooked(bad=0.1, seed=seed) as hooks, ExitStack() as stack:
        for server in servers:
            stack.callback(server.kill)
            server.start()
        ports = [server.port for server in servers]
        with _loads(ports, key, hooks.url, seed) as loads:
            while summary.kills < kills:
                victim = chance.choice(servers)
                if chance.random() > _SHARE_KILLED_AT_START:
                    victim.wait()
                # The one wait that is for no condition: the moment of death is what is tried.
                time.sleep(chance.uniform(0, _LONGEST_LIFE_S))
                victim.kill()
                victim.start()
                summary.kills += 1
        for server in servers:
            server.wait()
        with Caller(ports[0], key) as caller:
            _check(caller, [load.books for load in loads], hooks, summary)
    summary.seconds = time.monotonic() - began
    return summary


class _Server:
    """An emulator that is killed, with its workers, and started again on the same data and port."""

    def __init__(self, port: int, store: str, workers: int, folder: Path) -> None:
        self.port = port
        self._folder = folder
        self._folder.mkdir()
        balance = str(_START_CENTS // 100)
        self._arguments = ["--port", str(port), "--data", "data", "--workers", str(workers)]
        self._arguments += ["--latency", "50", "--balance", balance]
        self._arguments += ["--callback-retries", "0.2,0.2,0.2"]
        # Whichever emulator is asked: the same result.
        self._arguments += ["--public-url", "http://results.example"]
        if store != "sqlite":
            self._arguments += ["--store", store]
        self._process: subprocess.Popen[str] | None = None
        self._ready = False

    def start(self) -> None:
        self._process = launch([*command("serve"), *self._arguments], cwd=self._folder)
        self._ready = False

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        if not self._ready:
            until_ready(self._process)
            self._ready = True

    def kill(self) -> None:
        if self._process is not None:
            workers = [] if self._process.poll() is not None else children(self._process.pid)
            end(self._process)
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            self._process = None


@contextmanager
def _loads(ports: list[int], key: str, receiver: str, seed: int) -> Iterator[list[Load]]:
    loads = [Load(ports, key, receiver, seed * _LOADS + number) for number in range(_LOADS)]
    for load in loads:
        load.start()
    try:
        yield loads
    finally:
        for load in loads:
            load.end.set()
        for load in loads:
            load.join()


def _check(caller: Caller, books: list[Books], hooks: Hooks, summary: Summary) -> None:
    violations = summary.violations
    violations += [words for one in books for words in one.violations]
    acknowledged = {
        task_id: wanted for one in books for task_id, wanted in one.acknowledged.items()
    }
    seen = {task_id: body for one in books for task_id, body in one.finals.items()}
    cut = sum(one.cut for one in books)
    if len(acknowledged) != sum(len(one.acknowledged) for one in books):
        violations.append("an id was given twice")
    missing = hooks.wait_for({name for name, wanted in acknowledged.items() if wanted}, _ARRIVAL_S)
    violations += [f"the callback of {task_id} never came" for task_id in sorted(missing)]
    for task_id in acknowledged:
        try:
            final = final_answer(caller, task_id)
        except AssertionError as error:
            violations.append(str(error))
            continue
        if seen.get(task_id, final) != final:
            violations.append(f"the final answer of {task_id} has changed: {final!r}")
        if hooks.bodies.get(task_id, final) != final:
            violations.append(f"the callback of {task_id} is not what a poll tells: {final!r}")
    charged = _START_CENTS - cents(answered(caller.balance()))
    least, most = len(acknowledged), len(acknowledged) + cut
    if not least <= charged <= most:
        violations.append(f"charged were {charged} cents, expected {least} to {most}")
    violations += hooks.violations
    summary.acknowledged = len(acknowledged)
    summary.unacknowledged = cut
    summary.callback_tasks = len(hooks.arrivals)
    summary.callbacks = sum(hooks.arrivals.values())
    summary.finals_seen = len(seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", default="sqlite", help="sqlite, or a URL for serve --store")
    parser.add_argument("--emulators", type=int, default=1, help="on one --store")
    parser.add_argument("--workers", type=int, default=1, help="of each emulator")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        summary = torture(
            kills=given.kills,
            seed=given.seed,
            store=given.store,
            folder=Path(folder),
            emulators=given.emulators,
            workers=given.workers,
        )
    sys.stdout.write(f"{summary}\n")
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
