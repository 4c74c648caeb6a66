"""A folder of files that several processes share and that stays below a size."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096  # bytes: a small file takes a block of the disk
_SLACK = 16  # the folder is measured again after each sixteenth of its bound has been written
_ABANDONED_S = 3600.0  # no file takes this long to write: its writer has died
_TEMPORARY = ".tmp"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A complete file of the folder and its size in bytes."""

    path: Path
    size: int


class BoundedFolder:
    """Keeps files by name. Reading one marks it as used; the longest unused ones are evicted.

    Files appear complete or not at all (`os.replace`), and content never changes under a name, so
    processes need no lock between them: at worst two of them write the same file twice.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._since_measured: int | None = None
        self._being_written: set[str] = set()

    def find(self, name: str) -> StoredFile | None:
        """Find a file and mark it as used; None if it was never written or has been evicted."""
        path = self._folder / name
        try:
            os.utime(path)
            return StoredFile(path, path.stat().st_size)
        except OSError:
            return None

    def read(self, name: str) -> bytes | None:
        """Read a file and mark it as used; None if there is none."""
        stored = self.find(name)
        try:
            return stored.path.read_bytes() if stored else None
        except OSError:
            return None

    def write(self, name: str, fill: Callable[[Path], None]) -> StoredFile:
        """Have ``fill`` write a file, then put it in its place and evict what is too much.

        The new file is not evicted by this call, however large it is.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        temporary = self._folder / f"{name}.{os.getpid()}.{secrets.token_hex(4)}{_TEMPORARY}"
        with self._lock:
            self._being_written.add(name)
        try:
            fill(temporary)
            size = temporary.stat().st_size
            _put_in_place(temporary, path)
            self._make_room(size)
        finally:
            temporary.unlink(missing_ok=True)
            with self._lock:
                self._being_written.discard(name)
        return StoredFile(path, size)

    def _make_room(self, written: int) -> None:
        with self._lock:
            if self._since_measured is not None:
                self._since_measured += _on_disk(written)
                if self._since_measured < self._max_bytes // _SLACK:
                    return
            self._since_measured = 0
            self._evict()

    def _evict(self) -> None:
        """Delete the longest unused files until what may be written before the next look fits."""
        found = sorted(self._measure())
        excess = sum(size for _, size, _ in found) - self._max_bytes * (_SLACK - 1) // _SLACK
        for _, size, path in found:
            if excess <= 0:
                return
            if path.name in self._being_written:
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError:  # somewhere files in use cannot be deleted: the next one, then
                continue
            excess -= size

    def _measure(self) -> list[tuple[int, int, Path]]:
        """Give last use in ns, size on disk in bytes and path of each complete file."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                except OSError:  # another process has just evicted it
                    continue
                if not entry.name.endswith(_TEMPORARY):
                    found.append((status.st_mtime_ns, _on_disk(status.st_size), Path(entry.path)))
                elif status.st_mtime < time.time() - _ABANDONED_S:
                    Path(entry.path).unlink(missing_ok=True)
        return found


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _put_in_place(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except PermissionError:
        # Windows does not replace a file that is open; it has the same content.
        if not path.exists():
            raise
