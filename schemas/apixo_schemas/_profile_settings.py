"""The settings of a profile: what each one changes in the contract, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apixo_schemas._profile_rules import (
    ADDED_RULES,
    format_case,
    not_a_url,
    noted,
    null_taken,
    parameters,
    reorder,
    request_type_missing,
    rule_setting,
    unknown_parameters,
    whitespace,
)
from apixo_schemas.contract import Contract, ErrorEntry, Grade

# A kind of name, the names found in a setting, and those there are.
Names = tuple[str, Iterable[str], Iterable[str]]
# Errors that only a profile knows.
CONTENT_TYPE_ERROR = "content_type_unsupported"
OTHER_KEY_ERROR = "task_of_other_key"


@dataclass(frozen=True, slots=True)
class Setting:
    """What one setting does.

    ``names`` gives the names that a value refers to, to be held against those that there are.
    """

    apply: Callable[[Contract, Any], Contract]
    names: Callable[[Any, Contract], Iterable[Names]] = lambda _value, _terms: ()


def _value(name: str) -> Callable[[Contract, Any], Contract]:
    """Make a setting whose value the assumption itself holds."""

    def apply(terms: Contract, value: Any) -> Contract:
        return noted(terms, name, value)

    return apply


def _reworded(entry: ErrorEntry, words: Any) -> ErrorEntry:
    if isinstance(words, str):
        return replace(entry, message=words)
    return replace(entry, **words)


def _errors(terms: Contract, words: Mapping[str, Any]) -> Contract:
    changed = {name: _reworded(terms.errors[name], given) for name, given in words.items()}
    return replace(terms, errors={**terms.errors, **changed})


def _error(error_id: str) -> Callable[[Contract, Any], Contract]:
    """Make a setting that is an error's status, words, or both."""

    def apply(terms: Contract, words: Any) -> Contract:
        return _errors(terms, {error_id: words})

    return apply


def _new_error(terms: Contract, error_id: str, words: Mapping[str, Any], source: str) -> Contract:
    entry = ErrorEntry(
        id=error_id,
        status=words["status"],
        message=words["message"],
        meaning=words["message"],
        advice="Fix the request before retrying",
        grade=Grade.ASSUMED,
        sources=(source,),
    )
    return replace(terms, errors={**terms.errors, error_id: entry})


def _not_https(terms: Contract, value: Any) -> Contract:
    if isinstance(value, str):
        return noted(terms, "callback_url.not_https", value)
    terms = _errors(terms, {"callback_url_not_public": value})
    return noted(terms, "callback_url.not_https", "rejected")


def _content_type(terms: Contract, value: Any) -> Contract:
    if value == "ignored":
        return noted(terms, "body.content_type", value)
    terms = _new_error(terms, CONTENT_TYPE_ERROR, value, "body.content_type")
    return noted(terms, "body.content_type", "required")


def _other_key(terms: Contract, value: Any) -> Contract:
    if value == "not_found":
        return terms
    if isinstance(value, str):
        return noted(terms, "task.other_key", value)
    terms = _new_error(terms, OTHER_KEY_ERROR, value, "task.other_key")
    return noted(terms, "task.other_key", "refused")


def _failures(terms: Contract, messages: Mapping[str, str]) -> Contract:
    changed = {code: replace(terms.failures[code], message=text) for code, text in messages.items()}
    return replace(terms, failures={**terms.failures, **changed})


def _tiers(terms: Contract, pixels: Mapping[str, int]) -> Contract:
    return replace(terms, long_edge_px={**terms.long_edge_px, **pixels})


def _retry_delays(terms: Contract, delays: Iterable[int]) -> Contract:
    return replace(terms, callbacks=replace(terms.callbacks, retry_delays_ms=tuple(delays)))


def _error_data(terms: Contract, value: Any) -> Contract:
    return noted(terms, "error.data", None if value == "null" else value)


def _latency(terms: Contract, value: Mapping[str, Any]) -> Contract:
    shape = terms.assumed("latency.distribution")
    factor = {**shape["factor"], **value.get("factor", {})}
    sigma = value.get("sigma", shape["sigma"])
    terms = replace(terms, typical_latency_ms=value.get("typical_ms", terms.typical_latency_ms))
    return noted(terms, "latency.distribution", {"factor": factor, "sigma": sigma})


def _error_ids(value: Mapping[str, Any], terms: Contract) -> Iterator[Names]:
    yield "error", value, terms.errors


def _codes(value: Mapping[str, Any], terms: Contract) -> Iterator[Names]:
    yield "failure code", value, terms.failures


def _code(value: Any, terms: Contract) -> Iterator[Names]:
    if isinstance(value, str) and value != "placeholder":
        yield "failure code", [value], terms.failures


def _tier_names(value: Mapping[str, Any], terms: Contract) -> Iterator[Names]:
    yield "tier", value, terms.long_edge_px


def _factor_names(value: Mapping[str, Any], terms: Contract) -> Iterator[Names]:
    yield "tier", value.get("factor", {}), terms.long_edge_px


def _null_names(value: Any, _terms: Contract) -> Iterator[Names]:
    if isinstance(value, Mapping):
        yield "parameter", value, parameters()


def _rule_names(value: Iterable[str], terms: Contract) -> Iterator[Names]:
    yield "rule", value, [*(rule.id for rule in terms.rules), *ADDED_RULES]


# In the order in which they are applied: those on the schemas of rules go before those that add
# rules, and the order of the rules is settled last.
SETTINGS: dict[str, Setting] = {
    "output_format.case": Setting(format_case),
    "null.optional": Setting(null_taken, _null_names),
    "values.whitespace": Setting(whitespace),
    "request_type.missing": Setting(request_type_missing),
    "request_type.unknown": Setting(rule_setting("request_type.invalid")),
    "callback_url.missing": Setting(rule_setting("callback_url.missing")),
    "callback_url.type": Setting(rule_setting("callback_url.not_string")),
    "callback_url.not_https": Setting(_not_https),
    "callback.retry_delays": Setting(_retry_delays),
    "input.not_object": Setting(rule_setting("input.not_object")),
    "error.wording": Setting(_errors, _error_ids),
    "body.not_json": Setting(_error("invalid_json")),
    "body.not_object": Setting(rule_setting("body.not_object")),
    "body.limit": Setting(_value("body.limit")),
    "body.content_type": Setting(_content_type),
    "parameters.unknown": Setting(unknown_parameters),
    "image_url.not_a_url": Setting(not_a_url, _code),
    "image.too_large": Setting(_value("image.too_large"), _code),
    "image.damaged": Setting(_value("image.damaged"), _code),
    "image.refused": Setting(_value("image.refused"), _code),
    "validation.status": Setting(_value("validation.status")),
    "error.data": Setting(_error_data),
    "response.content_type": Setting(_value("response.content_type")),
    "cors.preflight": Setting(_value("cors.preflight")),
    "keep_alive.idle": Setting(_value("keep_alive.idle")),
    "retry_after": Setting(_value("retry_after")),
    "failure.wording": Setting(_failures, _codes),
    "failed.charged": Setting(_value("failed.charged")),
    "tiers.pixels": Setting(_tiers, _tier_names),
    "task.other_key": Setting(_other_key),
    "task_id.form": Setting(_value("task_id.form")),
    "task_id.missing": Setting(_error("task_id_missing")),
    "task.retention": Setting(_value("task.retention")),
    "pending.share": Setting(_value("pending.share")),
    "cost_time": Setting(_value("cost_time")),
    "latency.distribution": Setting(_latency, _factor_names),
    "order": Setting(reorder, _rule_names),
}
