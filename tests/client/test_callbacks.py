"""Reading callbacks: what is one becomes a task, and all else one kind of error."""

from __future__ import annotations

import json
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_client import ApixoError, CallbackError, Task, TaskState, parse_callback
from apixo_schemas import document

SUCCESS: dict[str, Any] = document("callback.json")["examples"][0]
FAILED: dict[str, Any] = document("callback.json")["examples"][1]
URL = "https://file.apixo.ai/upscaled-image.jpg"
LIMIT = 1024 * 1024


def raw(payload: Any) -> bytes:
    return json.dumps(payload).encode()


@pytest.mark.parametrize("form", [raw, json.dumps, dict, MappingProxyType])
def test_a_success_is_read_in_every_form_that_frameworks_give(form: Any) -> None:
    done = parse_callback(form(SUCCESS))
    assert done == Task(
        "task_12345678",
        state=TaskState.SUCCESS,
        result_urls=(URL,),
        create_time=1767965610929,
        complete_time=1767965652317,
        cost_time=41388,
    )


def test_results_may_come_as_an_object() -> None:
    data = {**SUCCESS["data"], "resultJson": {"resultUrls": [URL]}}
    assert parse_callback(raw({"data": data})).result_urls == (URL,)
    assert parse_callback({"data": MappingProxyType(data)}).result_urls == (URL,)


def test_unknown_fields_states_and_codes_are_survived() -> None:
    data = {**FAILED["data"], "failCode": "NEW_CODE", "more": {"x": 1}}
    assert parse_callback({"data": data, "extra": 1}).fail_code == "NEW_CODE"
    odd = parse_callback({"data": {"taskId": "t", "state": "processing_r2"}})
    assert (odd.state, odd.is_final) == ("processing_r2", False)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expected a JSON object, found none"),
        (b"{", "expected a JSON object, found none"),
        (b"\xff", "expected a JSON object, found none"),
        (b"[]", "expected a JSON object, found a value of type list"),
        (b"{}", "expected an object under `data`, found none"),
        (b'{"data": 7}', "expected an object under `data`, found a value of type int"),
        (b'{"data": {}}', "expected a text under `data.taskId`, found none"),
        (b'{"data": {"taskId": ""}}', "expected a text under `data.taskId`, found none"),
        (b'{"data": {"taskId": " "}}', "expected a text under `data.taskId`, found none"),
        (b'{"data": {"taskId": 1}}', "expected a text under `data.taskId`, found a value of type"),
        (b" " * (LIMIT + 1), "expected a callback of at most 1048576 bytes, found more"),
        (" " * (LIMIT + 1), "expected a callback of at most 1048576 bytes, found more"),
    ],
)
def test_what_is_no_callback_is_said_in_words(body: bytes | str, words: str) -> None:
    with pytest.raises(CallbackError) as caught:
        parse_callback(body)
    assert str(caught.value).startswith(words)
    assert isinstance(caught.value, ApixoError)


def test_the_longest_callback_is_read() -> None:
    assert parse_callback(raw(SUCCESS).ljust(LIMIT)).id == "task_12345678"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["taskId", "state", "resultJson", "failCode", "failMsg", "createTime", "costTime"]
NEARLY = st.dictionaries(st.sampled_from(FIELDS), JSON).map(
    lambda fields: {"data": {"taskId": "t", "state": "success", **fields}}
)


@given(st.binary() | st.text() | st.builds(raw, JSON | NEARLY) | JSON | NEARLY)
def test_anything_is_a_task_or_the_one_error(body: Any) -> None:
    with suppress(CallbackError):
        task = parse_callback(body)
        assert task.id
        # It can be shown, stored and compared.
        assert repr(task).encode()
        assert hash(task) == hash(parse_callback(body))


@given(st.integers(1, 200_000), st.sampled_from(["[", '{"data":', '{"data":{"taskId":"t","x":[']))
def test_deep_nesting_is_survived(depth: int, opening: str) -> None:
    with suppress(CallbackError):
        parse_callback((opening * depth)[:LIMIT])
