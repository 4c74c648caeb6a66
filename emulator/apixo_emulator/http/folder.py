"""The data folder of one running emulator: made on demand, locked, never committed by mistake."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from apixo_emulator.storage import StoreError


class DataFolder:
    """A folder for the store and the pictures; ``path`` None keeps nothing after the ``with``.

    ``exclusive`` is for a store inside the folder: two emulators must not share that.

    Raises:
        StoreError: The folder cannot be used, or another emulator uses it.
    """

    def __init__(self, path: Path | None, *, exclusive: bool) -> None:
        self.temporary = path is None
        self._lock: FileLock | None = None
        if path is None:
            self.path = Path(tempfile.mkdtemp(prefix="apixo-emulator-"))
        else:
            self.path = path
            self._prepare(exclusive=exclusive)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._lock is not None:
            self._lock.release()
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)

    def _prepare(self, *, exclusive: bool) -> None:
        try:
            # Callers' pictures and callback URLs are nobody else's business.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", "utf-8")
            if exclusive:
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
