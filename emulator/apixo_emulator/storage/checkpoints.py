"""Moving what SQLite has written ahead into its file, beside the calls and not between them.

Left to itself SQLite does it within a commit, once the log is 1,000 pages long: 5 to 15 ms in which
no call is answered. A thread that only moves is not enough: the log begins anew only where all of it
was moved and synced, which never is while others write, so SQLite would do the rest within a commit
all the same, and sync the file: 20 to 30 ms. Here the thread moves in small lots, syncs, and moves
the little that came meanwhile while commits wait: 1 to 2 ms, once in about 4,000 pages.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path

# Pages after which SQLite moves within a commit after all: where another process writes without end,
# or one commit is huge. 4 KiB each.
LONGEST_LOG_PAGES = 16_000
# After so many it begins anew, where it can.
_LONG_LOG_PAGES = 4_000
# After so many commits, of 5 to 12 pages mostly, the thread moves them: on one core it takes 2.5 ms,
# shared with the calls. With 50 or 200 a submit's p99 is the same within what is noise.
_COMMITS = 100
# Between two moves at least: a single caller's commits are small.
_EVERY_S = 0.05
_MOVE = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Moves the log of one file in the background, a while after some commits were `noted`.

    ``pause`` keeps commits waiting.
    """

    def __init__(self, path: Path, pause: Callable[[], AbstractContextManager[None]]) -> None:
        self._path = path
        self._pause = pause
        self._commits = 0
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        # The file, to be synced. It must not be closed before the store's connection is: closing
        # any descriptor of a file ends the locks that its process has on it.
        self._file: int | None = None

    def noted(self) -> None:
        """Count a commit; costs next to nothing. Not from two threads at once."""
        self._commits += 1
        if self._commits >= _COMMITS:
            self._commits = 0
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; the store itself moves what is left when it is closed."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def let_go(self) -> None:
        """Close the file, after `stop` and when the store's connection is closed."""
        if self._file is not None:
            os.close(self._file)

    def _run(self) -> None:
        """Move; trouble with the disk meets the next commit too, and is told there."""
        with suppress(sqlite3.Error), closing(self._connected()) as connection:
            while self._wanted.wait() and not self._closed.wait(_EVERY_S):
                self._wanted.clear()
                with suppress(sqlite3.Error, OSError):
                    self._move(connection)

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None)

    def _move(self, connection: sqlite3.Connection) -> None:
        """Move what is there; where the log has grown long, to its end, so that it begins anew."""
        _, pages, _ = connection.execute(_MOVE).fetchone()
        if pages < _LONG_LOG_PAGES:
            return
        self._sync()
        connection.execute(_MOVE).fetchone()  # what came meanwhile, so that little is left
        with self._pause():
            connection.execute(_MOVE).fetchone()

    def _sync(self) -> None:
        """Have the file written; SQLite does so only where it has moved all, and keeps others waiting."""
        if self._file is None:
            self._file = os.open(self._path, os.O_RDONLY)
        os.fsync(self._file)
