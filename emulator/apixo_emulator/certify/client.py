"""Certification of a client: the command is run once per case, each time in a world of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from apixo_emulator.certify.client_cases import ClientCase
from apixo_emulator.certify.client_judge import Record, calls_of, judge
from apixo_emulator.certify.emulator import OwnEmulator
from apixo_emulator.certify.model import NothingToJudgeError, Result

_GRACE_S = 2.0
_MOST_OUTPUT = 2000
_MOST_CALLS = 12

Progress = Callable[[Result], None]


@dataclass(frozen=True, slots=True)
class ClientCertifier:
    """Runs a command in every case.

    Attributes:
        command: The command and its arguments.
        emulator: An emulator in which every key is a world of its own.
        timeout_s: Seconds after which a command is killed.
        rate: How much faster the emulator's time runs.
        name: Distinguishes the worlds of several runs at one emulator.
    """

    command: Sequence[str]
    emulator: OwnEmulator
    timeout_s: float
    rate: float = 1.0
    name: str = "certify"

    async def run(self, cases: Sequence[ClientCase], jobs: int, progress: Progress) -> list[Result]:
        """Run the cases, ``jobs`` at a time.

        Raises:
            NothingToJudgeError: The command cannot be started.
        """
        limit = asyncio.Semaphore(jobs)

        async def one(case: ClientCase) -> Result:
            async with limit:
                result = await self._judged(case)
            progress(result)
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(case)) for case in cases]
        return [task.result() for task in tasks]

    async def _judged(self, case: ClientCase) -> Result:
        began = perf_counter()
        key = key_of(case, self.name)
        await self._prepare(case, key)
        exit_code, output = await self._ran(case, key)
        entries = await asyncio.to_thread(self.emulator.calls, key)
        # The preparation's own calls are control calls, which the journal does not hold.
        tasks = (await self._control("GET", "/tasks?limit=100", key))["tasks"]
        record = Record(calls_of(entries, self.rate), tasks, exit_code, self.timeout_s, self.rate)
        return Result(
            case.id, case.title, case.matters, case.advice, judge(case, record),
            [*_shown(record), *([f"output: {output}"] if output else [])],
            perf_counter() - began,
        )  # fmt: skip

    async def _control(self, method: str, path: str, key: str, body: Any = None) -> Any:
        return await asyncio.to_thread(self.emulator.control, method, path, key, body)

    async def _prepare(self, case: ClientCase, key: str) -> None:
        for rule in case.rules:
            await self._control("POST", "/scenarios", key, rule)
        if case.skew_ms:
            now = (await self._control("GET", "/clock", key))["now"]
            await self._control("POST", "/clock", key, {"now": now + case.skew_ms})

    async def _ran(self, case: ClientCase, key: str) -> tuple[int | None, str]:
        """Run the command; return its exit code, None if it was killed, and the end of its output."""
        with TemporaryDirectory(prefix="apixo-certify-") as folder:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    env=self._environment(case, key, folder),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise NothingToJudgeError(
                    f"the command cannot be started: {self.command[0]}: {error.strerror or error}"
                ) from None
            reading = asyncio.create_task(_tail(process.stdout))
            code: int | None = None
            with suppress(TimeoutError):
                code = await asyncio.wait_for(process.wait(), self.timeout_s)
            await _end(process)
            return code, await reading

    def _environment(self, case: ClientCase, key: str, folder: str) -> Mapping[str, str]:
        return {
            **os.environ,
            "APIXO_BASE_URL": self.emulator.base_url,
            "APIXO_API_KEY": key,
            "APIXO_CASE": case.id,
            # A folder of its own for what the command saves.
            "APIXO_OUTPUT_DIR": str(Path(folder)),
        }


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read a stream to its end and return the end of its text, so that no command waits for a full pipe."""
    kept = b""
    while stream is not None and (piece := await stream.read(65536)):
        kept = (kept + piece)[-_MOST_OUTPUT:]
    return kept.decode("utf-8", errors="replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what the command may have left running, which is all in its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_S)
            if number is signal.SIGKILL:
                return


def _shown(record: Record) -> list[str]:
    """Return the client's calls as lines of evidence."""
    lines = [
        f"{call.at_s:8.2f} s  {call.endpoint:<8} {call.status}"
        + (f"  {call.fault}" if call.fault else "")
        for call in record.calls[:_MOST_CALLS]
    ]
    if len(record.calls) > _MOST_CALLS:
        lines.append(f"… and {len(record.calls) - _MOST_CALLS} more calls")
    return lines


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
