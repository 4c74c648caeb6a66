"""The config file: ``apixo-emulator.toml``, or a table of ``pyproject.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apixo_emulator.domain.accounts import AccountTerms, account_terms
from apixo_emulator.domain.problems import DocumentError, Problem, found
from apixo_emulator.domain.text import did_you_mean, shown
from apixo_emulator.option_types import Option
from apixo_emulator.scenarios.file import read_toml

CONFIG_FILE = "apixo-emulator.toml"
PROJECT_FILE = "pyproject.toml"
PROJECT_TABLE = ("tool", "apixo-emulator")
ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a config file says: options as they are written, accounts by key, and wrong names in it."""

    path: Path
    values: Mapping[str, Any]
    accounts: Mapping[str, AccountTerms]
    problems: list[str]


def read_config_file(
    explicit: Path | None, folder: Path, options: Mapping[str, Option]
) -> ConfigFile:
    """Read a config file that was named, or the one in a folder; paths in it are relative to it.

    Raises:
        ValueError: The file cannot be read.
    """
    path, table = _table(explicit, folder)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in table.items():
        name = key.replace("-", "_")
        if key == ACCOUNT:
            continue
        if name not in options:
            hint = did_you_mean(name, [*options, ACCOUNT])
            expected = f"expected an option or [[{ACCOUNT}]], found {shown(key)}"
            problems.append(Problem((key,), f"{expected}.{hint}"))
        elif name in values:
            problems.append(Problem((key,), "expected once, found it with - and with _"))
        else:
            is_path = options[name].type.is_path and isinstance(value, str) and value
            values[name] = path.parent / value if is_path else value
    accounts, wrong = _accounts(table.get(ACCOUNT, []))
    return ConfigFile(path, values, accounts, [f"{path}: {one}" for one in (*problems, *wrong)])


def _table(explicit: Path | None, folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the config file and its table, an empty one where there is no file."""
    own, project = folder / CONFIG_FILE, folder / PROJECT_FILE
    path = explicit or (own if own.is_file() else project)
    if explicit is None and path == project and not _has_our_table(project):
        return path, {}
    document: Any = read_toml(path)
    for name in PROJECT_TABLE if path.name == PROJECT_FILE else ():
        document = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping):
        expected = f"expected a table [{'.'.join(PROJECT_TABLE)}]"
        raise ValueError(  # noqa: TRY004 - as all that is wrong with a file
            f"{path}: {expected}, found {found(document)}"
        )
    return path, document


def _has_our_table(project: Path) -> bool:
    """Return whether a project configures the emulator; without reading TOML of other tools."""
    try:
        return f"{'.'.join(PROJECT_TABLE)}]".encode() in project.read_bytes()
    except OSError:
        return False


def _accounts(given: Any) -> tuple[dict[str, AccountTerms], list[Problem]]:
    """Return the terms of accounts by key, and what is wrong with them."""
    accounts: dict[str, AccountTerms] = {}
    if not isinstance(given, list):
        expected = f"expected [[{ACCOUNT}]], with two brackets, for each account"
        return accounts, [Problem((ACCOUNT,), f"{expected}, found {found(given)}")]
    problems: list[Problem] = []
    for index, document in enumerate(given):
        try:
            key, terms = account_terms(document)
        except DocumentError as error:
            problems += [problem.below(ACCOUNT, index) for problem in error.problems]
            continue
        if key in accounts:
            message = "expected a key that no other account has, found it twice"
            problems.append(Problem((ACCOUNT, index, "key"), message))
        accounts[key] = terms
    return accounts, problems
