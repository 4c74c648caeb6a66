"""The data folder of one running emulator: made on demand, locked, never committed by mistake."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

from apixo_emulator.storage import Durability, SqliteStore, StoreError


class DataFolder:
    """Holds the store and the pictures; ``path`` None keeps nothing after `close`.

    Raises:
        StoreError: The folder cannot be used, or another emulator uses it.
    """

    def __init__(self, path: Path | None, durability: Durability) -> None:
        self._temporary = path is None
        self._lock: FileLock | None = None
        if path is None:
            self.path = Path(tempfile.mkdtemp(prefix="apixo-emulator-"))
            self.store = SqliteStore(None)
        else:
            self.path = path
            self._prepare()
            self.store = SqliteStore(path / "state.sqlite3", durability)
        self.pictures = self.path / "pictures"

    def _prepare(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", "utf-8")
            self._lock = FileLock(self.path / "lock")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"the data folder {self.path} is in use by another emulator. "
                "Stop that one, or give this one its own with --data, or --ephemeral."
            ) from None
        except OSError as error:
            raise StoreError(
                f"cannot write to the data folder {self.path}: {error.strerror}. "
                "Choose another with --data, or --ephemeral to keep nothing."
            ) from error

    def close(self) -> None:
        """Release the lock, and remove a temporary folder."""
        if self._lock is not None:
            self._lock.release()
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
