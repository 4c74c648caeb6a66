"""Profiles: how a server was observed to behave, as settings of the contract's assumptions.

A profile is a TOML file; `profile.schema.json` describes it. `apply_profile` gives the contract
with these settings, `use_profile` puts one in force for the whole process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from apixo_schemas._profile_rules import reword_rules
from apixo_schemas._profile_settings import SETTINGS
from apixo_schemas.contract import Contract, _changes, contract, published_contract

FORM = 1
_LONGEST_SHOWN = 120


class ProfileError(ValueError):
    """A profile cannot be used; the message names the place, what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a server was observed to behave.

    Attributes:
        assumptions: The settings, by assumption id; see `profile.schema.json` for their forms.
        rules: The messages of submit rules, by rule id, documented ones too.
        target: The base URL that was observed, if known.
        observed: The day of the observation, if known.
    """

    name: str
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    observed: str | None = None


@cache
def profile_schema() -> Any:
    """Give the JSON Schema of a profile."""
    return json.loads((files("apixo_schemas") / "profile.schema.json").read_text("utf-8"))


def load_profile(path: str | Path) -> Profile:
    """Read a profile from a TOML file.

    Needs a JSON Schema library, which the extras ``emulator`` and ``contract`` bring.

    Raises:
        OSError: The file cannot be read.
        ProfileError: It is no profile; the message names the file and all that is wrong.
    """
    import tomllib

    try:
        value = tomllib.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise ProfileError(f"{path}: expected a TOML file in UTF-8: {error}") from None
    try:
        return read_profile(value, name=Path(path).stem)
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}") from None


def read_profile(value: Mapping[str, Any], *, name: str = "profile") -> Profile:
    """Read a profile from parsed values; ``name`` is the one it has unless it brings its own.

    Raises:
        ProfileError: It is no profile; the message lists all that is wrong.
    """
    flat = {**value, "assumptions": _flattened(value.get("assumptions", {}))}
    flat["observed"] = None if "observed" not in value else str(value["observed"])
    faults = list(_faults(flat))
    if faults:
        raise ProfileError("; ".join(faults))
    return Profile(
        name=value.get("name", name),
        assumptions=flat["assumptions"],
        rules=value.get("rules", {}),
        target=value.get("target"),
        observed=flat["observed"],
    )


def setting_fault(assumption_id: str, value: Any) -> str | None:
    """Say what is wrong with a setting of an assumption; None where nothing is."""
    return next(_setting_faults(assumption_id, value), None)


def _flattened(settings: Any) -> Any:
    """Join the keys of nested tables up to an assumption's id: TOML reads a dot as a table."""
    if not isinstance(settings, Mapping):
        return settings
    return dict(_paths(settings, ""))


def _paths(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key
        known = name in SETTINGS
        begins = any(setting.startswith(f"{name}.") for setting in SETTINGS)
        if isinstance(value, Mapping) and begins and not known:
            yield from _paths(value, f"{name}.")
        else:
            yield name, value


def _faults(value: Mapping[str, Any]) -> Iterator[str]:
    parts = profile_schema()["properties"]
    if value.get("form") != FORM:
        yield f"expected `form = {FORM}` at the top, found {_shown(value.get('form'))}"
    for name in value.keys() - parts.keys():
        yield _unknown("key", name, parts)
    for name in ("name", "target", "rules"):
        if name in value and not _validator(name)(value[name]):
            yield f"{name}: expected {parts[name]['description']}, found {_shown(value[name])}"
    rules = value.get("rules", {})
    for name in rules if isinstance(rules, Mapping) else ():
        if name not in _rule_ids():
            yield _unknown("rule", name, _rule_ids())
    settings = value["assumptions"]
    if not isinstance(settings, Mapping):
        yield f"assumptions: expected a table of settings, found {_shown(settings)}"
        return
    for name, setting in settings.items():
        yield from _setting_faults(name, setting)


def _setting_faults(name: str, value: Any) -> Iterator[str]:
    if name not in SETTINGS:
        yield _unknown("assumption", name, SETTINGS)
        return
    if not _validator("assumptions", name)(value):
        expected = profile_schema()["properties"]["assumptions"]["properties"][name]["description"]
        yield f"{name}: expected {expected}; found {_shown(value)}"
        return
    for kind, found, known in SETTINGS[name].names(value, published_contract()):
        for other in sorted(set(found) - set(known)):
            yield f"{name}: {_unknown(kind, other, known)}"


def _rule_ids() -> list[str]:
    return [rule.id for rule in published_contract().rules]


def _unknown(kind: str, name: str, known: Any) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    return f"unknown {kind} {name!r}: {hint}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


@cache
def _validator(*place: str) -> Callable[[Any], bool]:
    schema = profile_schema()
    part = schema
    for step in place:
        part = part["properties"][step]
    # The part alone, beside the definitions that it refers to.
    alone = {"$schema": schema["$schema"], "$defs": schema["$defs"], **part}
    try:
        from jsonschema_rs import validator_for
    except ImportError:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(alone).is_valid
    return validator_for(alone).is_valid


def apply_profile(base: Contract, profile: Profile) -> Contract:
    """Give the contract as the profile has it; the base stays as it is.

    An assumption whose choice stood in its ``value`` has the setting there; the others changed
    what their ``ref`` points to.
    """
    found = base
    for name, setting in SETTINGS.items():
        if name in profile.assumptions:
            found = setting.apply(found, profile.assumptions[name])
    return reword_rules(found, profile.rules)


def use_profile(profile: Profile) -> None:
    """Put a profile in force for this process: `contract` gives the changed contract from then on.

    Raises:
        ProfileError: The contract has been read already, or another profile is in force.
    """
    if contract.cache_info().currsize:
        raise ProfileError(
            f"too late for the profile {profile.name!r}: the contract has been read already. Call "
            "use_profile before anything else reads it"
        )
    if _changes:
        raise ProfileError(
            f"too late for the profile {profile.name!r}: another one is in force; there is one "
            "for each process"
        )
    _changes.append(partial(apply_profile, profile=profile))
