"""Moving what SQLite has written ahead into its file, beside the calls and not between them.

Left to itself SQLite does it within a commit, once the log is 1,000 pages long: 5 to 15 ms in which
no call is answered. Here a thread does it, on a connection of its own, and keeps nobody waiting.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

# Pages after which SQLite does it within a commit all the same: only there, where nobody writes
# meanwhile, can the log begin anew, and little is left to be moved then. 4 KiB each.
LONGEST_LOG_PAGES = 8000
# A shorter log is left alone, as SQLite does.
_LONG_LOG_BYTES = 1000 * 4096
# Between two looks, while something is written.
_EVERY_S = 0.25


class Checkpoints:
    """Moves the log of one file in the background, a while after `wanted` was said."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wanted(self) -> None:
        """Say that something was written; costs next to nothing. Not from two threads at once."""
        if not self._wanted.is_set():
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop; the store itself moves what is left when it is closed."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        """Move; trouble with the disk meets the next commit too, and is told there."""
        while self._wanted.wait() and not self._closed.wait(_EVERY_S):
            self._wanted.clear()
            if self._closed.is_set():  # by `close` in just this moment
                return
            with suppress(sqlite3.Error, OSError):
                self._move()

    def _move(self) -> None:
        if self._log.stat().st_size < _LONG_LOG_BYTES:
            return
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
