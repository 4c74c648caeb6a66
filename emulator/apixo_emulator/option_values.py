"""Values of a config file as the options of `Settings` want them, by their types."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, get_args

from apixo_emulator.domain.nearest import did_you_mean
from apixo_emulator.domain.problems import found

_EXPECTED: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    Path: "a path, a text",
}


class UnfitValueError(ValueError):
    """A value of another type; the message says which is expected, and not the value."""


def option_value(hint: Any, value: Any, folder: Path) -> Any:
    """Read a value as an option's type wants it; paths are relative to ``folder``.

    Raises:
        UnfitValueError: It has another type.
        ValueError: It is none of the names that there are; the message holds it.
    """
    if hint == tuple[str, ...]:
        return _texts(value)
    kind = next(kind for kind in get_args(hint) or (hint,) if kind is not type(None))
    if issubclass(kind, Enum) and isinstance(value, str):
        return _member(kind, value)
    if kind is Path and isinstance(value, str) and value:
        return folder / value
    return _scalar(kind, value)


def _texts(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return tuple(texts)
    raise UnfitValueError("expected a text, or a list of texts")


def _member(kind: type[Enum], value: str) -> Enum:
    by_value = {str(member.value): member for member in kind}
    if value.lower() in by_value:
        return by_value[value.lower()]
    hint = did_you_mean(value, by_value)
    raise ValueError(f"expected one of {', '.join(by_value)}; found {found(value)}.{hint}")


def _scalar(kind: type, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is int and is_number and not isinstance(value, float):
        return value
    if kind is float and is_number:
        return float(value)
    if kind is str and is_number:
        return str(value)  # latency = 2000, balance = 5.5
    if issubclass(kind, Enum):
        raise UnfitValueError(f"expected one of {', '.join(str(one.value) for one in kind)}")
    raise UnfitValueError(f"expected {_EXPECTED.get(kind, 'a text')}")
