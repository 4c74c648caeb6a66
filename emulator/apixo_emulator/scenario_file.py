"""Scenario files: ordered rules in TOML or JSON, with errors that name the line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.core import positions
from apixo_emulator.core.nearest import shown
from apixo_emulator.core.problems import DocumentError, Problem, violations, where
from apixo_emulator.core.rule_schema import scenario_file_schema
from apixo_emulator.core.rules import Rule, rule_of

LARGEST_BYTES = 10_000_000
_MOST_SHOWN = 20
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")


class ScenarioFileError(ValueError):
    """A scenario file that cannot be used.

    Each line of the message is about one mistake: the file, the line in it, what was expected,
    what was found, and of misspelt names the nearest valid one.
    """


@dataclass(frozen=True, slots=True)
class _Language:
    name: str
    parse: Callable[[str], Any]
    lines: Callable[[str], positions.Lines]


_LANGUAGES = {
    ".toml": _Language("TOML", tomllib.loads, positions.toml_lines),
    ".json": _Language("JSON", json.loads, positions.json_lines),
}


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Read the rules of a scenario file, in their order; their ids are ``file-1`` and so on.

    Raises:
        ScenarioFileError: It cannot be read, is no TOML or JSON, or a rule in it is wrong.
    """
    language = _LANGUAGES.get(path.suffix.lower())
    if language is None:
        raise ScenarioFileError(f"{path}: expected a name that ends with .toml or .json.")
    text = _text(path)
    try:
        document = language.parse(text)
        lines = language.lines(text)
        rules, problems = _rules(document)
    except RecursionError:
        raise ScenarioFileError(
            f"{path}: expected rules; found lists in lists, too deep."
        ) from None
    except ValueError as error:
        raise ScenarioFileError(f"{path}:{_syntax(error, text, language.name)}") from None
    repeated = (Problem(place, "expected once; found again.") for place in lines.repeated)
    if problems := [*repeated, *problems]:
        raise ScenarioFileError(_listed(path, problems, lines))
    return rules


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ScenarioFileError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(raw) > LARGEST_BYTES:
        raise ScenarioFileError(f"{path}: expected at most {LARGEST_BYTES} bytes; found more.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: expected UTF-8; found the byte 0x{raw[error.start]:02x}."
        raise ScenarioFileError(message) from None


def _syntax(error: ValueError, text: str, language: str) -> str:
    """Give the line of a syntax error, and what the parser says of it."""
    if isinstance(error, json.JSONDecodeError):
        line, said = error.lineno, error.msg
    else:
        place = _TOML_PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
        said = _TOML_PLACE.sub("", str(error))
    found = "\n".join(text.split("\n")[line - 1 : line]).strip()
    return f"{line}: expected valid {language}; found {shown(found, 60)}: {said}."


@cache
def _validator() -> Validator:
    return validator_for(dict(scenario_file_schema()))


def _rules(document: Any) -> tuple[tuple[Rule, ...], list[Problem]]:
    """Read all that can be read; each rule is judged by itself."""
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


def _listed(path: Path, problems: Iterable[Problem], lines: positions.Lines) -> str:
    placed = sorted(((lines.of(entry.path), entry) for entry in problems), key=lambda pair: pair[0])
    said = [f"{path}:{line}: {_said(entry)}" for line, entry in placed[:_MOST_SHOWN]]
    if len(placed) > _MOST_SHOWN:
        said.append(f"{path}: and {len(placed) - _MOST_SHOWN} more.")
    return "\n".join(said)


def _said(problem: Problem) -> str:
    match problem.path:
        case ("rule", int(index), *rest):
            inside = f", {where(tuple(rest))}" if rest else ""
            return f"rule {index + 1}{inside}: {problem.message}"
        case _:
            return str(problem)
