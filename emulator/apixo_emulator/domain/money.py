"""Money as whole millionths of a US dollar; a float never touches it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from apixo_emulator.domain.nearest import shown
from apixo_schemas import MICROS_PER_USD

# Beyond this a store's 64-bit integer could overflow.
_MOST_USD = 1_000_000_000


def micros(usd: str) -> int:
    """Read an amount in USD, e.g. ``"74.87"``, as millionths.

    Raises:
        ValueError: It is no amount between 0 and a billion with at most six decimals.
    """
    expected = f"expected an amount in USD such as 100 or 0.05, found {shown(usd)}"
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        raise ValueError(expected) from None
    if amount.is_finite() and 0 <= amount <= _MOST_USD:
        scaled = amount * MICROS_PER_USD
        if scaled == int(scaled):
            return int(scaled)
    raise ValueError(f"{expected}: at least 0, at most {_MOST_USD:,}, six decimals")


def usd(amount_micros: int) -> str:
    """Write millionths as USD with at least four decimals, as the balance endpoint does (P3)."""
    whole, fraction = divmod(amount_micros, MICROS_PER_USD)
    digits = f"{fraction:06d}"
    return f"{whole}.{digits[:4]}{digits[4:].rstrip('0')}"
