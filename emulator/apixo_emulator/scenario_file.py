"""Scenario files: ordered rules in TOML or JSON, with errors that name the line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.problems import DocumentError, Problem, violations, where
from apixo_emulator.scenarios import positions
from apixo_emulator.scenarios.rule_schema import scenario_file_schema
from apixo_emulator.scenarios.rules import Rule, rule_of
from apixo_emulator.toml_file import located, read_text, syntax_error


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
    try:
        text = read_text(path)
    except ValueError as error:
        raise ScenarioFileError(str(error)) from None
    try:
        document = language.parse(text)
        lines = language.lines(text)
        rules, problems = _rules(document)
    except RecursionError:
        raise ScenarioFileError(
            f"{path}: expected rules; found lists in lists, too deep."
        ) from None
    except ValueError as error:
        raise ScenarioFileError(
            f"{path}:{syntax_error(error, text, language.name, quoted=True)}"
        ) from None
    repeated = (Problem(place, "expected once; found again.") for place in lines.repeated)
    if problems := [*repeated, *problems]:
        raise ScenarioFileError(located(path, lines, problems, _said))
    return rules


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


def _said(problem: Problem) -> str:
    match problem.path:
        case ("rule", int(index), *rest):
            inside = f", {where(tuple(rest))}" if rest else ""
            return f"rule {index + 1}{inside}: {problem.message}"
        case _:
            return str(problem)
