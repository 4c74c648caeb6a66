"""The config file: options of ``serve``, and accounts with what each may do.

An ``apixo-emulator.toml``, or the table ``[tool.apixo-emulator]`` of a ``pyproject.toml``. Options
have the names of `Settings`, with ``_`` or ``-`` between words. The environment and flags win over
the file. Paths in it are relative to its own folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from apixo_emulator.domain.limits import AccountTerms
from apixo_emulator.domain.nearest import did_you_mean, shown
from apixo_emulator.domain.problems import DocumentError, Problem, found
from apixo_emulator.domain.terms import account_terms
from apixo_emulator.journal.masking import Mask
from apixo_emulator.option_values import UnfitValueError, option_value
from apixo_emulator.settings import Settings
from apixo_emulator.toml_file import TomlFile, parse_toml, read_text

FILE = "apixo-emulator.toml"
PROJECT_FILE = "pyproject.toml"
TABLE = ("tool", "apixo-emulator")
ACCOUNT = "account"
# Their values never stand in a message.
_SECRET = frozenset({"api_key", "control_token", "store"})


class ConfigError(ValueError):
    """A config file that cannot be used.

    Each line of the message is about one mistake: the file, the line in it, what was expected, what
    was found, and of misspelt names the nearest valid one. Keys are not shown.
    """


@dataclass(frozen=True, slots=True)
class Config:
    """What a config file says. ``options`` are arguments of `Settings`, ``accounts`` are by key.

    ``path`` is the file, None where there is none.
    """

    path: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    accounts: Mapping[str, AccountTerms] = field(default_factory=dict, repr=False)


def load_config(explicit: Path | None, cwd: Path) -> Config:
    """Read the explicit file, else the one in ``cwd``; none of them is an empty configuration.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
    """
    try:
        return _load(explicit, cwd)
    except ValueError as error:
        # A key that landed where a name is expected is no more to be shown than in its place.
        raise ConfigError(Mask().text(str(error))) from None


def profile_in(explicit: Path | None, cwd: Path) -> Path | None:
    """Give the profile that the configuration file names, before anything else in it is checked."""
    candidates = [explicit] if explicit else [cwd / FILE, cwd / PROJECT_FILE]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except ValueError:
        return None  # `load_config` says what is wrong with it
    if path.name == PROJECT_FILE:
        table = table.get(TABLE[0], {}).get(TABLE[1], {})
    named = table.get("profile")
    return path.parent / named if isinstance(named, str) else None


def _load(explicit: Path | None, cwd: Path) -> Config:
    if explicit is not None:
        return _read(explicit, required=True)
    if (cwd / FILE).is_file():
        return _read(cwd / FILE, required=True)
    return _read(cwd / PROJECT_FILE, required=False) if (cwd / PROJECT_FILE).is_file() else Config()


def _read(path: Path, *, required: bool) -> Config:
    text = read_text(path)
    if not required and TABLE[-1] not in text:
        return Config()  # another tool's file, whatever is in it
    file = parse_toml(path, text)
    if path.name != PROJECT_FILE:
        return _config(file, (), file.document)
    tool = file.document.get(TABLE[0])
    if isinstance(tool, Mapping) and TABLE[-1] in tool:
        return _config(file, TABLE, tool[TABLE[-1]])
    if required:
        raise ValueError(f"{path}: expected a table [{'.'.join(TABLE)}]; found none.")
    return Config()


def _config(file: TomlFile, prefix: tuple[str, ...], table: Any) -> Config:
    if isinstance(table, Mapping):
        options, problems = _options(table, file.path.parent)
        accounts, more = _accounts(table.get(ACCOUNT, []))
        problems += more
    else:
        options, accounts = {}, {}
        problems = [Problem((), f"expected a table; found {found(table)}.")]
    if problems:
        raise ValueError(file.located(problem.below(*prefix) for problem in problems))
    return Config(file.path, options, accounts)


def _options(table: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], list[Problem]]:
    options: dict[str, Any] = {}
    problems = []
    for key, value in table.items():
        if key == ACCOUNT:
            continue
        name = key.replace("-", "_")
        try:
            options[name] = _option(name, value, folder, again=name in options)
        except ValueError as error:
            said = str(error)
            problems.append(Problem((key,), said if said.endswith(("?", ".")) else f"{said}."))
    return options, problems


def _option(name: str, value: Any, folder: Path, *, again: bool) -> Any:
    """Read an option.

    Raises:
        ValueError: There is no such option, it was there before with a ``-`` for a ``_``, or the
            value is of another type or out of range.
    """
    if again:
        raise ValueError(f"expected once; found {shown(name)} before, too")
    types = option_types()
    if name not in types:
        hint = did_you_mean(name, [*types, ACCOUNT])
        raise ValueError(f"expected an option or [[{ACCOUNT}]]; found {shown(name)}.{hint}")
    try:
        read = option_value(types[name], value, folder)
    except UnfitValueError as error:
        said = "" if name in _SECRET else f"; found {found(value)}"
        raise ValueError(f"{error}{said}") from None
    try:
        Settings(**{name: read})
    except ValueError as error:
        flag = f"--{name.replace('_', '-')}: "
        raise ValueError(str(error).removeprefix(flag)) from None
    return read


@cache
def option_types() -> Mapping[str, Any]:
    """Give the options by name, with their types."""
    hints = get_type_hints(Settings)
    return {entry.name: hints[entry.name] for entry in fields(Settings) if entry.metadata}


def _accounts(given: Any) -> tuple[dict[str, AccountTerms], list[Problem]]:
    accounts: dict[str, AccountTerms] = {}
    if not isinstance(given, list):
        message = f"expected [[{ACCOUNT}]], with two brackets, for each account"
        return accounts, [Problem((ACCOUNT,), f"{message}; found {found(given)}.")]
    problems = []
    for index, document in enumerate(given):
        try:
            key, terms = account_terms(document)
        except DocumentError as error:
            problems += [problem.below(ACCOUNT, index) for problem in error.problems]
            continue
        if key in accounts:
            message = "expected a key that no other account has; found it twice."
            problems.append(Problem((ACCOUNT, index, "key"), message))
        accounts[key] = terms
    return accounts, problems
