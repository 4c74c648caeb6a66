"""Looking at source pictures in the background, so that a submit never waits for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from apixo_emulator.domain.pictures import Verdict, is_data_url
from apixo_emulator.domain.tasks import Task

# A fetch is mostly waiting for another server; a hung one must not hold up many.
_FETCHED_AT_ONCE = 64
# An inlined picture needs no fetch, so it never stands behind one.
_INLINED_AT_ONCE = 2
# After a verdict could not be kept (a full disk, a lost database) it is tried again.
_PAUSE_S = 1.0
_log = logging.getLogger("apixo_emulator")


class SourceDesk:
    """Runs ``look`` for each task handed in, then hands the verdict to ``found``."""

    def __init__(
        self, look: Callable[[Task], Verdict], found: Callable[[Task, Verdict], None]
    ) -> None:
        self._look = look
        self._found = found
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._in_hand: set[str] = set()
        self._fetched = ThreadPoolExecutor(_FETCHED_AT_ONCE, thread_name_prefix="source")
        self._inlined = ThreadPoolExecutor(_INLINED_AT_ONCE, thread_name_prefix="inlined")

    def hand_in(self, task: Task) -> None:
        """Have a task's source looked at soon, once. After `close` it is left for the next start."""
        with self._lock:
            if task.id in self._in_hand:
                return
            self._in_hand.add(task.id)
        try:
            pool = self._inlined if is_data_url(task.image_url) else self._fetched
            pool.submit(self._run, task)
        except RuntimeError:
            _log.info("task %s: its source will be looked at after the next start", task.id)

    def _run(self, task: Task) -> None:
        try:
            self._settle(task)
        finally:
            with self._lock:
                self._in_hand.discard(task.id)

    def _settle(self, task: Task) -> None:
        try:
            verdict = self._look(task)
        except Exception:  # noqa: BLE001 - a thread has no caller to raise to
            # A task whose source nobody could judge must still end: it gets the placeholder.
            _log.exception("task %s: looking at its source failed", task.id)
            verdict = Verdict.ABSENT
        while True:
            try:
                self._found(task, verdict)
            except Exception:  # noqa: BLE001 - as above; whatever the store's trouble is, it may pass
                _log.exception("task %s: its verdict could not be kept; trying again", task.id)
            else:
                return
            if self._closed.wait(_PAUSE_S):
                return  # it is looked at again after the next start

    def close(self) -> None:
        """Stop; what has not begun is left for the next start."""
        self._closed.set()
        for pool in (self._inlined, self._fetched):
            pool.shutdown(wait=True, cancel_futures=True)
