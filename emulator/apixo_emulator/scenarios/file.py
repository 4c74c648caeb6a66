"""Scenario files: ordered rules in TOML or JSON."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.problems import DocumentError, Problem, violations, where
from apixo_emulator.scenarios.rules import Rule, rule_of
from apixo_emulator.scenarios.schema import scenario_file_schema

_MOST_SHOWN = 20


class ScenarioFileError(ValueError):
    """A scenario file that cannot be used.

    Each line of the message describes one mistake: file, rule, place, what was expected and found.
    """


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a scenario file, in their order; their ids are ``file-1`` and so on.

    Raises:
        ScenarioFileError: It cannot be read, is no TOML or JSON, or a rule in it is wrong.
    """
    read = {".toml": read_toml, ".json": _read_json}.get(path.suffix.lower())
    if read is None:
        raise ScenarioFileError(f"{path}: expected a name that ends with .toml or .json.")
    try:
        rules, problems = _rules(read(path))
    except ValueError as error:
        raise ScenarioFileError(str(error)) from None
    if problems:
        lines = [f"{path}: {_line(problem)}" for problem in problems]
        left = len(lines) - _MOST_SHOWN
        if left > 0:
            lines[_MOST_SHOWN:] = [f"{path}: and {left} more."]
        raise ScenarioFileError("\n".join(lines))
    return rules


@cache
def _validator() -> Validator:
    return validator_for(dict(scenario_file_schema()))


def _rules(document: Any) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Return the rules that can be read, and what is wrong with the others."""
    given = document.get("rule") if isinstance(document, Mapping) else None
    outside = {**document, "rule": []} if isinstance(given, list) else document
    problems = violations(_validator(), scenario_file_schema(), outside)
    rules = []
    for index, entry in enumerate(given if isinstance(given, list) else ()):
        try:
            rules.append(rule_of(entry, f"file-{index + 1}"))
        except DocumentError as error:
            problems += [problem.below("rule", index) for problem in error.problems]
    return tuple(rules), problems


def _line(problem: Problem) -> str:
    match problem.path:
        case ("rule", int(index), *rest):
            inside = f", {where(tuple(rest))}" if rest else ""
            return f"rule {index + 1}{inside}: {problem.message}"
        case _:
            return str(problem)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the document of a TOML file.

    Raises:
        ValueError: It cannot be read, or is no TOML; the message names the file.
    """
    document: dict[str, Any] = _parsed(path, "TOML", tomllib.loads)
    return document


def _read_json(path: Path) -> Any:
    return _parsed(path, "JSON", partial(json.loads, object_pairs_hook=_object))


def _parsed(path: Path, form: str, parse: Callable[[str], Any]) -> Any:
    """Return the document of a file, with or without a byte order mark."""
    try:
        return parse(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        found = f"the byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise ValueError(f"{path}: expected UTF-8; found {found}.") from None
    except RecursionError:
        raise ValueError(f"{path}: expected {form}; found lists in lists, too deep.") from None
    except ValueError as error:
        raise ValueError(f"{path}: expected valid {form}; found: {error}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of a repeated key, Python's parser would keep the last value only."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(it for it in names if names.count(it) > 1)!r} twice in an object")
    return found
