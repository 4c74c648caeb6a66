"""Checking source pictures in the background, so that a submit never waits for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from apixo_emulator.domain.pictures import Verdict, is_data_url
from apixo_emulator.domain.tasks import Task
from apixo_emulator.exchange import OutboundStopped
from apixo_emulator.storage import log_failure

# A fetch is mostly waiting for another server; one that hangs must not hold up many.
_FETCHED_AT_ONCE = 64
# An inlined picture needs no fetch, so it never waits behind one.
_INLINED_AT_ONCE = 2
# After a verdict could not be kept (a full disk, a lost database) it is tried again.
_PAUSE_S = 1.0
_log = logging.getLogger("apixo_emulator")


class SourceChecker:
    """Runs ``check`` for each task that is enqueued, then passes the verdict to ``settle``."""

    def __init__(
        self, check: Callable[[Task], Verdict], settle: Callable[[Task, Verdict], None]
    ) -> None:
        self._check = check
        self._settle = settle
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._enqueued: set[str] = set()
        self._fetched = ThreadPoolExecutor(_FETCHED_AT_ONCE, thread_name_prefix="source")
        self._inlined = ThreadPoolExecutor(_INLINED_AT_ONCE, thread_name_prefix="inlined")

    def enqueue(self, task: Task) -> None:
        """Have a task's source checked soon, once. After `close` it is left for the next start."""
        with self._lock:
            if task.id in self._enqueued:
                return
            self._enqueued.add(task.id)
        try:
            pool = self._inlined if is_data_url(task.image_url) else self._fetched
            pool.submit(self._run, task)
        except RuntimeError:
            _log.info("task %s: its source will be checked after the next start", task.id)

    def _run(self, task: Task) -> None:
        try:
            self._settled(task, self._verdict(task))
        except OutboundStopped:
            _log.info("task %s: its source will be checked after the next start", task.id)
        finally:
            with self._lock:
                self._enqueued.discard(task.id)

    def _verdict(self, task: Task) -> Verdict:
        try:
            return self._check(task)
        except OutboundStopped:
            raise
        except Exception:  # noqa: BLE001 - a thread has no caller to raise to
            # A task whose source could not be judged must still end: it gets the placeholder.
            _log.exception("task %s: checking its source failed", task.id)
            return Verdict.ABSENT

    def _settled(self, task: Task, verdict: Verdict) -> None:
        """Keep a verdict, until it is kept or the checker is closed."""
        while True:
            try:
                self._settle(task, verdict)
            except Exception as error:  # noqa: BLE001 - whatever the store's trouble is, it may pass
                log_failure(f"task {task.id}: its verdict could not be kept; trying again", error)
            else:
                return
            if self._closed.wait(_PAUSE_S):
                return  # it is checked again after the next start

    def close(self) -> None:
        """Stop; what has not begun is left for the next start."""
        self._closed.set()
        for pool in (self._inlined, self._fetched):
            pool.shutdown(wait=True, cancel_futures=True)
