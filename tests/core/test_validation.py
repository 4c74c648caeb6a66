"""Which message answers which body."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.harness import SUBMIT, Harness, body, make_harness

from apixo_emulator.domain.submission import Refusal, Submission, read_submission
from apixo_schemas import contract, document

MISSING_INPUT = "The required parameter {{input}} is missing."
BAD_MODE = "Invalid mode type. Supported: image-to-image"
MISSING_URLS = "The required parameter {{image_urls}} is missing."
NOT_ARRAY = "The parameter {{image_urls}} must be Array type."
NOT_ONE = "The parameter {{image_urls}} must contain exactly 1 image."
NOT_STRING = "The parameter {{image_urls}} Array elements must be String type."
EMPTY = "The parameter {{image_urls}} cannot contain empty string."
BAD_RESOLUTION = "The parameter {{resolution}} must be either '2k', '4k' or '8k'."
BAD_FORMAT = "The parameter {{output_format}} must be either 'jpg', 'png' or 'webp'."

REJECTED: list[tuple[Any, str]] = [
    ({}, MISSING_INPUT),
    ({"input": None}, MISSING_INPUT),
    ({"request_type": "async"}, MISSING_INPUT),
    (body(mode="text-to-image"), BAD_MODE),
    (body(mode="Image-to-Image"), BAD_MODE),
    (body(mode=""), BAD_MODE),
    (body(mode=1), BAD_MODE),
    (body(mode=["image-to-image"]), BAD_MODE),
    ({"input": {}}, MISSING_URLS),
    (body(image_urls=None), MISSING_URLS),
    (body(image_urls="https://example.com/input.jpg"), NOT_ARRAY),
    (body(image_urls={"0": "https://example.com/input.jpg"}), NOT_ARRAY),
    (body(image_urls=False), NOT_ARRAY),
    (body(image_urls=[]), NOT_ONE),
    (body(image_urls=["https://a.example/1.jpg", "https://a.example/2.jpg"]), NOT_ONE),
    (body(image_urls=[1, 2]), NOT_ONE),
    (body(image_urls=[1]), NOT_STRING),
    (body(image_urls=[None]), NOT_STRING),
    (body(image_urls=[["https://a.example/1.jpg"]]), NOT_STRING),
    (body(image_urls=[""]), EMPTY),
    (body(resolution="16k"), BAD_RESOLUTION),
    (body(resolution=4), BAD_RESOLUTION),
    (body(resolution=""), BAD_RESOLUTION),
    (body(resolution=" 4k"), BAD_RESOLUTION),
    (body(resolution="4k\n"), BAD_RESOLUTION),
    (body(resolution="4\u212a"), BAD_RESOLUTION),  # the Kelvin sign folds to k
    (body(output_format="gif"), BAD_FORMAT),
    (body(output_format="JPG"), BAD_FORMAT),
    (body(output_format=""), BAD_FORMAT),
    (body(output_format=["jpg"]), BAD_FORMAT),
    # assumed
    ([], "The request body must be a JSON object."),
    ("text", "The request body must be a JSON object."),
    (None, "The request body must be a JSON object."),
    ({"input": "text"}, "The parameter {{input}} must be Object type."),
    ({"input": []}, "The parameter {{input}} must be Object type."),
    (
        body() | {"request_type": "sync"},
        "The parameter {{request_type}} must be either 'async' or 'callback'.",
    ),
    (body() | {"request_type": "callback"}, "The required parameter {{callback_url}} is missing."),
    (
        body() | {"request_type": "callback", "callback_url": 1},
        "The parameter {{callback_url}} must be String type.",
    ),
]


@pytest.mark.parametrize(("payload", "message"), REJECTED)
def test_a_broken_body_is_answered_with_its_message_and_costs_nothing(
    payload: Any, message: str
) -> None:
    harness = make_harness()
    answer = (
        harness.submit(payload)
        if payload is not None
        else harness.call("POST", SUBMIT, raw=b"null")
    )
    assert (answer.status, answer.json) == (400, {"code": 400, "message": message, "data": None})
    assert harness.balance().data == 100


@pytest.mark.parametrize(
    ("given", "resolution", "output_format"),
    [
        ({}, "4k", "jpg"),
        ({"mode": "image-to-image"}, "4k", "jpg"),
        ({"mode": None, "resolution": None, "output_format": None}, "4k", "jpg"),
        ({"resolution": "8K", "output_format": "jpeg"}, "8k", "jpg"),
        ({"resolution": "2k", "output_format": "webp"}, "2k", "webp"),
        ({"prompt": "sharp", "extra": {"deep": [1]}}, "4k", "jpg"),
    ],
)
def test_defaults_case_and_alias(given: Any, resolution: str, output_format: str) -> None:
    asked = read_submission(json.dumps(body(**given)).encode())
    assert isinstance(asked, Submission)
    assert (asked.resolution, asked.output_format) == (resolution, output_format)


@pytest.mark.parametrize(
    "more",
    [
        {"provider": "auto"},
        {"request_type": None},
        {"webhook": "https://your-server.com/hook"},
        {"callback_url": 7},  # without effect in async mode
        {"request_type": "callback", "callback_url": "http://127.0.0.1:9000/hook"},
    ],
)
def test_what_clients_in_the_wild_send_is_accepted(more: Any) -> None:
    assert make_harness().submit(body() | more).status == 200


def test_request_type_may_be_left_out() -> None:
    assert (
        make_harness().submit({"input": {"image_urls": ["https://a.example/1.jpg"]}}).status == 200
    )


BROKEN_FIELDS: dict[str, tuple[Any, ...]] = {
    "mode": ("x", 1),
    "image_urls": (None, "x", [], [1], [""], [1, 2]),
    "resolution": ("16k", 4),
    "output_format": ("gif", 1),
}


@pytest.mark.parametrize(
    "names", [*itertools.combinations(BROKEN_FIELDS, 2), *itertools.combinations(BROKEN_FIELDS, 3)]
)
def test_of_several_broken_rules_the_first_of_the_page_wins(names: tuple[str, ...]) -> None:
    order = [rule.message for rule in contract().rules]
    for values in itertools.product(*(BROKEN_FIELDS[name] for name in names)):
        alone = [make_message({name: value}) for name, value in zip(names, values, strict=True)]
        together = make_message(dict(zip(names, values, strict=True)))
        assert together == min(alone, key=order.index)


def make_message(given: dict[str, Any]) -> str:
    refused = read_submission(json.dumps(body(**given)).encode())
    assert isinstance(refused, Refusal)
    return str(json.loads(refused.response.body)["message"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "request_type": st.sampled_from(["async", "callback", "x"]) | JSON,
        "callback_url": JSON,
        "input": JSON
        | st.fixed_dictionaries(
            {},
            optional={
                "mode": st.just("image-to-image") | JSON,
                "image_urls": st.lists(st.text() | JSON, max_size=2) | JSON,
                "resolution": st.sampled_from(["2k", "8K"]) | JSON,
                "output_format": st.sampled_from(["jpg", "jpeg"]) | JSON,
            },
        ),
    },
)
REFERENCE = Draft202012Validator(document("submit-request.json"))


@given(BODIES | JSON)
def test_an_independent_validator_agrees_on_what_is_accepted(payload: Any) -> None:
    asked = read_submission(json.dumps(payload).encode())
    assert isinstance(asked, Submission) == REFERENCE.is_valid(payload)


@pytest.fixture(scope="module")
def shared() -> Iterator[Harness]:
    harness = make_harness()
    yield harness
    harness.emulator.close()


@given(st.binary())
def test_no_bytes_are_too_strange(shared: Harness, raw: bytes) -> None:
    answer = shared.call("POST", SUBMIT, raw=raw)
    assert answer.status in (200, 400)
    assert answer.json["code"] == answer.status


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"input": \xff\xfe}',
        b'{"input": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": NaN}',
        b"\xef\xbb\xbf{}",
        b'{"a": 1e999}',
    ],
)
def test_a_body_that_is_no_json_is_refused(raw: bytes) -> None:
    answer = make_harness().call("POST", SUBMIT, raw=raw)
    assert (answer.status, answer.message) == (400, "The request body must be valid JSON.")
