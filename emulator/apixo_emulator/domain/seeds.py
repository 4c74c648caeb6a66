"""The seed of a world: which numbers can be one."""

from __future__ import annotations

from typing import Any

from apixo_emulator.domain.problems import found

# What every store, JSON library and language with 64-bit integers keeps exactly.
SEED_BITS = 63
LARGEST_SEED = 2**SEED_BITS - 1
_TITLE = f"an integer from 0 to {LARGEST_SEED}, such as 42"


def checked_seed(value: object) -> int:
    """Return a seed, checked.

    Raises:
        ValueError: It is no integer in the range; the message says what was expected and found.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
        raise ValueError(f"expected {_TITLE}; found {found(value)}")
    return value


def seed_schema() -> dict[str, Any]:
    """Return the JSON Schema of a seed."""
    return {"title": _TITLE, "type": "integer", "minimum": 0, "maximum": LARGEST_SEED}
