"""Profiles: how a server was observed to behave, as settings of the contract's assumptions.

A profile is a TOML file; ``v1/profile.json`` describes it. `apply_profile` returns the contract
with these settings, `use_profile` puts one in force for the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from apixo_schemas.contract import (
    Contract,
    ErrorEntry,
    Grade,
    contract,
    document,
    published_contract,
    put_in_force,
)
from apixo_schemas.rule_changes import (
    ADDED_RULES,
    RULE_CHANGES,
    Change,
    parameters,
    reword_rules,
)

FORM = 1
# Errors that only a profile has.
CONTENT_TYPE_ERROR = "content_type_unsupported"
OTHER_KEY_ERROR = "task_of_other_key"
_LONGEST_SHOWN = 120


class ProfileError(ValueError):
    """A profile cannot be used; the message names the place, what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a server was observed to behave.

    Attributes:
        assumptions: The settings, by assumption id; see ``v1/profile.json`` for their forms.
        rules: The messages of submit rules, by rule id, documented ones too.
        target: The base URL that was observed, if known.
        observed: The day of the observation, if known.
    """

    name: str
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    observed: str | None = None


def apply_profile(base: Contract, profile: Profile) -> Contract:
    """Return the contract as the profile has it; the base stays as it is.

    An assumption whose choice stood in its ``value`` has the setting there; the others changed
    what their ``ref`` points to.
    """
    found = base
    for name, change in _CHANGES.items():
        if name in profile.assumptions:
            found = change(found, profile.assumptions[name])
    for name, value in profile.assumptions.items():
        if name not in _CHANGES:
            found = found.with_assumption(name, value)
    return reword_rules(found, profile.rules)


def use_profile(profile: Profile) -> None:
    """Apply a profile to this process: `contract` returns the changed contract from then on.

    Raises:
        ProfileError: The contract has been read already, or another profile is in force.
    """
    if contract.cache_info().currsize:
        raise ProfileError(
            f"too late for the profile {profile.name!r}: the contract has been read already, or"
            " another profile is in force. Call use_profile once, before anything reads the contract"
        )
    put_in_force(apply_profile(published_contract(), profile))


# --- reading ---------------------------------------------------------------------------------


def profile_schema() -> Any:
    """Return the JSON Schema of a profile."""
    return document("profile.json")


def load_profile(path: str | Path) -> Profile:
    """Return the profile in a TOML file.

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
    """Return the profile in parsed values; ``name`` is for one that has none of its own.

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
    """Return what is wrong with a setting of an assumption; None where nothing is."""
    return next(_setting_faults(assumption_id, value), None)


def _flattened(settings: Any) -> Any:
    """Join the keys of nested tables up to an assumption's id: TOML reads a dot as a table."""
    if not isinstance(settings, Mapping):
        return settings
    return dict(_paths(settings, ""))


def _paths(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key
        begins = any(setting.startswith(f"{name}.") for setting in _settings())
        if isinstance(value, Mapping) and begins and name not in _settings():
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
    known = [rule.id for rule in published_contract().rules]
    for name in rules if isinstance(rules, Mapping) else ():
        if name not in known:
            yield _unknown("rule", name, known)
    settings = value["assumptions"]
    if not isinstance(settings, Mapping):
        yield f"assumptions: expected a table of settings, found {_shown(settings)}"
        return
    for name, setting in settings.items():
        yield from _setting_faults(name, setting)


def _settings() -> Mapping[str, Any]:
    """Return the JSON Schemas of all settings, by assumption id."""
    settings: Mapping[str, Any] = profile_schema()["properties"]["assumptions"]["properties"]
    return settings


def _setting_faults(name: str, value: Any) -> Iterator[str]:
    if name not in _settings():
        yield _unknown("assumption", name, _settings())
    elif not _validator("assumptions", name)(value):
        yield f"{name}: expected {_settings()[name]['description']}; found {_shown(value)}"
    else:
        yield from _unknown_names(name, value, published_contract())


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


# --- settings of values and errors -----------------------------------------------------------


def _errors(terms: Contract, words: Mapping[str, Any]) -> Contract:
    changed = {
        name: replace(terms.errors[name], **({"message": new} if isinstance(new, str) else new))
        for name, new in words.items()
    }
    return replace(terms, errors={**terms.errors, **changed})


def _error(error_id: str) -> Change:
    """Return a setting that is an error's status, words, or both."""
    return lambda terms, words: _errors(terms, {error_id: words})


def _answer_or(assumption: str, error_id: str, name: str, operation: str) -> Change:
    """Return a setting that is a choice by name, or an error of its own, noted as ``name``."""

    def apply(terms: Contract, value: Any) -> Contract:
        if isinstance(value, str):
            return terms.with_assumption(assumption, value)
        entry = ErrorEntry(
            id=error_id,
            status=value["status"],
            message=value["message"],
            meaning=value["message"],
            advice="Fix the request before retrying",
            grade=Grade.ASSUMED,
            sources=(assumption,),
            operations=(operation,),
        )
        terms = replace(terms, errors={**terms.errors, error_id: entry})
        return terms.with_assumption(assumption, name)

    return apply


def _other_key(terms: Contract, value: Any) -> Contract:
    if value == "not_found":
        return terms
    return _answer_or("task.other_key", OTHER_KEY_ERROR, "refused", "status")(terms, value)


def _not_https(terms: Contract, value: Any) -> Contract:
    if isinstance(value, str):
        return terms.with_assumption("callback_url.not_https", value)
    terms = _errors(terms, {"callback_url_not_public": value})
    return terms.with_assumption("callback_url.not_https", "rejected")


def _retry_delays(terms: Contract, delays_ms: list[int]) -> Contract:
    return replace(terms, callbacks=replace(terms.callbacks, retry_delays_ms=tuple(delays_ms)))


def _error_data(terms: Contract, value: Any) -> Contract:
    return terms.with_assumption("error.data", None if value == "null" else value)


def _failures(terms: Contract, messages: Mapping[str, str]) -> Contract:
    changed = {code: replace(terms.failures[code], message=text) for code, text in messages.items()}
    return replace(terms, failures={**terms.failures, **changed})


def _pixels(terms: Contract, pixels: Mapping[str, int]) -> Contract:
    return replace(terms, long_edge_px={**terms.long_edge_px, **pixels})


def _latency(terms: Contract, value: Mapping[str, Any]) -> Contract:
    shape = terms.assumed("latency.distribution")
    factor = {**shape["factor"], **value.get("factor", {})}
    sigma = value.get("sigma", shape["sigma"])
    terms = replace(terms, typical_latency_ms=value.get("typical_ms", terms.typical_latency_ms))
    return terms.with_assumption("latency.distribution", {"factor": factor, "sigma": sigma})


# --- the tables ------------------------------------------------------------------------------

# What settings change beside the value of their assumption.
_CHANGES: dict[str, Change] = {
    **RULE_CHANGES,
    "callback_url.not_https": _not_https,
    "callback.retry_delays": _retry_delays,
    "error.wording": _errors,
    "error.data": _error_data,
    "body.not_json": _error("invalid_json"),
    "body.content_type": _answer_or("body.content_type", CONTENT_TYPE_ERROR, "required", "submit"),
    "failure.wording": _failures,
    "tiers.pixels": _pixels,
    "task.other_key": _other_key,
    "task_id.missing": _error("task_id_missing"),
    "latency.distribution": _latency,
}


def _unknown_names(name: str, value: Any, terms: Contract) -> Iterator[str]:
    """Yield what is wrong with the names in a setting of a valid form."""
    codes = ("failure code", terms.failures)
    kinds: dict[str, tuple[str, Iterable[str]]] = {
        "null.optional": ("parameter", parameters()),
        "image_url.not_a_url": codes,
        "image.too_large": codes,
        "image.damaged": codes,
        "image.refused": codes,
        "error.wording": ("error", terms.errors),
        "failure.wording": codes,
        "tiers.pixels": ("tier", terms.long_edge_px),
        "latency.distribution": ("tier", terms.long_edge_px),
        "order": ("rule", [*(rule.id for rule in terms.rules), *ADDED_RULES]),
    }
    kind, known = kinds.get(name, ("", ()))
    if isinstance(value, str):
        found = [value] if kind == "failure code" and value != "placeholder" else []
    elif name == "latency.distribution":
        found = value.get("factor", {})
    else:
        # The keys of a table, or the texts of a list; a refusal has words instead of a code.
        found = value if kind and name != "image_url.not_a_url" else []
    for other in sorted(set(found) - set(known)):
        yield f"{name}: {_unknown(kind, other, known)}"
