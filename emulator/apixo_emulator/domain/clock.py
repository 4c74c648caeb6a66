"""The virtual clock, and instants as text."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from apixo_emulator.domain.problems import found

FASTEST = 1_000_000.0
# The last instant that a date can show: the year 9999.
LATEST_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class ClockState:
    """The emulator's time is ``virtual_base_ms`` at ``real_base_ms`` and runs ``rate`` times as fast.

    ``rate`` 0 is a frozen clock. The default runs with the machine's.
    """

    real_base_ms: int = 0
    virtual_base_ms: int = 0
    rate: float = 1.0

    def now(self, real_ms: int) -> int:
        """Return the emulator's instant at an instant of the machine's clock."""
        if self.rate == 1.0:  # exact, where a float would round
            return self.virtual_base_ms + real_ms - self.real_base_ms
        return self.virtual_base_ms + math.floor((real_ms - self.real_base_ms) * self.rate)

    def real_wait_ms(self, due_ms: int, real_ms: int) -> int | None:
        """Return the machine's ms until ``due_ms``, at least 0; None for ever, as the clock is frozen."""
        left = due_ms - self.now(real_ms)
        if left <= 0:
            return 0
        real_left = left / self.rate if self.rate else math.inf
        return math.ceil(real_left) if math.isfinite(real_left) else None

    def jumped(self, virtual_ms: int, real_ms: int) -> ClockState:
        """Set the emulator's time; it goes on at the same rate from there.

        Raises:
            ValueError: The instant is out of range.
        """
        if not isinstance(virtual_ms, int) or not 0 <= virtual_ms <= LATEST_MS:
            expected = f"expected an instant in Unix ms, an integer from 0 to {LATEST_MS}"
            raise ValueError(f"{expected}; found {found(virtual_ms)}")
        return replace(self, real_base_ms=real_ms, virtual_base_ms=virtual_ms)

    def advanced(self, ms: int, real_ms: int) -> ClockState:
        """Move the emulator's time on by ``ms``.

        Raises:
            ValueError: ``ms`` is negative, which would withdraw final states, or too large.
        """
        if not isinstance(ms, int) or ms < 0:
            expected = "expected milliseconds to advance, an integer, 0 or more"
            raise ValueError(f"{expected}; found {found(ms)}")
        return self.jumped(self.now(real_ms) + ms, real_ms)

    def at_rate(self, rate: float, real_ms: int) -> ClockState:
        """Run the time ``rate`` times as fast from now on; 0 freezes it.

        Raises:
            ValueError: The rate is negative, no number, or beyond `FASTEST`.
        """
        if not 0 <= rate <= FASTEST:
            raise ValueError(f"expected a rate from 0 to {FASTEST:g}, found {found(rate)}")
        return replace(self.jumped(self.now(real_ms), real_ms), rate=float(rate))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(unix_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(unix_ms, LATEST_MS))


def iso_instant(unix_ms: int) -> str:
    """Return an instant as ISO 8601 in UTC, e.g. ``2026-01-09T13:33:30.929Z``."""
    return _moment(unix_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(unix_ms: int) -> str:
    """Return an instant as HTTP writes it (RFC 9110, 5.6.7): ``Fri, 09 Jan 2026 13:33:30 GMT``."""
    return format_datetime(_moment(unix_ms), usegmt=True)
