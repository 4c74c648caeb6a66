"""Tasks that were asked about lately, kept in memory until one was changed from outside.

Nearly all status calls are about a few tasks: finding one here saves the 8 us of a read, and a final
answer, which never changes, the 4 us of rendering it.
"""

from __future__ import annotations

import threading

from apixo_emulator.domain.tasks import Task
from apixo_emulator.domain.wire import HttpResponse

# About 1 KiB each.
_MOST = 4096


class Recent:
    """A bounded memory of settled tasks and final answers; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._tasks: dict[str, Task] = {}
        self._finals: dict[tuple[str, str], HttpResponse] = {}

    @property
    def generation(self) -> int:
        """To be noted before a task is read from the store, and given to `keep`."""
        return self._generation

    def task(self, task_id: str) -> Task | None:
        """Give a task, None where it is not kept."""
        return self._tasks.get(task_id)

    def final(self, task_id: str, base_url: str) -> HttpResponse | None:
        """Give the final answer about a task, None where it is not kept."""
        return self._finals.get((task_id, base_url))

    def keep(self, task: Task, generation: int) -> None:
        """Keep a task that was read, unless something was changed since."""
        if not task.settled:  # another process may be about to settle it
            return
        with self._lock:
            if generation == self._generation:
                _bound(self._tasks)
                self._tasks[task.id] = task

    def keep_final(self, task_id: str, base_url: str, answer: HttpResponse) -> None:
        """Keep the final answer about a task that is kept."""
        with self._lock:
            if task_id in self._tasks:
                _bound(self._finals)
                self._finals[task_id, base_url] = answer

    def forget(self) -> None:
        """Forget everything: a task was changed from outside, or a world reset, by any process."""
        with self._lock:
            self._generation += 1
            self._tasks.clear()
            self._finals.clear()


def _bound(kept: dict[str, Task] | dict[tuple[str, str], HttpResponse]) -> None:
    if len(kept) >= _MOST:
        kept.clear()  # rare, and cheaper than an order of use at every call
