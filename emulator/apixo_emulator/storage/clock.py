"""The instant now of a store, in Unix ms: the same for all its processes, and never going back.

A final answer must never be taken back, so no clock shows an instant before one that was answered.
"""

from __future__ import annotations

import logging
import os
import stat
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from apixo_emulator.storage.base import StoreError

_FORM = struct.Struct("<q")
# How far the file of a clock is ahead of it, so that it is written seldom.
_RESERVE_MS = 200
# A clock that is behind by less was not set back: reading two clocks is not exact, and correcting one
# over the network does as much. A start takes longer.
_STEP_MS = 100
# No clock is wrong by more, but a damaged file may say so.
_LONGEST_AHEAD_MS = 366 * 24 * 3600 * 1000
# Round trips to a database until one was fast enough to read its clock by.
_SAMPLES = 8
_GOOD_ROUND_TRIP_MS = 2.0
_log = logging.getLogger("apixo_emulator")


class SystemClock:
    """The system's clock: followed at once where it is set forward or the machine has slept.

    Where it is set back, time goes on from the latest instant. ``file`` keeps that for the next
    start and for the other processes of the folder; None is for a process that is alone.

    Raises:
        StoreError: The file holds no plausible instant.
        OSError: The file cannot be made.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = None if file is None else _opened(file)
        self._lock = threading.Lock()
        # No instant beyond this is shown before the file says so.
        self._reserved = self._kept()
        system_ms, monotonic_ms = _both_clocks()
        # The difference between the instants shown and the machine's monotonic clock.
        self._offset = system_ms - monotonic_ms
        if self._reserved - system_ms > _RESERVE_MS + _STEP_MS:
            self._offset = self._reserved - monotonic_ms
            _log.warning(
                "the system's clock is %.1f s behind the latest instant in %s; going on from there",
                (self._reserved - system_ms) / 1000,
                file,
            )

    def __call__(self) -> int:
        """Return the instant now."""
        system_ms, monotonic_ms = _both_clocks()
        now_ms = self._offset + monotonic_ms
        if system_ms > now_ms:
            now_ms = system_ms
            self._offset = system_ms - monotonic_ms
        if now_ms <= self._reserved and now_ms - system_ms <= _STEP_MS:
            return now_ms  # as nearly always, and then the file is not needed
        return self._exact(now_ms, system_ms, monotonic_ms)

    def _exact(self, now_ms: int, system_ms: int, monotonic_ms: int) -> int:
        """Agree with the other processes of the folder through the file.

        While they all follow the system's clock they agree without, so the file is ahead then, to
        be written seldom. After it was set back the file holds the latest instant of any of them.
        """
        with self._lock:
            kept_ms = self._kept()
            if max(now_ms, kept_ms - _RESERVE_MS) - system_ms > _STEP_MS:
                now_ms = max(now_ms, kept_ms)
                self._offset = max(self._offset, now_ms - monotonic_ms)
                self._keep(now_ms)
            elif now_ms > self._reserved:
                self._reserved = now_ms + _RESERVE_MS
                self._keep(self._reserved)
        return now_ms

    def _kept(self) -> int:
        if self._file is None:
            return 0
        self._file.seek(0)
        # What was damaged while the emulator runs is written anew.
        return _instant(self._file.read(_FORM.size)) or 0

    def _keep(self, now_ms: int) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk meets the next commit too, and is reported there
                self._file.seek(0)
                self._file.write(_FORM.pack(now_ms))

    def close(self) -> None:
        """Close the file; the clock goes on without it."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _opened(path: Path) -> FileIO:
    """Open a clock's file, made with real bytes where there is none: a hole would need space later."""
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()  # reading a pipe or a device may never end
        raise StoreError(f"{path} is no regular file. Delete it; the emulator makes a new one.")
    found = file.read(_FORM.size + 1)
    if not found:
        file.write(bytes(_FORM.size))
    elif _instant(found) is None:
        file.close()
        raise StoreError(
            f"{path} is damaged: expected the latest instant that the emulator has shown, found"
            f" the bytes {found.hex()}. Delete the file; time then goes on with the system's clock."
        )
    return file


def _instant(content: bytes) -> int | None:
    """Return the instant in a clock's file, None where it is none that a clock can have shown."""
    if len(content) != _FORM.size:
        return None
    (found_ms,) = _FORM.unpack(content)
    latest_ms = time.time_ns() // 1_000_000 + _LONGEST_AHEAD_MS
    return found_ms if 0 <= found_ms <= latest_ms else None


class DatabaseClock:
    """The clock of a database, from what it said last and the time since then.

    `measure` is to be called when `stale` says so: once a minute, and after the system has slept
    or its clock was set.
    """

    _EVERY_MS = 60_000
    _STEP_MS = 500

    def __init__(self) -> None:
        # The difference between the database's clock and the machine's monotonic one.
        self._offset: int | None = None
        self._latest = 0
        self._measured_ms = 0
        self._system_offset = 0

    def stale(self) -> bool:
        """Return whether the database has to be asked anew."""
        system, monotonic = _both_clocks()
        stepped = abs(system - monotonic - self._system_offset) > self._STEP_MS
        return self._offset is None or stepped or monotonic > self._measured_ms + self._EVERY_MS

    def measure(self, ask: Callable[[], int], keep: Callable[[int], int]) -> None:
        """Ask for the database's instant, and keep it for the processes that start later.

        ``keep`` returns the latest instant that any process has kept: later than the database's where
        that was set back. Time goes on from there then.
        """
        sample = _sample(ask)
        for _ in range(_SAMPLES - 1):
            if sample.round_trip_ms <= _GOOD_ROUND_TRIP_MS:
                break
            sample = min(sample, _sample(ask))
        now_ms = sample.offset_ms + time.monotonic_ns() // 1_000_000
        if self._offset is not None and self() - now_ms > _STEP_MS:
            _log.warning("the database's clock was set back; going on from the latest instant")
            now_ms = self()
        ahead_ms = keep(now_ms) - now_ms
        system, monotonic = _both_clocks()
        self._offset = sample.offset_ms if ahead_ms <= _STEP_MS else now_ms + ahead_ms - monotonic
        self._measured_ms = monotonic
        self._system_offset = system - monotonic

    def __call__(self) -> int:
        """Return the instant now."""
        if self._offset is None:
            raise RuntimeError("the database was not asked for its instant yet")
        self._latest = max(self._latest, self._offset + time.monotonic_ns() // 1_000_000)
        return self._latest


class _Sample(NamedTuple):
    """How far a database's clock is ahead of the machine's monotonic one; the best compares lowest."""

    round_trip_ms: float
    offset_ms: int


def _sample(ask: Callable[[], int]) -> _Sample:
    before = time.monotonic_ns()
    database_ms = ask()
    after = time.monotonic_ns()
    # The database has looked at its clock about half-way.
    return _Sample((after - before) / 1e6, database_ms - (before + after) // 2_000_000)


def _both_clocks() -> tuple[int, int]:
    return time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
