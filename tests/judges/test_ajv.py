"""JavaScript users get the same verdicts and messages from the schema: ajv agrees with Python."""

import json
from collections.abc import Iterator
from importlib.resources import as_file, files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from judges.ajv import Judge, Judgement, judging
from support.bodies import BODIES
from support.harness import Harness, make_harness

from apixo_schemas import contract


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    document = files("apixo_schemas") / "v1" / "submit-request.json"
    with as_file(document) as schema, judging(schema) as running:
        yield running


@pytest.fixture(scope="module")
def emulator() -> Iterator[Harness]:
    harness = make_harness()
    yield harness
    harness.emulator.close()


def answered(emulator: Harness, body: Any) -> Judgement:
    """Say what the emulator makes of a body."""
    answer = emulator.call(
        "POST", "/api/v1/generateTask/image-upscaler", raw=json.dumps(body).encode()
    )
    valid = answer.status == 200
    return Judgement(valid=valid, message=None if valid else answer.message)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BODIES)
def test_the_first_message_of_ajv_is_the_answer_of_the_emulator(
    judge: Judge, emulator: Harness, body: Any
) -> None:
    assert judge.judge(body) == answered(emulator, body)


@pytest.mark.slow
def test_ajv_finds_every_rule_of_the_schema(judge: Judge) -> None:
    url = ["https://example.com/input.jpg"]
    bodies: tuple[Any, ...] = (
        [],
        {},
        {"input": 1},
        {"input": {"mode": 1, "image_urls": url}},
        {"input": {}},
        {"input": {"image_urls": "x"}},
        {"input": {"image_urls": []}},
        {"input": {"image_urls": [1]}},
        {"input": {"image_urls": [""]}},
        {"input": {"image_urls": url, "resolution": "1k"}},
        {"input": {"image_urls": url, "output_format": "gif"}},
        {"input": {"image_urls": url}, "request_type": "sync"},
        {"input": {"image_urls": url}, "request_type": "callback"},
        {"input": {"image_urls": url}, "request_type": "callback", "callback_url": 1},
    )
    found = [judge.judge(body).message for body in bodies]
    assert found == [rule.message for rule in contract().rules]
