"""Certification of a client: the command is run once per case, each time in a world of its own.

Nothing that the command prints counts: it is judged by the emulator's records.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Self

from apixo_emulator.certify.client_cases import ClientCase
from apixo_emulator.certify.client_judgement import Record, calls_of, evidence, judge
from apixo_emulator.certify.emulator import OwnEmulator, World
from apixo_emulator.certify.model import Finding, NothingToJudgeError, Progress, Result, Verdict

_GRACE_S = 2.0
_LOOK_S = 0.1
_HELD_S = 0.5
_MOST_OUTPUT = 2000
# So many commands have ended without a call before no further one is started: they may pay for pictures elsewhere.
_SILENT = 3


@dataclass(frozen=True, slots=True)
class ClientCertifier:
    """Runs a command in every case.

    Attributes:
        command: The command and its arguments.
        emulator: An emulator in which every key is a world of its own.
        timeout_s: Seconds after which a command is killed.
        rate: How much faster the emulator's time runs than the system's, except where dates are compared.
        name: Distinguishes the worlds of several runs at one emulator.
    """

    command: Sequence[str]
    emulator: OwnEmulator
    timeout_s: float
    rate: float = 1.0
    name: str = "certify"

    async def run(self, cases: Sequence[ClientCase], jobs: int, progress: Progress) -> list[Result]:
        """Run the cases, ``jobs`` at a time; the rest is skipped if the first commands make no call.

        Raises:
            NothingToJudgeError: The command cannot be started.
        """
        limit = asyncio.Semaphore(jobs)
        calls: list[int] = []

        async def one(case: ClientCase) -> Result:
            async with limit:
                if len(calls) >= _SILENT and not any(calls):
                    found = [Finding(Verdict.SKIPPED, "a call to APIXO_BASE_URL", "none so far")]
                    result = Result(case.id, case.title, case.matters, case.advice, found)
                else:
                    result, number = await self._judged(case)
                    calls.append(number)
            progress(result)
            return result

        # Those that last longest begin first.
        order = sorted(cases, key=lambda case: not case.endless)
        try:
            # Unlike `asyncio.gather`, it waits for the end of all commands when it is cancelled.
            async with asyncio.TaskGroup() as group:
                tasks = {case.id: group.create_task(one(case)) for case in order}
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [tasks[case.id].result() for case in cases]

    async def _judged(self, case: ClientCase) -> tuple[Result, int]:
        """Run the command in a case; return the result, and how many calls it has made."""
        began = perf_counter()
        key = key_of(case, self.name)
        world = self.emulator.world(key)
        for rule in case.rules:
            await world.control("POST", "/scenarios", rule)
        rate = 1.0 if case.dates else self.rate
        now = (await world.control("GET", "/clock"))["now"]
        await world.control("POST", "/clock", {"now": now + case.skew_ms, "rate": rate})
        ending = asyncio.create_task(_end_polled_tasks(world, case.polls))
        try:
            exit_code, output = await self._ran(case, key)
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
        # Control calls are not in the journal.
        calls = calls_of(await world.calls(), rate)
        tasks = (await world.control("GET", "/tasks?limit=100"))["tasks"]
        partial = [call.path for call in calls if call.is_result and call.range]
        size = await world.size(partial[0]) if partial else 1
        record = Record(calls, tasks, exit_code, self.timeout_s, size)
        shown = evidence(record) + ([f"output: {output}"] if output else [])
        result = Result(
            case.id, case.title, case.matters, case.advice, judge(case, record), shown,
            perf_counter() - began,
        )  # fmt: skip
        return result, len(calls)

    async def _ran(self, case: ClientCase, key: str) -> tuple[int | None, str]:
        """Run the command; return its exit code, None if it was killed, and the end of its output."""
        with TemporaryDirectory(prefix="apixo-certify-", ignore_cleanup_errors=True) as folder:
            environment = {
                **os.environ,
                "APIXO_BASE_URL": self.emulator.base_url,
                "APIXO_API_KEY": key,
                "APIXO_CASE": case.id,
                # A folder of its own for what the command saves.
                "APIXO_OUTPUT_DIR": folder,
            }
            async with _Output() as output:
                process = await self._started(environment, output)
                code: int | None = None
                try:
                    with suppress(TimeoutError):
                        code = await asyncio.wait_for(process.wait(), self.timeout_s)
                finally:
                    await _end(process)
            return code, output.end.decode("utf-8", errors="replace").strip()

    async def _started(
        self, environment: Mapping[str, str], output: _Output
    ) -> asyncio.subprocess.Process:
        """Start the command.

        Raises:
            NothingToJudgeError: It cannot be started.
        """
        start = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *self.command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.write_fd,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        )
        try:
            # A start that is cancelled kills the command, but not what the command has started.
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            await _end(await start)
            raise
        except OSError as error:
            raise NothingToJudgeError(
                f"the command cannot be started: {self.command[0]}: {error.strerror or error}"
            ) from None


async def _end_polled_tasks(world: World, most_polls: int) -> None:
    """End each task as soon as it has been polled so often, if not 0. Runs until it is cancelled."""
    ended: set[str] = set()
    while most_polls:
        polls = Counter(c["taskId"] for c in await world.calls() if c["endpoint"] == "status")
        for task_id in {each for each in polls if polls[each] >= most_polls} - ended:
            ended.add(task_id)
            await world.control("POST", f"/tasks/{task_id}/finish", {})
        await asyncio.sleep(_LOOK_S)


class _Output(asyncio.Protocol):
    """Reads what a command writes, and keeps the end of it.

    A pipe of its own: with `asyncio.subprocess.PIPE` the end of the command is not seen before the end of all
    that it has left running.
    """

    end = b""

    async def __aenter__(self) -> Self:
        read_fd, self.write_fd = os.pipe()
        loop = asyncio.get_running_loop()
        self._closed = loop.create_future()
        self._transport, _ = await loop.connect_read_pipe(lambda: self, os.fdopen(read_fd, "rb"))
        return self

    async def __aexit__(self, *_: object) -> None:
        os.close(self.write_fd)
        # Longer only if something that is still running holds it open.
        await asyncio.wait([self._closed], timeout=_HELD_S)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self.end = (self.end + data)[-_MOST_OUTPUT:]

    def eof_received(self) -> None:
        self._closed.set_result(None)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the command if it still runs, and what it has left running in its process group."""
    try:
        await _signal(process, signal.SIGTERM)
    finally:  # also when it is cancelled again
        await _signal(process, signal.SIGKILL)


async def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to the process group of the command, and wait a while for the end of the command."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE_S)


def key_of(case: ClientCase, name: str) -> str:
    """Return the API key of a case in a run, which is its world."""
    return f"sk-{name}-{case.id}"


def accounts_config(cases: Sequence[ClientCase], name: str = "certify") -> str:
    """Return the part of the emulator's configuration file that gives cases a balance of their own."""
    return "".join(
        f'[[account]]\nkey = "{key_of(case, name)}"\nbalance = "{case.balance}"\n\n'
        for case in cases
        if case.balance is not None
    )
