"""Profiles: how a server was observed to behave, as settings of the contract's assumptions.

A profile is a TOML file; ``v1/profile.json`` describes it. `apply_profile` returns the contract
with these settings, `use_profile` puts one in force for the whole process.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

from apixo_schemas.contract import (
    Contract,
    ErrorEntry,
    Grade,
    Rule,
    contract,
    document,
    published_contract,
    put_in_force,
)

FORM = 1
# Errors that only a profile knows.
CONTENT_TYPE_ERROR = "content_type_unsupported"
OTHER_KEY_ERROR = "task_of_other_key"
# Rules that only a profile adds.
_ADDED_RULES = ("request_type.missing", "image_url.not_a_url", "parameters.unknown")
_LONGEST_SHOWN = 120
_INPUT = "input"
_FORMAT = "output_format"
Node = dict[str, Any]
Change = Callable[[Contract, Any], Contract]
# A kind of name, the names found in a setting, and the names that exist.
Names = tuple[str, Iterable[str], Iterable[str]]


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
            found = _noted(found, name, value)
    return _reworded_rules(found, profile.rules)


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
    elif name in _NAMES:
        kind, found, known = _NAMES[name](value, published_contract())
        for other in sorted(set(found) - set(known)):
            yield f"{name}: {_unknown(kind, other, known)}"


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


def _noted(terms: Contract, name: str, value: Any) -> Contract:
    """Return the contract with a value in the place of an assumption's own."""
    known = terms.assumptions[name]
    settled = replace(known, value=value, choice=f"{value!r}, by the profile in force")
    return replace(terms, assumptions={**terms.assumptions, name: settled})


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
            return _noted(terms, assumption, value)
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
        return _noted(terms, assumption, name)

    return apply


def _other_key(terms: Contract, value: Any) -> Contract:
    if value == "not_found":
        return terms
    return _answer_or("task.other_key", OTHER_KEY_ERROR, "refused", "status")(terms, value)


def _not_https(terms: Contract, value: Any) -> Contract:
    if isinstance(value, str):
        return _noted(terms, "callback_url.not_https", value)
    terms = _errors(terms, {"callback_url_not_public": value})
    return _noted(terms, "callback_url.not_https", "rejected")


def _failures(terms: Contract, messages: Mapping[str, str]) -> Contract:
    changed = {code: replace(terms.failures[code], message=text) for code, text in messages.items()}
    return replace(terms, failures={**terms.failures, **changed})


def _latency(terms: Contract, value: Mapping[str, Any]) -> Contract:
    shape = terms.assumed("latency.distribution")
    factor = {**shape["factor"], **value.get("factor", {})}
    sigma = value.get("sigma", shape["sigma"])
    terms = replace(terms, typical_latency_ms=value.get("typical_ms", terms.typical_latency_ms))
    return _noted(terms, "latency.distribution", {"factor": factor, "sigma": sigma})


# --- settings of the submit rules ------------------------------------------------------------


def _reworded_rules(terms: Contract, messages: Mapping[str, str]) -> Contract:
    rules = (replace(rule, message=messages.get(rule.id, rule.message)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


def _rule(rule_id: str) -> Change:
    """Return a setting that rewords a rule, or removes it with ``accepted``."""

    def apply(terms: Contract, value: Any) -> Contract:
        if value == "accepted":
            kept = tuple(rule for rule in terms.rules if rule.id != rule_id)
            return replace(terms, rules=kept)
        return _reworded_rules(terms, {rule_id: value["message"]})

    return apply


def _added(rule_id: str, condition: str, message: str, schema: Node) -> Rule:
    return Rule(rule_id, condition, message, schema, Grade.ASSUMED, (rule_id,))


def _inserted(terms: Contract, rule: Rule, after: str | None = None) -> Contract:
    """Return the contract with one more rule, behind another or at the end."""
    ids = [known.id for known in terms.rules]
    place = ids.index(after) + 1 if after in ids else len(ids)
    return replace(terms, rules=(*terms.rules[:place], rule, *terms.rules[place:]))


def _changed_schemas(terms: Contract, change: Callable[[Node, str], Node]) -> Contract:
    rules = (replace(rule, schema=_walked(rule.schema, change)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


def _request_type_missing(terms: Contract, value: Any) -> Contract:
    if value == "async":
        return terms
    taken = terms.assumptions["null.optional"].value
    counts = taken.get("request_type") if isinstance(taken, Mapping) else taken
    # Null counts as missing, unless a profile takes null for a value.
    not_null: Node = {} if counts == "rejected" else {"not": {"type": "null"}}
    schema = {"required": ["request_type"], "properties": {"request_type": not_null}}
    rule = _added("request_type.missing", "Missing `request_type`", value["message"], schema)
    return _inserted(terms, rule, after="output_format.invalid")


def _unknown_parameters(terms: Contract, value: Any) -> Contract:
    if value == "ignored":
        return _noted(terms, "parameters.unknown", value)
    top = document("submit-request.json")["properties"]
    inner = {"propertyNames": {"enum": sorted(top[_INPUT]["properties"])}}
    schema = {"propertyNames": {"enum": sorted(top)}, "properties": {_INPUT: inner}}
    terms = _noted(terms, "parameters.unknown", "rejected")
    rule = _added("parameters.unknown", "Unknown parameters", value["message"], schema)
    return _inserted(terms, rule)


def _not_a_url(terms: Contract, value: Any) -> Contract:
    if isinstance(value, str):
        return _noted(terms, "image_url.not_a_url", value)
    space = r"\s*" if terms.assumed("values.whitespace") == "trimmed" else ""
    pattern = f"^{space}(?:[Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"
    urls = {"image_urls": {"items": {"pattern": pattern}}}
    schema = {"properties": {_INPUT: {"properties": urls}}}
    condition = "`image_urls[0]` is no http(s) or data URL"
    rule = _added("image_url.not_a_url", condition, value["message"], schema)
    return _inserted(terms, rule, after="image_urls.element_empty")


def _parameters() -> list[str]:
    """Return the names of all parameters for which null is assumed to count as omitted."""
    top = document("submit-request.json")["properties"]
    return sorted((set(top) | set(top[_INPUT]["properties"])) - {"provider"})


def _null_taken(terms: Contract, value: Any) -> Contract:
    names = _parameters()
    if isinstance(value, Mapping):
        names = [name for name, taken in value.items() if taken == "rejected"]
    if value == "omitted" or not names:
        return terms
    terms = _changed_schemas(terms, lambda node, owner: _without_null(node, owner, names))
    return _noted(terms, "null.optional", value)


def _whitespace(terms: Contract, value: Any) -> Contract:
    if value == "trimmed":
        terms = _changed_schemas(terms, _trimmed)
    return _noted(terms, "values.whitespace", value)


def _format_case(terms: Contract, value: Any) -> Contract:
    if value == "sensitive":
        return terms
    terms = _changed_schemas(terms, _any_case)
    names = {name: name for name in terms.formats} | dict(terms.format_aliases)
    aliases = {form: name for given, name in names.items() for form in _cases(given)}
    extra = {given: name for given, name in aliases.items() if given != name}
    return replace(terms, format_aliases=extra)


def _reorder(terms: Contract, order: Iterable[str]) -> Contract:
    by_id = {rule.id: rule for rule in terms.rules}
    wanted = [name for name in order if name in by_id]
    chosen = iter(wanted)
    rules = (by_id[next(chosen)] if rule.id in wanted else rule for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


# --- changes of a rule's JSON Schema ---------------------------------------------------------


def _walked(node: Any, change: Callable[[Node, str], Node], owner: str = "") -> Any:
    """Rebuild a schema from its leaves up.

    ``change`` gets each object and the name of the parameter that it judges.
    """
    if isinstance(node, list):
        return [_walked(part, change, owner) for part in node]
    if not isinstance(node, Mapping):
        return node
    built = {
        key: {name: _walked(sub, change, name) for name, sub in part.items()}
        if key == "properties"
        else _walked(part, change, owner)
        for key, part in node.items()
    }
    return change(built, owner)


def _without_null(node: Node, owner: str, names: Collection[str]) -> Node:
    """Treat null as a value like any other, for the parameters of these names."""
    if owner not in names:
        return node
    if node.get("not") == {"type": "null"}:
        node.pop("not")
    if isinstance(node.get("type"), list):
        node["type"] = [kind for kind in node["type"] if kind != "null"]
    if "enum" in node:
        node["enum"] = [value for value in node["enum"] if value is not None]
    return node


def _trimmed(node: Node, _owner: str) -> Node:
    """Ignore the space around texts."""
    choices = [node["const"]] if "const" in node else node.get("enum", [])
    texts = [text for text in choices if isinstance(text, str)]
    if texts:
        # JavaScript's strict patterns take no escaped hyphen outside brackets.
        spaced = "|".join(re.escape(text).replace(r"\-", "-") for text in texts if text)
        pattern = rf"^\s*(?:{spaced})\s*$" if spaced else r"^\s*$"
        return {"anyOf": [node, {"type": "string", "pattern": pattern}]}
    return {**node, "pattern": r"\S"} if "minLength" in node else node


def _any_case(node: Node, owner: str) -> Node:
    """Accept the choices of `output_format` in any letter case."""
    if owner == _FORMAT and "enum" in node:
        forms = ([value] if value is None else _cases(value) for value in node["enum"])
        node["enum"] = [form for found in forms for form in found]
    return node


def _cases(text: str) -> list[str]:
    """Return a short text in every mixture of letter cases, the given one first."""
    letters = [dict.fromkeys((letter, letter.lower(), letter.upper())) for letter in text]
    return ["".join(chosen) for chosen in product(*letters)]


# --- the tables ------------------------------------------------------------------------------

# What settings change beside the value of their assumption, in the order in which they are applied:
# those on the schemas of rules go before those that add rules, and the order of the rules is last.
_CHANGES: dict[str, Change] = {
    "output_format.case": _format_case,
    "null.optional": _null_taken,
    "values.whitespace": _whitespace,
    "request_type.missing": _request_type_missing,
    "request_type.unknown": _rule("request_type.invalid"),
    "callback_url.missing": _rule("callback_url.missing"),
    "callback_url.type": _rule("callback_url.not_string"),
    "callback_url.not_https": _not_https,
    "callback.retry_delays": lambda terms, value: replace(
        terms, callbacks=replace(terms.callbacks, retry_delays_ms=tuple(value))
    ),
    "input.not_object": _rule("input.not_object"),
    "error.wording": _errors,
    "body.not_json": _error("invalid_json"),
    "body.not_object": _rule("body.not_object"),
    "body.content_type": _answer_or("body.content_type", CONTENT_TYPE_ERROR, "required", "submit"),
    "parameters.unknown": _unknown_parameters,
    "image_url.not_a_url": _not_a_url,
    "error.data": lambda terms, value: _noted(
        terms, "error.data", None if value == "null" else value
    ),
    "failure.wording": _failures,
    "tiers.pixels": lambda terms, pixels: replace(
        terms, long_edge_px={**terms.long_edge_px, **pixels}
    ),
    "task.other_key": _other_key,
    "task_id.missing": _error("task_id_missing"),
    "latency.distribution": _latency,
    "order": _reorder,
}


def _code(value: Any, terms: Contract) -> Names:
    is_code = isinstance(value, str) and value != "placeholder"
    return "failure code", [value] if is_code else [], terms.failures


# What the names in a setting have to be.
_NAMES: dict[str, Callable[[Any, Contract], Names]] = {
    "null.optional": lambda value, _: (
        "parameter",
        value if isinstance(value, Mapping) else (),
        _parameters(),
    ),
    "error.wording": lambda value, terms: ("error", value, terms.errors),
    "image_url.not_a_url": _code,
    "image.too_large": _code,
    "image.damaged": _code,
    "image.refused": _code,
    "failure.wording": lambda value, terms: ("failure code", value, terms.failures),
    "tiers.pixels": lambda value, terms: ("tier", value, terms.long_edge_px),
    "latency.distribution": lambda value, terms: (
        "tier",
        value.get("factor", {}),
        terms.long_edge_px,
    ),
    "order": lambda value, terms: (
        "rule",
        value,
        [*(rule.id for rule in terms.rules), *_ADDED_RULES],
    ),
}


# --- forms of what a server makes up ---------------------------------------------------------

# What stands for the message in the form of an error's `data`.
_MESSAGE = "$message"
_ABSENT = "absent"
_ALPHABETS = {
    "hex": string.hexdigits[:16],
    "digits": string.digits,
    "alnum": string.ascii_lowercase + string.digits,
}
_PART = re.compile(r"\{(hex|digits|alnum):(\d+)\}")


def error_body(code: int, message: str, data_form: Any) -> dict[str, Any]:
    """Return the envelope of an error.

    Args:
        code: The envelope's code.
        message: Its message.
        data_form: The value of the assumption ``error.data``: None, ``absent`` or a JSON value in
            which the text ``$message`` stands for the message.
    """
    if data_form == _ABSENT:
        return {"code": code, "message": message}
    return {"code": code, "message": message, "data": _filled(data_form, message)}


def _filled(form: Any, message: str) -> Any:
    if isinstance(form, dict):
        return {key: _filled(part, message) for key, part in form.items()}
    if isinstance(form, list):
        return [_filled(part, message) for part in form]
    return message if form == _MESSAGE else form


def shaped_task_id(form: str, number: int) -> str:
    """Return the task id of a 128-bit number in a form of the assumption ``task_id.form``.

    The same number gives the same id; a form with room for fewer ids than numbers takes the
    number's lowest digits.

    Raises:
        ValueError: There is no such form.
    """
    if form == "uuid":
        return str(UUID(int=number))
    pattern = "{hex:32}" if form == "hex32" else form
    if not _PART.search(pattern):
        raise ValueError(
            f"expected hex32, uuid or a pattern such as task_{{digits:12}}, found {form!r}"
        )
    rest = number

    def digits(part: re.Match[str]) -> str:
        nonlocal rest
        alphabet = _ALPHABETS[part[1]]
        made = ""
        for _ in range(int(part[2])):
            rest, digit = divmod(rest, len(alphabet))
            made = alphabet[digit] + made
        return made

    return _PART.sub(digits, pattern)
