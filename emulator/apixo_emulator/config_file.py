"""The options of ``serve`` from their three places: command line, environment and config file.

The config file is ``apixo-emulator.toml``, or a table of ``pyproject.toml``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from apixo_emulator.domain.accounts import AccountTerms, account_schema, account_terms
from apixo_emulator.domain.problems import DocumentError, Problem, found
from apixo_emulator.domain.text import did_you_mean, shown
from apixo_emulator.journal.secrets import Mask
from apixo_emulator.option_types import read_values
from apixo_emulator.scenarios.file import read_toml
from apixo_emulator.settings import OPTIONS, Settings, SettingsError, check, use_profile_file

CONFIG_FILE = "apixo-emulator.toml"
CONFIG_VARIABLE = "APIXO_EMULATOR_CONFIG"
_PROJECT_FILE = "pyproject.toml"
_PROJECT_TABLE = ("tool", "apixo-emulator")
_ACCOUNT = "account"


class _Source(NamedTuple):
    """Options as they are written in one place; ``label`` returns how one is named there."""

    values: Mapping[str, Any]
    label: Callable[[str], str]


def load_settings(
    flags: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    folder: Path = Path(),
) -> Settings:
    """Return the settings of flags, the environment and the config file.

    The file is ``config``, else that of ``APIXO_EMULATOR_CONFIG``, else ``apixo-emulator.toml`` or
    ``[tool.apixo-emulator]`` of a ``pyproject.toml`` in ``folder``. A profile is put in force.

    Raises:
        SettingsError: An option is wrong; the message is about all that are.
    """
    if config is None and environ.get(CONFIG_VARIABLE):
        config = Path(environ[CONFIG_VARIABLE])
    try:
        path, table = _table(config, folder)
    except ValueError as error:
        raise SettingsError(Mask().text(str(error))) from None
    in_file, problems = _options(path, table)
    sources = (
        _Source(in_file, lambda name: f"{path}: {name}"),
        _environment(environ),
        _Source(flags or {}, lambda name: OPTIONS[name].flag),
    )
    accounts, wrong_accounts = _accounts(table.get(_ACCOUNT, []))
    problems += wrong_accounts
    # The profile comes first: it changes the contract, which the other options are checked against.
    _use_profile_of(sources)
    messages = [f"{path}: {problem}" for problem in problems]
    values: dict[str, Any] = {}
    for source in sources:
        read, wrong = read_values(OPTIONS, *source)
        messages += wrong
        if read.get("ephemeral"):  # contradicts the data folder of a source that counts less
            values.pop("data", None)
        if "data" in read:
            values.pop("ephemeral", None)
        values |= read
    check(messages)
    return Settings(**values, accounts=accounts)


def _environment(environ: Mapping[str, str]) -> _Source:
    """Return the options of the environment; empty variables are none, spaces separate a list."""
    names = {
        option.name: variable
        for option in OPTIONS.values()
        for variable in reversed(option.variables)
        if environ.get(variable)
    }
    values = {
        name: environ[variable].split() if OPTIONS[name].type.is_list else environ[variable]
        for name, variable in names.items()
    }
    return _Source(values, names.__getitem__)


def _use_profile_of(sources: tuple[_Source, ...]) -> None:
    for source in reversed(sources):
        if "profile" in source.values:
            try:
                use_profile_file(OPTIONS["profile"].type.read(source.values["profile"]))
            except ValueError as error:
                raise SettingsError(f"{source.label('profile')}: {error}") from None
            return


# The config file


def _options(path: Path, table: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the options of a file as they are written, and wrong names; paths are relative to it."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in table.items():
        name = key.replace("-", "_")
        if key == _ACCOUNT:
            continue
        if name not in OPTIONS:
            hint = did_you_mean(name, [*OPTIONS, _ACCOUNT])
            expected = f"expected an option or [[{_ACCOUNT}]], found {shown(key)}"
            problems.append(Problem((key,), f"{expected}.{hint}"))
        elif name in values:
            problems.append(Problem((key,), "expected once, found it with - and with _"))
        else:
            is_path = OPTIONS[name].type.is_path and isinstance(value, str) and value
            values[name] = path.parent / value if is_path else value
    return values, problems


def _table(explicit: Path | None, folder: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the config file and its table, an empty one where there is no file."""
    own, project = folder / CONFIG_FILE, folder / _PROJECT_FILE
    path = explicit or (own if own.is_file() else project)
    if explicit is None and path == project and not _has_our_table(project):
        return path, {}
    document: Any = read_toml(path)
    for name in _PROJECT_TABLE if path.name == _PROJECT_FILE else ():
        document = document.get(name) if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping):
        expected = f"expected a table [{'.'.join(_PROJECT_TABLE)}]"
        raise ValueError(  # noqa: TRY004 - as all that is wrong with a file
            f"{path}: {expected}, found {found(document)}"
        )
    return path, document


def _has_our_table(project: Path) -> bool:
    """Return whether a project configures the emulator; without reading TOML of other tools."""
    try:
        return f"{'.'.join(_PROJECT_TABLE)}]".encode() in project.read_bytes()
    except OSError:
        return False


def _accounts(given: Any) -> tuple[dict[str, AccountTerms], list[Problem]]:
    """Return the terms of accounts by key, and what is wrong with them."""
    accounts: dict[str, AccountTerms] = {}
    if not isinstance(given, list):
        expected = f"expected [[{_ACCOUNT}]], with two brackets, for each account"
        return accounts, [Problem((_ACCOUNT,), f"{expected}, found {found(given)}")]
    problems: list[Problem] = []
    for index, document in enumerate(given):
        try:
            key, terms = account_terms(document)
        except DocumentError as error:
            problems += [problem.below(_ACCOUNT, index) for problem in error.problems]
            continue
        if key in accounts:
            message = "expected a key that no other account has, found it twice"
            problems.append(Problem((_ACCOUNT, index, "key"), message))
        accounts[key] = terms
    return accounts, problems


def config_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of a config file, for editors that check it while it is written."""
    options = {
        name: {**option.type.schema, "description": option.help} for name, option in OPTIONS.items()
    }
    dashed = {name.replace("_", "-"): schema for name, schema in options.items()}
    account = {key: value for key, value in account_schema().items() if key != "$schema"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "config.json",
        "title": f"the config file, {CONFIG_FILE}",
        "description": "Options of `apixo-emulator serve`, and accounts with what each may do.",
        "type": "object",
        "properties": {**options, **dashed, _ACCOUNT: {"type": "array", "items": account}},
        "additionalProperties": False,
    }
