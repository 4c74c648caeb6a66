"""Polling of all accepted tasks side by side, between the other calls of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apixo_contract._calls import Calls
from apixo_contract._judges.status import is_odd_end
from apixo_contract._observations import Exchange, Purpose
from apixo_contract._settings import Settings
from apixo_contract._view import ENDED

# On this machine: often at first, so that short states are seen, then less and less.
_QUICK_S = 0.05
_QUICK_MOST_S = 1.0
_GROWTH = 1.25
# Elsewhere: as the page recommends.
_FIRST_S = 10.0
_NEXT_S = 5.0
# A final answer is asked for again after these.
_AGAIN_S = (0.1, 0.3)
# Answers without a state, or with an end of an unknown name, before a task is given up.
_MOST_ODD = 4


@dataclass(slots=True)
class Tracked:
    """One accepted task on its way."""

    id: str
    name: str
    wait_s: float
    due_s: float
    # When to stop waiting for its end.
    until_s: float
    ended_s: float | None = None
    # Polls made after the end.
    again: int = 0
    odd: int = 0
    done: bool = False
    final: Exchange | None = None


class Poller:
    """Knows which task is to be polled when."""

    def __init__(self, calls: Calls, settings: Settings, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._polling = False
        self.tasks: dict[str, Tracked] = {}
        quick = settings.is_local
        given = settings.poll_interval_s
        self._first_s = given if given is not None else (_QUICK_S if quick else _FIRST_S)
        self._fixed_s = given if given is not None else (None if quick else _NEXT_S)

    def add(self, submitted: Exchange) -> None:
        """Follow the task that a submit has started; a repeated id is followed once."""
        task_id = submitted.submitted_id
        if task_id is None or task_id in self.tasks:
            return
        now = self._clock()
        first = self._first_s
        until = now + self._settings.task_wait_s
        self.tasks[task_id] = Tracked(
            task_id, submitted.probe, wait_s=first, due_s=now + first, until_s=until
        )

    @property
    def open(self) -> list[Tracked]:
        """Give the tasks that are still to be polled."""
        return [task for task in self.tasks.values() if not task.done]

    @property
    def next_s(self) -> float:
        """Give the seconds until a task is due."""
        return max(0.0, min((task.due_s for task in self.open), default=0.0) - self._clock())

    def tick(self) -> None:
        """Poll every task that is due. Called again from within a poll that waits, it does nothing."""
        if self._polling:
            return
        self._polling = True
        try:
            for task in self.open:
                if task.due_s <= self._clock():
                    self._poll(task)
        finally:
            self._polling = False

    def _poll(self, task: Tracked) -> None:
        purpose = Purpose.POLL if task.ended_s is None else Purpose.POLL_AGAIN
        found = self._calls.status(task.id, purpose, probe=task.name)
        now = self._clock()
        if task.ended_s is not None:
            task.again += 1
            task.done = task.again >= len(_AGAIN_S)
            task.due_s = now + _AGAIN_S[min(task.again, len(_AGAIN_S) - 1)]
            return
        if found.succeeded and found.state in ENDED:
            task.ended_s, task.final, task.due_s = now, found, now + _AGAIN_S[0]
            return
        task.odd = task.odd + 1 if _is_odd(found) else 0
        task.done = task.odd >= _MOST_ODD or now > task.until_s
        task.wait_s = self._fixed_s or min(task.wait_s * _GROWTH, _QUICK_MOST_S)
        task.due_s = now + task.wait_s

    def no_longer_than(self, name: str, seconds: float) -> None:
        """Wait so long at most for a task that must have ended: it was called back."""
        for task in self.open:
            if task.name == name and task.ended_s is None:
                task.until_s = min(task.until_s, self._clock() + seconds)

    def once_more(self) -> None:
        """Poll every ended task a last time, at the end of the run."""
        for task in self.tasks.values():
            if task.final is not None:
                self._calls.status(task.id, Purpose.POLL_AGAIN, probe=task.name)


def _is_odd(found: Exchange) -> bool:
    return not found.succeeded or found.state is None or is_odd_end(found)
