"""The emulator's time as a value: real, fast, frozen, jumped.

Three numbers map the machine's time to the emulator's, so that every process that has them agrees.
All instants are Unix ms. The machine's clock is read elsewhere and handed in as ``real_ms``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from apixo_emulator.domain.problems import found

FASTEST = 1_000_000.0
# Instants stay well within what a date can show: the year 9999.
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
        """Give the emulator's instant at an instant of the machine's clock."""
        if self.rate == 1.0:  # exact, where a float would round
            return self.virtual_base_ms + real_ms - self.real_base_ms
        return self.virtual_base_ms + math.floor((real_ms - self.real_base_ms) * self.rate)

    def real_wait_ms(self, due_ms: int, real_ms: int) -> int | None:
        """Give the machine's ms until ``due_ms``, at least 0; None for ever, as the clock is frozen."""
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
        if not _is_whole(virtual_ms) or not 0 <= virtual_ms <= LATEST_MS:
            raise ValueError(
                f"expected an instant in Unix ms, an integer from 0 to {LATEST_MS}; found"
                f" {found(virtual_ms)}"
            )
        return replace(self, real_base_ms=real_ms, virtual_base_ms=virtual_ms)

    def advanced(self, ms: int, real_ms: int) -> ClockState:
        """Move the emulator's time on by ``ms``.

        Raises:
            ValueError: ``ms`` is negative: final answers would be taken back. Or too far.
        """
        if not _is_whole(ms) or ms < 0:
            raise ValueError(
                f"expected milliseconds to advance, an integer, 0 or more; found {found(ms)}"
            )
        return self.jumped(self.now(real_ms) + ms, real_ms)

    def at_rate(self, rate: float, real_ms: int) -> ClockState:
        """Let the time run ``rate`` times as fast from now on; 0 freezes it.

        Raises:
            ValueError: The rate is negative, no number, or beyond `FASTEST`.
        """
        if not 0 <= rate <= FASTEST:
            raise ValueError(f"expected a rate from 0 to {FASTEST:g}, found {found(rate)}")
        return replace(self.jumped(self.now(real_ms), real_ms), rate=float(rate))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
