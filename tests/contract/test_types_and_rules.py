"""The types of the OpenAPI document take and refuse the bodies that the submit rules do.

They promise what is documented. `DIFFERENCES` are the bodies that the API takes beyond that: null and
`callback_url` outside callback mode are assumptions, and an enum of any letter case is no type.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema_rs import validator_for
from support.bodies import BODIES

from apixo_schemas import Profile, apply_profile, contract, openapi_document

TYPES = validator_for(
    {
        "$ref": "#/components/schemas/SubmitRequest",
        "components": openapi_document()["components"],
    }
)
RULES = [validator_for(dict(rule.schema)) for rule in contract().rules]
CASES = {tier.upper(): tier for tier in contract().long_edge_px}
Fields = dict[str, Any]


def follows_the_rules(body: Any) -> bool:
    return all(rule.is_valid(body) for rule in RULES)


def _input(body: Fields) -> Fields:
    given = body.get("input")
    return given if isinstance(given, dict) else {}


def null_is_omitted(body: Fields) -> Fields:
    body = {name: value for name, value in body.items() if value is not None}
    given = {name: value for name, value in _input(body).items() if value is not None}
    return {**body, "input": given} if _input(body) else body


def resolution_has_any_case(body: Fields) -> Fields:
    given = _input(body)
    tier = given.get("resolution")
    if isinstance(tier, str) and tier in CASES:
        return {**body, "input": {**given, "resolution": CASES[tier]}}
    return body


def callback_url_matters_in_callback_mode_alone(body: Fields) -> Fields:
    if body.get("request_type") == "callback":
        return body
    return {name: value for name, value in body.items() if name != "callback_url"}


# What the rules take and types would refuse: each turns a body into one that types take, too.
DIFFERENCES: dict[Callable[[Fields], Fields], Fields] = {
    null_is_omitted: {"input": {"image_urls": ["x"], "resolution": None}},
    resolution_has_any_case: {"input": {"image_urls": ["x"], "resolution": "4K"}},
    callback_url_matters_in_callback_mode_alone: {
        "input": {"image_urls": ["x"]},
        "callback_url": 1,
    },
}


def fits_the_types(body: Any) -> bool:
    if not isinstance(body, dict):
        return TYPES.is_valid(body)
    for apply in DIFFERENCES:
        body = apply(body)
    return TYPES.is_valid(body)


@settings(max_examples=200)
@given(BODIES)
def test_types_and_rules_agree(body: Any) -> None:
    assert fits_the_types(body) == follows_the_rules(body)


@pytest.mark.parametrize("apply", DIFFERENCES)
def test_each_difference_is_one(apply: Callable[[Fields], Fields]) -> None:
    body = DIFFERENCES[apply]
    assert follows_the_rules(body)
    assert not TYPES.is_valid(body)
    assert TYPES.is_valid(apply(body))


@pytest.mark.parametrize("settings", [{}, {"request_type.missing": {"message": "Say how."}}])
def test_nothing_with_a_default_is_required(settings: Fields) -> None:
    terms = apply_profile(contract(), Profile("test", settings))
    schemas = openapi_document(terms=terms)["components"]["schemas"]
    assert ("request_type" in schemas["SubmitRequest"]["required"]) == bool(settings)
    for schema in schemas.values():
        fields = schema.get("properties", {})
        with_default = {name for name, field in fields.items() if "default" in field}
        assert not with_default & set(schema.get("required", ()))
