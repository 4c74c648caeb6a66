"""Several server processes on one address: start them, restart one that dies, stop them together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from apixo_emulator.runtime import StartError

_log = logging.getLogger("apixo_emulator")
# A forked process would share the parent's locks and threads; a spawned one starts clean.
_SPAWN = multiprocessing.get_context("spawn")
# Longer than a server's own grace.
_STOP_S = 15.0
# A worker that dies is replaced at once; one that dies again soon is replaced ever later.
_SOON_S = 10.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0

# Serves in a worker process. It sends None into the pipe when it answers, or why it cannot start.
Work = Callable[[Any], None]


@dataclass(slots=True)
class _Worker:
    """One of the workers, and the pipe to it."""

    process: SpawnProcess
    ready: Any
    started_s: float
    # How many before it died soon after their start.
    failures: int = 0


def supervise(count: int, work: Work, ready: Callable[[], object]) -> None:
    """Run workers until SIGINT or SIGTERM; ``ready`` is called when all answer.

    Raises:
        StartError: One of the first did not start.
    """
    with _signals() as stop:
        supervisor = _Supervisor(count, work, stop)
        try:
            if supervisor.start():
                ready()
                supervisor.watch()
        finally:
            supervisor.stop()


class _Supervisor:
    """``stop`` is a descriptor that becomes readable when the server is to stop."""

    def __init__(self, count: int, work: Work, stop: int) -> None:
        self._count = count
        self._work = work
        self._stop = stop
        self._workers: list[_Worker] = []
        # Workers to be started, by their instant on the monotonic clock, with their failures.
        self._due: list[tuple[float, int]] = []

    def start(self) -> bool:
        """Start all workers and wait until they answer; return False if the server is to stop."""
        self._workers = [self._started() for _ in range(self._count)]
        for worker in self._workers:
            if self._stop in wait([worker.ready, self._stop]):
                return False
            try:
                problem = worker.ready.recv()
            except EOFError:
                worker.process.join()
                problem = f"a worker process ended with {worker.process.exitcode} at its start"
            if problem:
                raise StartError(problem)
        return True

    def watch(self) -> None:
        """Restart workers that die, until the server is to stop."""
        while True:
            next_s = min((at_s for at_s, _ in self._due), default=None)
            timeout = None if next_s is None else max(0.0, next_s - time.monotonic())
            sentinels = [worker.process.sentinel for worker in self._workers]
            ended = wait([*sentinels, self._stop], timeout)
            if self._stop in ended:
                return
            for worker in [one for one in self._workers if one.process.sentinel in ended]:
                self._note_death(worker)
            now_s = time.monotonic()
            for entry in [entry for entry in self._due if entry[0] <= now_s]:
                self._due.remove(entry)
                self._workers.append(self._started(failures=entry[1]))

    def _note_death(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.join()
        now_s = time.monotonic()
        failures = worker.failures + 1 if now_s - worker.started_s < _SOON_S else 0
        delay_s = min(_FIRST_DELAY_S * 2 ** (failures - 2), _LONGEST_DELAY_S) if failures > 1 else 0
        self._due.append((now_s + delay_s, failures))
        _log.warning(
            "worker process %s ended with %s%s; another takes its place%s",
            worker.process.pid,
            worker.process.exitcode,
            _reason(worker),
            f" in {delay_s:g} s" if delay_s else "",
        )

    def _started(self, failures: int = 0) -> _Worker:
        ready, tell = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=self._work, args=(tell,))
        # The terminal sends Ctrl-C to workers too; what is ignored here is ignored there.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.start()
        finally:
            signal.signal(signal.SIGINT, handler)
        tell.close()
        return _Worker(process, ready, time.monotonic(), failures)

    def stop(self) -> None:
        """Stop all workers: with SIGTERM, and if that takes too long or a second signal comes, at once."""
        with suppress(BlockingIOError):
            os.read(self._stop, 1)  # the signal that ended `watch`
        for worker in self._workers:
            worker.process.terminate()
        until_s = time.monotonic() + _STOP_S
        left = self._workers
        while left := [worker for worker in left if worker.process.is_alive()]:
            wait_s = until_s - time.monotonic()
            sentinels = [worker.process.sentinel for worker in left]
            if wait_s <= 0 or self._stop in wait([*sentinels, self._stop], wait_s):
                break
        why = "a second signal came" if time.monotonic() < until_s else f"{_STOP_S:g} s have passed"
        for worker in left:
            _log.warning("worker process %s is killed: %s", worker.process.pid, why)
            worker.process.kill()
            worker.process.join()


def _reason(worker: _Worker) -> str:
    """Return why a worker could not start, if it said so."""
    if not worker.ready.poll():
        return ""
    try:
        problem = worker.ready.recv()
    except EOFError:
        return ""
    return f": {problem}" if problem else ""


@contextmanager
def _signals() -> Iterator[int]:
    """Return a descriptor that becomes readable on SIGINT and SIGTERM, once for each."""
    read, write = os.pipe()
    os.set_blocking(read, False)

    def note(_number: int, _frame: FrameType | None) -> None:
        os.write(write, b"!")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield read
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
