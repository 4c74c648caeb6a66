"""Money: every submit is counted before it is sent, so that a run cannot cost more than allowed."""

from __future__ import annotations

from decimal import Decimal

from apixo_schemas import MICROS_PER_USD, contract


class Budget:
    """What a run may still cost, in whole tasks at the documented price.

    A submit is reserved before it is sent. A target that refuses it gives the reserve back; one
    that accepts it, or leaves it open, keeps it.
    """

    def __init__(self, limit_usd: Decimal) -> None:
        self._limit = int(limit_usd * MICROS_PER_USD)
        self._price = contract().price_micros
        self._taken = 0
        self._open = 0

    @property
    def left(self) -> int:
        """Give how many more tasks may be submitted."""
        return (self._limit - (self._taken + self._open) * self._price) // self._price

    @property
    def tasks(self) -> int:
        """Give how many submits count as tasks so far."""
        return self._taken

    @property
    def spent_usd(self) -> Decimal:
        """Give what the run has cost at most, in USD."""
        return Decimal(self._taken * self._price) / MICROS_PER_USD

    def reserve(self) -> bool:
        """Set one task's price aside; False, and nothing set aside, if that would be too much."""
        if self.left < 1:
            return False
        self._open += 1
        return True

    def charge(self, cost_usd: Decimal) -> None:
        """Count what was taken from the account beside accepted tasks, in USD."""
        self._taken += -(-int(cost_usd * MICROS_PER_USD) // self._price)

    def settle(self, *, costs: bool) -> None:
        """Close a reserve: the submit costs, or may cost, or it was refused."""
        self._open -= 1
        self._taken += costs
