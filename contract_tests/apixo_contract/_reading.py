"""Reading JSON that others wrote: whatever is JSON is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any


def parsed(
    text: str,
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    constant: Callable[[str], Any] | None = None,
) -> Any:
    """Read JSON; a number with a point, and an integer that is too long for an `int`, is a `Decimal`.

    Args:
        text: What to read.
        pairs: Makes an object of its pairs of name and value; as a rule the last of a name counts.
        constant: Makes a value of ``NaN`` or an infinity, which are no JSON.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        text,
        parse_float=_fraction,
        parse_int=_integer,
        parse_constant=constant,
        object_pairs_hook=pairs,
    )


def _fraction(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:  # Its exponent has more than 18 digits.
        return Decimal(float(digits))


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # It has more than 4,300 digits, as JSON may.
        return Decimal(digits)
