"""Verification: were the calls made that were expected, and if not, what came nearest?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.harness import BALANCE, KEY, Harness, body, make_harness

from apixo_emulator.journal.verify import (
    Expectation,
    Verification,
    expectation_schema,
    filter_of,
    verify,
)

OTHER_KEY = "sk-other-987654321zzzz"


@pytest.fixture
def harness() -> Harness:
    """A journal: #1 a submit, #2 one in 2k as webp, #3 a refused one, #4 a poll, #5 a balance."""
    harness = make_harness()
    task_id = harness.submitted()
    harness.submit(
        body(resolution="2K", output_format="webp", image_urls=["https://cdn.example/a/b.png?v=1"]),
        key=OTHER_KEY,
    )
    harness.submit({"request_type": "callback", "input": {}})
    harness.extra = [(b"x-request-id", b"abc-123"), (b"x-tenant", b"blue")]
    harness.status(task_id)
    harness.extra = []
    harness.call("GET", BALANCE)
    return harness


def verified(harness: Harness, **expected: Any) -> Verification:
    found: Verification = harness.operator.verify(Expectation(**expected))
    return found


def test_the_nearest_call_is_named_with_what_differs(harness: Harness) -> None:
    found = verified(harness, call="submit", resolution="8k", exactly=1)
    assert not found
    assert (
        found.words
        == str(found)
        == (
            "expected exactly 1 submit with resolution 8k, found 0 of 3 submits;"
            " nearest: #3 resolution is 4k (the default), wants 8k"
        )
    )
    assert [near.entry.number for near in found.nearest] == [3, 2, 1]
    assert found.nearest[1].differences == ("resolution is 2k, wants 8k",)


def test_met_it_says_which_calls_met_it(harness: Harness) -> None:
    found = verified(harness, call="submit", resolution="2k", exactly=1)
    assert found
    assert found.words == (
        "as expected, exactly 1 submit with resolution 2k: found 1 of 3 submits: #2"
    )
    assert [entry.number for entry in found.matching] == [2]
    assert found.nearest == ()
    assert found.to_json() == {"met": True, "words": found.words, "matching": [2], "nearest": []}


def test_the_fewest_differences_are_the_nearest(harness: Harness) -> None:
    found = verified(harness, call="submit", output_format="webp", resolution="2k", status=400)
    assert found.nearest[0].entry.number == 2
    assert found.words.endswith("nearest: #2 status is 200, wants 400")
    assert verified(harness, call="file").words == (
        "expected at least 1 file call, found 0 of 0 file calls;"
        " nearest: #5 it is a balance call, wants file"
    )


@pytest.mark.parametrize(
    ("expected", "numbers"),
    [
        ({"call": "submit"}, [1, 2, 3]),
        ({}, [1, 2, 3, 4, 5]),
        ({"resolution": "4K", "call": "submit"}, [1, 3]),
        ({"output_format": "webp"}, [2]),
        ({"output_format": "jpeg"}, [1, 3]),
        ({"request_type": "callback"}, [3]),
        ({"image_url": "https://cdn.example/*/b.png?v=1"}, [2]),
        ({"image_url": "*.jpg"}, [1]),
        ({"key": KEY}, [1, 3, 4, 5]),
        ({"key": "sk-…zzzz"}, [2]),
        ({"key": OTHER_KEY}, [2]),
        ({"key": "zzzz"}, []),
        ({"status": 400}, [3]),
        ({"message": "*{{image_urls}}*"}, [3]),
        ({"broken_rule": "image_urls.missing"}, [3]),
        ({"headers": {"X-Request-Id": "abc-*"}}, [4]),
        ({"headers": {"x-tenant": "*"}}, [4]),
        ({"path": "*/current-balance"}, [5]),
        ({"task_id": "nothing"}, []),
        ({"scenario": "stuck"}, []),
    ],
)
def test_each_field_picks_its_calls(
    harness: Harness, expected: dict[str, Any], numbers: list[int]
) -> None:
    found = verified(harness, **expected, exactly=len(numbers))
    assert [entry.number for entry in found.matching] == numbers, found.words
    assert found
    picked = [
        entry for entry in harness.operator.requests() if Expectation(**expected).matches(entry)
    ]
    assert [entry.number for entry in picked] == numbers


def test_scenarios_and_rules_can_be_asked_for() -> None:
    harness = make_harness()
    rule = harness.operator.add_scenario({"scenario": "http-429", "times": 1})
    harness.submit()
    harness.submit(body(image_urls=["https://x.example/emulate/stuck.png"]))
    assert verified(harness, scenario="http-429", rule=rule["id"], status=429, exactly=1)
    assert verified(harness, scenario="stuck", exactly=1)


def test_a_header_that_is_secret_is_not_told_by_what_differs(harness: Harness) -> None:
    found = verified(harness, call="status", headers={"x-tenant": "red"})
    assert found.words.endswith("header x-tenant is kept secret, only * can be asked of it")
    missing = verified(harness, call="balance", headers={"x-tenant": "red"})
    assert missing.words.endswith("header x-tenant is missing, wants red")


def test_an_empty_journal_and_one_that_has_forgotten_say_so() -> None:
    assert verify([], Expectation(call="submit", at_least=2)).words == (
        "expected at least 2 submits, found 0 of 0 submits"
    )
    harness = make_harness()
    for _ in range(3):
        harness.submit()
    late = harness.operator.requests(after=2)
    assert verify(late, Expectation(exactly=3)).words == (
        "expected exactly 3 calls, found 1 of 1 call: #3;"
        " the journal no longer holds 2 calls before #3"
    )


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(["2k", "4k", "8k"]), max_size=6),
    st.dictionaries(st.sampled_from(["at_least", "at_most"]), st.integers(0, 4)),
)
def test_it_is_met_exactly_where_the_count_is_in_bounds(
    resolutions: list[str], bounds: dict[str, Any]
) -> None:
    least = bounds.get("at_least", 0 if "at_most" in bounds else 1)
    most = bounds.get("at_most", 1000)
    if least > most:
        with pytest.raises(ValueError, match="contradict"):
            Expectation(**bounds)
        return
    harness = make_harness()
    for resolution in resolutions:
        harness.submit(body(resolution=resolution))
    found = harness.operator.verify({"resolution": "8k", "count": dict(bounds) or None})
    count = resolutions.count("8k")
    assert found.met == (least <= count <= most)
    assert len(found.matching) == count
    others = len(resolutions) - count
    assert len(found.nearest) == (min(3, others) if count < least else 0)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"resolutoin": "8k"}, "Did you mean resolution?"),
        ({"count": {"exact": 1}}, "Did you mean exactly?"),
        ({"count": {"exactly": 1, "at_most": 2}}, "count: exactly: expected alone"),
        ({"count": {"at_least": 3, "at_most": 2}}, "contradict each other"),
        ({"count": -1}, "count: expected a number of calls"),
        ({"count": True}, "found true"),
        ({"count": {"exactly": -1}}, "exactly: expected a number from 0"),
        ({"count": {"at_least": 10**7}}, "at_least: expected a number from 0"),
        ({"count": {}}, "count: expected a number of calls, or a table"),
        ({"call": "submt"}, "Did you mean submit?"),
        ({"status": "400"}, "status: expected an HTTP status from 100 to 599"),
        ({"headers": {"x": 5}}, "headers.x: expected a text"),
        ({"headers": []}, "headers: expected a table"),
        ({"key": ""}, "key: expected a key"),
        ([], "expected an expectation, a table"),
        ("submit", "found 'submit'"),
        (None, "found null"),
    ],
)
def test_what_is_no_expectation_is_told_with_the_nearest_name(document: Any, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as raised:
        verify([], document)
    assert words in str(raised.value)


def test_the_published_schema_is_one_and_takes_what_is_documented() -> None:
    schema = expectation_schema()
    Draft202012Validator.check_schema(schema)
    takes = Draft202012Validator(schema).is_valid
    whole = {
        "count": {"exactly": 1},
        "call": "submit",
        "resolution": "8k",
        "output_format": None,
        "image_url": "https://*",
        "request_type": "async",
        "key": "sk-…abcd",
        "status": 400,
        "message": "*",
        "task_id": "x",
        "headers": {"x-request-id": "*"},
        "rule": "file-1",
    }
    assert takes(whole)
    assert Expectation.from_json(whole).exactly == 1
    assert Expectation.from_json({"count": 2}) == Expectation(exactly=2)
    assert set(schema["properties"]) >= set(whole)
    assert not takes({"nonsense": 1})


def test_a_filter_is_read_from_a_query(harness: Harness) -> None:
    picked = filter_of({"call": "submit", "status": "400"})
    numbers = [entry.number for entry in harness.operator.requests() if picked.matches(entry)]
    assert numbers == [3]
    with pytest.raises(ValueError, match="Did you mean status"):
        filter_of({"statsu": "400"})
    with pytest.raises(ValueError, match="status: expected an HTTP status"):
        filter_of({"status": "four"})


def test_bodies_that_are_no_submits_are_told_apart() -> None:
    harness = make_harness()
    for raw in (
        b"no json",
        b"[]",
        b'{"input": 5, "resolution": 8}',
        b'{"input": {"image_urls": 5}}',
    ):
        harness.call("POST", "/api/v1/generateTask/image-upscaler", raw=raw)
    found = verified(harness, call="submit", resolution="8k", image_url="*")
    differences = {near.entry.number: near.differences[0] for near in found.nearest}
    assert differences == {
        4: "resolution is 4k (the default), wants 8k",
        3: "resolution is 8, wants 8k",
        2: "resolution is missing, wants 8k",
    }
