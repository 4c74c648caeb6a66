"""Mistakes in a document: the place, what was expected, and what was found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jsonschema_rs import ValidationError, Validator

from apixo_emulator.domain.text import did_you_mean, shown

Path = tuple[str | int, ...]

# More mistakes than these are not listed; no valid document is nested as deeply.
_MOST = 20
_DEEPEST = 20
_LONGEST_KEY = 80
# Longer integers are cut short in words; Python does not even write those of 4,300 digits.
_MOST_BITS = 128
# Up to here a float is one integer.
_LARGEST_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a document: the path to it, from the document's top, and a sentence."""

    path: Path
    message: str

    def below(self, *prefix: str | int) -> Problem:
        """Return the problem with its path below ``prefix``, where a larger document holds this one."""
        return replace(self, path=(*prefix, *self.path))

    def __str__(self) -> str:
        return f"{where(self.path)}: {self.message}" if self.path else self.message


class DocumentError(ValueError):
    """A document that cannot be used. ``problems`` are all mistakes, in the document's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        left = len(self.problems) - _MOST
        more = [f"and {left} more"] if left > 0 else []
        super().__init__("\n".join((*map(str, self.problems[:_MOST]), *more)))


class ContradictoryError(DocumentError):
    """A document that fits its schema, but whose parts contradict each other."""


def where(path: Path) -> str:
    """Return a path as text: ``match.headers.x-test``, ``scenario[1]``."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_KEY]}" for part in path
    )
    return text.removeprefix(".")


def found(value: Any) -> str:
    """Return a value as an error shows it."""
    match value:
        case str():
            return shown(value)
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case Mapping():
            return "a table" if value else "an empty table"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case int() | float():
            is_long = isinstance(value, int) and value.bit_length() > _MOST_BITS
            return "an integer of very many digits" if is_long else str(value)
        case _:
            return f"{value} (a {type(value).__name__})"


def violations(validator: Validator, schema: Mapping[str, Any], document: Any) -> list[Problem]:
    """Return the mistakes of a document; the ``title`` of each part of the schema says what it expects."""
    if foreign := list(_foreign(document, ())):
        return foreign
    problems = (
        problem for error in validator.iter_errors(document) for problem in _worded(error, schema)
    )
    return list(dict.fromkeys(problems))


def fitting(validator: Validator, schema: Mapping[str, Any], document: Any) -> Any:
    """Return a document that fits a schema, with 7.0 as 7.

    JSON has one kind of number, and its schemas count 7.0 among the integers.

    Raises:
        DocumentError: It does not fit.
    """
    if problems := violations(validator, schema, document):
        raise DocumentError(problems)
    return _meant(document)


def _meant(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _meant(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_meant(entry) for entry in value]
        # A larger float stands for many integers.
        case float() if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
        case _:
            return value


def _worded(error: ValidationError, schema: Any) -> Iterator[Problem]:
    for part in error.schema_path[:-1]:
        schema = schema[part]
    path = tuple(error.instance_path)
    if unexpected := getattr(error.kind, "unexpected", ()):
        known = schema["properties"]
        for key in unexpected[:_MOST]:
            expected = f"expected one of the keys {', '.join(known)}"
            message = f"{expected}; found {shown(key)}.{did_you_mean(key, known)}"
            yield Problem((*path, key), message)
        return
    yield Problem(path, f"expected {schema['title']}; {_instead(error, schema)}")


def _instead(error: ValidationError, schema: Mapping[str, Any]) -> str:
    if missing := getattr(error.kind, "property", None):
        return f"{missing} is missing."
    if error.kind.name == "anyOf":
        return "found neither."
    value = error.instance
    names = [name for name in schema.get("enum", ()) if isinstance(name, str)]
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    return f"found {found(value)}.{hint}"


def is_text(value: str) -> bool:
    """True if UTF-8 can encode a text: JSON escapes and command lines can hold lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _foreign(value: Any, path: Path) -> Iterator[Problem]:
    """Find values that TOML or Python has and JSON has not, and values that are nested too deeply."""
    match value:
        case Mapping() | list() | tuple() if len(path) >= _DEEPEST:
            yield Problem(path, f"expected a value; found {found(value)}, nested too deeply.")
        case Mapping():
            for key, entry in value.items():
                if isinstance(key, str) and is_text(key):
                    yield from _foreign(entry, (*path, key))
                else:
                    yield Problem(path, f"expected keys that are texts; found {found(key)}.")
        case list() | tuple():
            for index, entry in enumerate(value):
                yield from _foreign(entry, (*path, index))
        case float() if not math.isfinite(value):
            yield Problem(path, f"expected a finite number, found {value}.")
        # What is in a document is kept, and texts of PostgreSQL hold no NUL.
        case str() if not is_text(value) or (path and "\0" in value):
            expected = "expected a text that UTF-8 can write, without NUL"
            yield Problem(path, f"{expected}; found {found(value)}.")
        case None | bool() | str() | int() | float():
            return
        case _:
            expected = "expected a text, a number, true, false, a list or a table"
            yield Problem(path, f"{expected}; found {found(value)}.")
