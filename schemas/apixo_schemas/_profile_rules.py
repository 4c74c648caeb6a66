"""What a profile changes in the rules of the submit body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from apixo_schemas._schema_edits import any_case, cases, trimmed, without_null
from apixo_schemas.contract import Contract, Grade, Rule, document

# Rules that only a profile adds.
ADDED_RULES = ("request_type.missing", "image_url.not_a_url", "parameters.unknown")
_FORMAT = "output_format"
_INPUT = "input"


def noted(terms: Contract, name: str, value: Any) -> Contract:
    """Put a value in the place of an assumption's own."""
    known = terms.assumptions[name]
    settled = replace(known, value=value, choice=f"{value!r}, by the profile in force")
    return replace(terms, assumptions={**terms.assumptions, name: settled})


def reword_rules(terms: Contract, messages: Mapping[str, str]) -> Contract:
    """Give submit rules other messages, by rule id."""
    rules = (replace(rule, message=messages.get(rule.id, rule.message)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


def rule_setting(rule_id: str) -> Callable[[Contract, Any], Contract]:
    """Make a setting that rewords a rule, or takes it away with ``accepted``."""

    def apply(terms: Contract, value: Any) -> Contract:
        if value == "accepted":
            kept = tuple(rule for rule in terms.rules if rule.id != rule_id)
            return replace(terms, rules=kept)
        return reword_rules(terms, {rule_id: value["message"]})

    return apply


def _schemas(terms: Contract, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Contract:
    rules = (replace(rule, schema=change(rule.schema)) for rule in terms.rules)
    return replace(terms, rules=tuple(rules))


def _inserted(terms: Contract, after: str, rule: Rule) -> Contract:
    place = next((n for n, known in enumerate(terms.rules) if known.id == after), -1)
    place = len(terms.rules) if place < 0 else place + 1
    return replace(terms, rules=(*terms.rules[:place], rule, *terms.rules[place:]))


def _new_rule(rule_id: str, condition: str, message: str, schema: Mapping[str, Any]) -> Rule:
    return Rule(rule_id, condition, message, schema, Grade.ASSUMED, (rule_id,))


def request_type_missing(terms: Contract, value: Any) -> Contract:
    """Settle what a body without `request_type` means."""
    if value == "async":
        return terms
    schema = {"required": ["request_type"], "properties": {"request_type": _not_null(terms)}}
    rule = _new_rule("request_type.missing", "Missing `request_type`", value["message"], schema)
    return _inserted(terms, "output_format.invalid", rule)


def _not_null(terms: Contract) -> dict[str, Any]:
    """Give what makes null count as missing, unless a profile takes null for a value."""
    taken = terms.assumptions["null.optional"].value
    rejected = taken == "rejected" or (
        isinstance(taken, Mapping) and taken.get("request_type") == "rejected"
    )
    return {} if rejected else {"not": {"type": "null"}}


def unknown_parameters(terms: Contract, value: Any) -> Contract:
    """Settle whether unknown parameters are ignored."""
    if value == "ignored":
        return noted(terms, "parameters.unknown", value)
    top = document("submit-request.json")["properties"]
    inner = {"propertyNames": {"enum": sorted(top[_INPUT]["properties"])}}
    schema = {"propertyNames": {"enum": sorted(top)}, "properties": {_INPUT: inner}}
    rule = _new_rule("parameters.unknown", "Unknown parameters", value["message"], schema)
    terms = noted(terms, "parameters.unknown", "rejected")
    return replace(terms, rules=(*terms.rules, rule))


def not_a_url(terms: Contract, value: Any) -> Contract:
    """Settle what an image URL that is no URL does: the task fails, or the submit is refused."""
    if isinstance(value, str):
        return noted(terms, "image_url.not_a_url", value)
    space = r"\s*" if terms.assumed("values.whitespace") == "trimmed" else ""
    pattern = f"^{space}(?:[Hh][Tt][Tt][Pp][Ss]?://|[Dd][Aa][Tt][Aa]:)"
    urls = {"image_urls": {"items": {"pattern": pattern}}}
    schema = {"properties": {_INPUT: {"properties": urls}}}
    condition = "`image_urls[0]` is no http(s) or data URL"
    rule = _new_rule("image_url.not_a_url", condition, value["message"], schema)
    return _inserted(terms, "image_urls.element_empty", rule)


def null_taken(terms: Contract, value: Any) -> Contract:
    """Settle whether null counts as omitted, for all parameters or some."""
    names = parameters()
    if isinstance(value, Mapping):
        names = [name for name, taken in value.items() if taken == "rejected"]
    if value == "omitted" or not names:
        return terms
    terms = _schemas(terms, lambda schema: without_null(schema, names))
    return noted(terms, "null.optional", value)


def parameters() -> list[str]:
    """Give the names of all parameters for which null is assumed to count as omitted."""
    top = document("submit-request.json")["properties"]
    return sorted((set(top) | set(top[_INPUT]["properties"])) - {"provider"})


def whitespace(terms: Contract, value: Any) -> Contract:
    """Settle whether values are trimmed."""
    if value == "trimmed":
        terms = _schemas(terms, trimmed)
    return noted(terms, "values.whitespace", value)


def format_case(terms: Contract, value: Any) -> Contract:
    """Settle whether `output_format` is case-insensitive."""
    if value == "sensitive":
        return terms
    terms = _schemas(terms, lambda schema: any_case(schema, _FORMAT))
    names = {name: name for name in terms.formats} | dict(terms.format_aliases)
    aliases = {form: name for given, name in names.items() for form in cases(given)}
    extra = {given: name for given, name in aliases.items() if given != name}
    return replace(terms, format_aliases=extra)


def reorder(terms: Contract, order: Iterable[str]) -> Contract:
    """Give the rules in another order; rules that it leaves out keep their places."""
    by_id = {rule.id: rule for rule in terms.rules}
    wanted = [name for name in order if name in by_id]
    chosen = iter(wanted)
    rules = (by_id[next(chosen)] if rule.id in wanted else rule for rule in terms.rules)
    return replace(terms, rules=tuple(rules))
