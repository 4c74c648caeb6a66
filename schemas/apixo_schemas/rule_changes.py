"""How settings of a profile change the submit rules: their words, schemas, number and order."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from apixo_schemas.contract import Contract, Grade, Rule, document

Node = dict[str, Any]
Change = Callable[[Contract, Any], Contract]
# Rules that only a profile adds.
ADDED_RULES = ("request_type.missing", "image_url.not_a_url", "parameters.unknown")
_INPUT = "input"


def reword_rules(terms: Contract, messages: Mapping[str, str]) -> Contract:
    """Return the contract with other messages, by rule id."""
    rules = (replace(rule, message=messages.get(rule.id, rule.message)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


def parameters() -> list[str]:
    """Return the names of all parameters for which null is assumed to count as omitted."""
    top = document("submit-request.json")["properties"]
    return sorted((set(top) | set(top[_INPUT]["properties"])) - {"provider"})


def _rule(rule_id: str) -> Change:
    """Return a setting that rewords a rule, or removes it with ``accepted``."""

    def apply(terms: Contract, value: Any) -> Contract:
        if value == "accepted":
            kept = tuple(rule for rule in terms.rules if rule.id != rule_id)
            return replace(terms, rules=kept)
        return reword_rules(terms, {rule_id: value["message"]})

    return apply


def _with_rule(
    terms: Contract, rule_id: str, condition: str, value: Any, *, schema: Node, after: str = ""
) -> Contract:
    """Return the contract with one more rule, behind another or at the end."""
    message = value["message"]
    rule = Rule(rule_id, condition, message, schema, grade=Grade.ASSUMED, sources=(rule_id,))
    ids = [known.id for known in terms.rules]
    place = ids.index(after) + 1 if after in ids else len(ids)
    return replace(terms, rules=(*terms.rules[:place], rule, *terms.rules[place:]))


def _request_type_missing(terms: Contract, value: Any) -> Contract:
    if value == "async":
        return terms
    taken = terms.assumed("null.optional")
    counts = taken.get("request_type") if isinstance(taken, Mapping) else taken
    # Null counts as missing, unless a profile takes null for a value.
    not_null: Node = {} if counts == "rejected" else {"not": {"type": "null"}}
    schema = {"required": ["request_type"], "properties": {"request_type": not_null}}
    words, after = "Missing `request_type`", "output_format.invalid"
    return _with_rule(terms, "request_type.missing", words, value, schema=schema, after=after)


def _unknown_parameters(terms: Contract, value: Any) -> Contract:
    if value == "ignored":
        return terms.with_assumption("parameters.unknown", value)
    top = document("submit-request.json")["properties"]
    inner = {"propertyNames": {"enum": sorted(top[_INPUT]["properties"])}}
    schema = {"propertyNames": {"enum": sorted(top)}, "properties": {_INPUT: inner}}
    terms = terms.with_assumption("parameters.unknown", "rejected")
    return _with_rule(terms, "parameters.unknown", "Unknown parameters", value, schema=schema)


def _not_a_url(terms: Contract, value: Any) -> Contract:
    if isinstance(value, str):
        return terms.with_assumption("image_url.not_a_url", value)
    space = r"\s*" if terms.assumed("values.whitespace") == "trimmed" else ""
    pattern = f"^{space}(?:[Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"
    urls = {"image_urls": {"items": {"pattern": pattern}}}
    schema = {"properties": {_INPUT: {"properties": urls}}}
    words, after = "`image_urls[0]` is no http(s) or data URL", "image_urls.element_empty"
    return _with_rule(terms, "image_url.not_a_url", words, value, schema=schema, after=after)


def _null_taken(terms: Contract, value: Any) -> Contract:
    names = parameters()
    if isinstance(value, Mapping):
        names = [name for name, taken in value.items() if taken == "rejected"]
    if value == "omitted" or not names:
        return terms
    terms = _changed_schemas(terms, lambda node, owner: _without_null(node, owner, names))
    return terms.with_assumption("null.optional", value)


def _whitespace(terms: Contract, value: Any) -> Contract:
    if value == "trimmed":
        terms = _changed_schemas(terms, _trimmed)
    return terms.with_assumption("values.whitespace", value)


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


# What settings change, in the order in which they are applied: those on the schemas of rules go
# before those that add rules, and the order of the rules is last.
RULE_CHANGES: dict[str, Change] = {
    "output_format.case": _format_case,
    "null.optional": _null_taken,
    "values.whitespace": _whitespace,
    "request_type.missing": _request_type_missing,
    "request_type.unknown": _rule("request_type.invalid"),
    "callback_url.missing": _rule("callback_url.missing"),
    "callback_url.type": _rule("callback_url.not_string"),
    "input.not_object": _rule("input.not_object"),
    "body.not_object": _rule("body.not_object"),
    "parameters.unknown": _unknown_parameters,
    "image_url.not_a_url": _not_a_url,
    "order": _reorder,
}


# --- changes of a rule's JSON Schema ---------------------------------------------------------


def _changed_schemas(terms: Contract, change: Callable[[Node, str], Node]) -> Contract:
    rules = (replace(rule, schema=_walked(rule.schema, change)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


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
    if owner == "output_format" and "enum" in node:
        forms = ([value] if value is None else _cases(value) for value in node["enum"])
        node["enum"] = [form for found in forms for form in found]
    return node


def _cases(text: str) -> list[str]:
    """Return a short text in every mixture of letter cases, the given one first."""
    letters = [dict.fromkeys((letter, letter.lower(), letter.upper())) for letter in text]
    return ["".join(chosen) for chosen in product(*letters)]
