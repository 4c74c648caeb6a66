"""A number that the processes of one folder share, and that outlives them."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_FORM = struct.Struct("<q")


class SharedNumber:
    """A signed 64-bit number in a file; 0 at first.

    Mapped into memory, as SQLite maps its index, it costs no system call and needs no free space on
    the disk once it is there.

    Raises:
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            missing = _FORM.size - file.tell()
            if missing > 0:  # real bytes: a hole would need space later
                file.write(bytes(missing))
                file.flush()
            self._seen = mmap.mmap(file.fileno(), _FORM.size)

    def read(self) -> int:
        """Give it, as whoever wrote last has left it."""
        number: int = _FORM.unpack_from(self._seen)[0]
        return number

    def write(self, number: int) -> None:
        """Replace it."""
        _FORM.pack_into(self._seen, 0, number)
