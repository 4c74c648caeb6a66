"""JSON files that a user names: read strictly, and what is wrong with one is told in words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from apixo_contract._option_values import UsageError
from apixo_contract._visible import one_line

# What the kit writes is a tenth as deep. Python's own limit is met in places that nobody chose.
_DEEPEST = 100


def read_json(path: Path, wanted: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        wanted: What it ought to hold, e.g. ``a report of apixo-contract``.

    Raises:
        OSError: The file cannot be read.
        UsageError: It is no JSON in UTF-8; the message names it and what it is instead.
    """
    try:
        value = json.loads(
            text_of(path.read_bytes()), parse_constant=_no_number, parse_float=_finite
        )
    except RecursionError:
        found = "values in values, too deep"
    except ValueError as error:
        found = f"no JSON ({one_line(str(error))})"
    else:
        if not _is_deep(value):
            return value
        found = f"values in values, more than {_DEEPEST} deep"
    raise UsageError(f"{path}: expected {wanted}, found {found}; name another file")


def text_of(content: bytes) -> str:
    """Give a file's content as text.

    Raises:
        UsageError: It is none in UTF-8; the message says where.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        found = f"the byte 0x{content[error.start]:02x} at {error.start}"
        raise UsageError(f"expected a text in UTF-8, found {found}; save it so") from None


def _no_number(constant: str) -> Any:
    raise ValueError(f"{one_line(constant, 40)} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [part for outer in level for part in _parts(outer)]
    return bool(level)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
