"""The oracle says what the schemas say, and knows what it is not sure of."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from apixo_contract.bodies import (
    breaking,
    breaks_exactly,
    classics,
    combinable,
    documented_rules,
    exactly,
)
from apixo_contract.oracle import (
    expect,
    expect_text,
    rule_of_message,
)
from apixo_schemas import contract, document

URL = "https://example.com/input.jpg"
SCHEMA = Draft202012Validator(document("submit-request.json"))
ALL_SETS = [rules for size in range(1, 5) for rules in combinable(size)]

# A law of an oracle of fourteen rules shows in few bodies.
few = settings(max_examples=40)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["image-to-image", "other"]) | json_values,
        "image_urls": st.lists(st.sampled_from([URL, "", 4]), max_size=2) | json_values,
        "resolution": st.sampled_from(["2k", "4K", "9k"]) | json_values,
        "output_format": st.sampled_from(["jpg", "jpeg", "JPG"]) | json_values,
        "prompt": json_values,
    },
)
any_body = json_values | st.fixed_dictionaries(
    {},
    optional={
        "request_type": st.sampled_from(["async", "callback", "other"]) | json_values,
        "callback_url": json_values,
        "input": fields | json_values,
    },
)


@few
@given(any_body)
def test_a_body_is_accepted_if_the_schema_as_a_whole_accepts_it(body: Any) -> None:
    assert expect(body).accepted == SCHEMA.is_valid(body)


@few
@given(any_body)
def test_the_broken_rules_are_those_whose_own_schema_fails_in_their_order(body: Any) -> None:
    rules = contract().rules
    own = [r.id for r in rules if not Draft202012Validator(dict(r.schema)).is_valid(body)]
    assert [rule.id for rule in expect(body).broken] == own


@few
@given(breaking(frozenset(), URL))
def test_valid_bodies_are_accepted_without_doubt(body: Any) -> None:
    said = expect(body)
    assert said.accepted
    assert not said.doubts


@few
@given(st.data())
def test_generated_bodies_break_exactly_the_chosen_rules(data: st.DataObject) -> None:
    rules = data.draw(st.sampled_from(ALL_SETS))
    said = expect(data.draw(exactly(rules, URL)))
    assert {rule.id for rule in said.broken} == rules
    assert said.documented == (len(rules) == 1)


@pytest.mark.parametrize("rule", documented_rules())
def test_every_documented_rule_has_bodies_that_break_it_alone(rule: str) -> None:
    bodies = list(classics(rule, URL))
    assert bodies
    assert all(breaks_exactly(body, frozenset({rule})) for body in bodies)
    assert rule_of_message(expect(bodies[0]).broken[0].message) is expect(bodies[0]).winner


@pytest.mark.parametrize(
    ("asked", "doubt"),
    [
        ({"resolution": " 4k"}, "values.whitespace"),
        ({"resolution": "4\u212a"}, "letter case"),
        ({"mode": "IMAGE-to-image"}, "letter case"),
        ({"output_format": "JPG"}, "output_format.case"),
        ({"resolution": None}, "null.optional"),
        ({"image_urls": ["  "]}, "values.whitespace"),
        ({"prompt": "a cat"}, "parameters.unknown"),
    ],
)
def test_what_servers_may_read_differently_is_doubted(asked: dict[str, Any], doubt: str) -> None:
    body = {"request_type": "async", "input": {"image_urls": [URL], **asked}}
    assert doubt in expect(body).doubts


@pytest.mark.parametrize(
    "asked",
    [
        {"resolution": "\uff14k"},
        {"resolution": "4к"},
        {"resolution": ""},
        {"image_urls": [None]},
    ],
)
def test_what_no_server_may_take_is_not_doubted(asked: dict[str, Any]) -> None:
    body = {"request_type": "async", "input": {"image_urls": [URL], **asked}}
    assert expect(body).documented
    assert not expect(body).accepted


@pytest.mark.parametrize("text", ["", "{", "[1,]", '{"a":NaN}', "[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        expect_text(text)
