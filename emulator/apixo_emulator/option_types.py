"""Types of option values: what reads a value, and how help and completion show the type.

A reader takes a text, as the command line and the environment have it, or the value that TOML and
Python have for it. It raises a `ValueError` that says what was expected and found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from apixo_emulator.domain.problems import found
from apixo_emulator.domain.text import did_you_mean

Reader = Callable[[Any], Any]

_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)
_SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class OptionType:
    """The type of an option's values.

    ``schema`` is the JSON Schema of a value in a file. ``metavar`` stands for a value in the help; a
    switch has none. A list takes one value or several.
    """

    read: Reader
    schema: Mapping[str, Any]
    metavar: str = ""
    choices: tuple[str, ...] = ()
    is_path: bool = False
    is_list: bool = False
    is_switch: bool = False


def unfit(expected: str, value: object, names: Iterable[str] = ()) -> ValueError:
    """Return the error of a value, with the nearest of ``names`` where one is close."""
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    return ValueError(f"expected {expected}, found {found(value)}{'.' if hint else ''}{hint}")


def text(
    metavar: str, expected: str, fits: Callable[[str], object], *, secret: bool = False
) -> OptionType:
    """Return the type of texts that fit; the error of a ``secret`` one does not show it."""

    def read(value: object) -> str:
        if isinstance(value, str) and fits(value):
            return value
        raise ValueError(f"expected {expected}") if secret else unfit(expected, value)

    return OptionType(read, {"type": "string"}, metavar)


def parsed(metavar: str, parse: Callable[[str], Any]) -> OptionType:
    """Return the type of texts that a function reads; a number is the text of it: ``latency = 2000``.

    The function raises a `ValueError` that says what was expected and found.
    """

    def read(value: object) -> Any:
        # What is neither text nor number is described: the function reads no such text.
        plain = value if isinstance(value, str | Decimal) else found(value)
        return parse(str(plain))

    return OptionType(read, {"type": ["string", "number"]}, metavar)


def integer(least: int, most: int, metavar: str = "N") -> OptionType:
    """Return the type of integers in a range."""

    def read(value: object) -> int:
        number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
        if isinstance(number, int) and not isinstance(value, bool) and least <= number <= most:
            return number
        raise unfit(f"an integer from {least} to {most}", value)

    return OptionType(read, {"type": "integer", "minimum": least, "maximum": most}, metavar)


def number(least: float, most: float, metavar: str = "X") -> OptionType:
    """Return the type of numbers in a range."""

    def read(value: object) -> float:
        try:
            found_number = float(value) if isinstance(value, str | int | float) else None
        except (ValueError, OverflowError):
            found_number = None
        if isinstance(value, bool) or found_number is None or not least <= found_number <= most:
            raise unfit(f"a number from {least:g} to {most:g}", value)
        return found_number

    return OptionType(read, {"type": "number", "minimum": least, "maximum": most}, metavar)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    raise unfit("true or false", value)


SWITCH = OptionType(_switch, {"type": "boolean"}, is_switch=True)


def choice(kind: type[StrEnum]) -> OptionType:
    """Return the type of the members of an enum, in any case of letters."""
    names = tuple(str(member) for member in kind)

    def read(value: object) -> StrEnum:
        if isinstance(value, str) and value.lower() in names:
            return kind(value.lower())
        raise unfit(f"one of {', '.join(names)}", value, names)

    return OptionType(read, {"enum": list(names)}, "|".join(names), names)


def path(
    metavar: str, expected: str = "a path", fits: Callable[[Path], object] = bool
) -> OptionType:
    """Return the type of paths that fit."""

    def read(value: object) -> Path:
        if isinstance(value, str | os.PathLike) and str(value) and fits(Path(value)):
            return Path(value)
        raise unfit(expected, str(value) if isinstance(value, os.PathLike) else value)

    return OptionType(read, {"type": "string"}, metavar, is_path=True)


def seconds(example: str) -> OptionType:
    """Return the type of lists of seconds, read as ms: a text with commas, or a list; may be empty."""

    def read(value: object) -> tuple[int, ...]:
        listed = value.split(",") if isinstance(value, str) else value
        parts = (
            [str(part).strip() for part in listed] if isinstance(listed, list | tuple) else ["?"]
        )
        if parts == [""]:
            return ()
        if not all(_SECONDS.fullmatch(part) for part in parts):
            raise unfit(f"seconds such as {example}", value)
        return tuple(round(float(part) * 1000) for part in parts)

    schema = {"type": ["string", "array"], "items": {"type": "number", "minimum": 0}}
    return OptionType(read, schema, "S,S,…")


def several(one: OptionType) -> OptionType:
    """Return the type of lists; a single value is a list of one."""

    def read(value: object) -> tuple[Any, ...]:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            return tuple(one.read(entry) for entry in value)
        return (one.read(value),)

    schema = {"type": ["string", "array"], "items": one.schema}
    return OptionType(read, schema, one.metavar, is_list=True)


# Options are fields of a dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """An option as people see it. ``default`` is how the default is written, or what it is in words."""

    type: OptionType
    help: str
    default: str
    short: str
    second_variable: str
    name: str = ""

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it; the first one wins."""
        return (f"APIXO_EMULATOR_{self.name.upper()}", *filter(None, [self.second_variable]))


def option(
    type_: OptionType,
    help_: str = "",
    default: Any = None,
    *,
    shown_default: str = "",
    short: str = "",
    variable: str = "",
) -> Any:
    """Declare a field of a dataclass to be an option; the default is given as people write it."""
    written = "" if default in (None, False) else str(default)
    declared = Option(type_, help_, shown_default or written, short, variable)
    absent = () if type_.is_list else None
    return field(
        default=absent if default is None else type_.read(default), metadata={"option": declared}
    )


def options_of(cls: type[Any]) -> Mapping[str, Option]:
    """Return the options that a dataclass declares, by name, in their order."""
    return {
        entry.name: replace(entry.metadata["option"], name=entry.name)
        for entry in fields(cls)
        if "option" in entry.metadata
    }


def read_values(
    known: Mapping[str, Option], given: Mapping[str, Any], label: Callable[[str], str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that can be read, and what is wrong with the others.

    ``label`` returns how an option is named in the place that the values are from.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in given.items():
        try:
            values[name] = known[name].type.read(value)
        except ValueError as error:
            problems.append(f"{label(name)}: {error}")
    return values, problems
