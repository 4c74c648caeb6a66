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
# Between two looks, while there is something to be moved.
_EVERY_S = 0.25


class Checkpoints:
    """Moves the log of one file in the background, a while after `wanted` was said."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def wanted(self) -> None:
        """Say that something was written; costs next to nothing."""
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
        with suppress(sqlite3.Error), closing(self._connected()) as connection:
            while self._wanted.wait() and not self._closed.wait(_EVERY_S):
                self._wanted.clear()
                with suppress(sqlite3.OperationalError):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
