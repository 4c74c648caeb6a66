"""What an application does with its callbacks, as the certifier can observe it."""

from __future__ import annotations

import asyncio
import functools
import shlex
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from apixo_emulator.certify.delivery import RESPONSE_S
from apixo_emulator.certify.emulator import World, is_own
from apixo_emulator.certify.model import NothingToJudgeError
from apixo_emulator.certify.receiver_cases import forged_result, unknown_task
from apixo_emulator.domain.routes import Endpoint

_OK = 200
# An effects command that fails is repeated for as long as this, with this pause.
_LOCKED_S = 10.0
_AGAIN_S = 0.2
# A whole file, or a part of it.
_SENT = {200, 206}
_FROM_START = "bytes=0-"


@dataclass(frozen=True)
class Seen:
    """What the application did with the tasks of one case.

    Attributes:
        downloads: How often the result of each task was asked for, from the first time that it was sent on.
        asked: The status of a task was polled.
        forged: How often a result was asked for that only forged deliveries mention.
    """

    downloads: Counter[str]
    asked: bool
    forged: int


@dataclass
class Effects:
    """Reads the calls of the application at the emulator, and runs the effects command.

    Attributes:
        command: Prints how many results the application has taken in; None if there is none.
        has_calls: True if the application has called an endpoint of the emulator.
        answered: How many calls were answered 200. A poll that is repeated for ever because no task is found is no
            progress.
    """

    world: World
    command: str | None = None
    has_calls: bool = False
    answered: int = 0
    # The tasks that were polled, and all downloads as task and status.
    _polled: set[str] = field(default_factory=set)
    _downloads: list[tuple[str, int]] = field(default_factory=list)
    # The number of the last call.
    _last: int = 0
    # The command has printed a number.
    _counted: bool = False
    # Several cases look at the same time.
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked: float = 0.0

    async def look(self) -> None:
        """Read the calls that were made at the emulator since the last look."""
        asked = monotonic()
        async with self._looking:
            if self._looked > asked:  # for another case, while this one waited
                return
            self._looked = monotonic()
            for call in await self.world.calls(self._last):
                self._last = call["number"]
                if not is_own(call):
                    self._note(call)

    def _note(self, call: Mapping[str, Any]) -> None:
        task_id, status = call["taskId"], call["response"]["status"]
        self.has_calls = self.has_calls or call["endpoint"] in set(Endpoint)
        self.answered += status == _OK
        if call["endpoint"] == Endpoint.STATUS:
            self._polled.add(task_id)
        elif _is_download(call):
            self._downloads.append((task_id, status))

    def seen(self, task_ids: Collection[str]) -> Seen:
        """Return what was done with these tasks, and with those that forged deliveries of them mention."""
        own = {*task_ids, *map(unknown_task, task_ids)}
        forged = set(map(forged_result, own))
        downloads: Counter[str] = Counter()
        for task_id, status in self._downloads:
            # After the first download, a request counts even if the link has expired since.
            if task_id in own and (task_id in downloads or status in _SENT):
                downloads[task_id] += 1
        asked_for = sum(task_id in forged for task_id, _ in self._downloads)
        return Seen(downloads, not own.isdisjoint(self._polled), asked_for)

    async def count(self) -> int:
        """Run the effects command and return the number that it prints; 0 without a command.

        A command that has worked is repeated for some seconds: a database may be locked for a moment.

        Raises:
            NothingToJudgeError: It fails, or prints something else.
        """
        if self.command is None:
            return 0
        deadline = monotonic() + (_LOCKED_S if self._counted else 0)
        while True:
            number, problem = await self._printed(self.command)
            if number is not None:
                self._counted = True
                return number
            if monotonic() >= deadline:
                raise NothingToJudgeError(
                    f"--effects: expected a command that prints a number, found {self.command!r}: {problem}"
                )
            await asyncio.sleep(_AGAIN_S)

    async def _printed(self, command: str) -> tuple[int | None, str]:
        """Run the effects command; return the number that it prints, or None and what is wrong."""
        run = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
        try:
            done = await asyncio.to_thread(run, shlex.split(command), timeout=RESPONSE_S)
            if done.returncode:
                return None, f"exit code {done.returncode}: {done.stderr.strip()}".rstrip(": ")
            return int(done.stdout.strip().splitlines()[-1]), ""
        except IndexError:
            return None, "it printed nothing"
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return None, str(error)


def _is_download(call: Mapping[str, Any]) -> bool:
    """True if a call asks for a file from its first byte; a later part belongs to the same download."""
    request = call["request"]
    ranges = [value for name, value in request["headers"] if name.lower() == "range"]
    is_get = call["endpoint"] == "file" and request["method"] == "GET"
    return is_get and all(value.startswith(_FROM_START) for value in ranges)
