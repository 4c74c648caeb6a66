"""Work that several threads want at once and that is done only once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Lets the first caller of a name work; the others wait for what it returns or raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[T]] = {}

    def run(self, name: str, work: Callable[[], T]) -> T:
        """Do the work, or wait for the one who is doing it."""
        with self._lock:
            future = self._running.get(name)
            if leads := future is None:
                future = self._running[name] = Future()
        if leads:
            self._lead(name, work, future)
        return future.result()

    def _lead(self, name: str, work: Callable[[], T], future: Future[T]) -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in every caller
            future.set_exception(error)
        finally:
            with self._lock:
                del self._running[name]
