"""The client's view of a task."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from apixo_client import (
    ApixoError,
    AsyncResult,
    InvalidResponseError,
    Result,
    TaskFailed,
    TransportError,
)
from apixo_contract.properties import expected
from apixo_contract.properties.registry import client_property
from apixo_contract.properties.service import Alter, Call, Service

FIELDS = ["state", "failCode", "failMsg", "resultJson", "createTime", "completeTime", "costTime"]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
# A state may come in another case than documented; that it means the same is the client's choice.
states = st.sampled_from(["processing_r2", "queued", "succeeded", "fail", ""]) | st.text().filter(
    lambda text: text.lower() not in {"pending", "processing", "success", "failed"}
)
ends = st.sampled_from(
    ["", "SensitiveContent", "ImageFormatIncorrect", "RateLimited", "Timeout", "UnknownError"]
)

errors = st.fixed_dictionaries(
    {
        "code": st.sampled_from([200, 400, 401, 402, 403, 404, 429, 500, 502, 504]),
        "message": st.text(),
    }
)
MIB = 2**20
long = st.just(b'{"code":200,"data":"%s"}' % (b"x" * MIB))


def with_data(change: dict[str, Any]) -> Alter:
    """Return what changes members of the `data` of polls, and adds others."""

    def alter(call: Call, content: bytes) -> bytes:
        envelope = call_envelope(content)
        if not call.is_poll or not isinstance(envelope.get("data"), dict):
            return content
        envelope["data"] |= change
        return json.dumps(envelope | {"requestId": "r"}).encode()

    return alter


def call_envelope(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    return found if isinstance(found, dict) else {}


@client_property(
    "client.view",
    tasks=1,
    shared=True,
    examples=(200, 15, 4),
    scenario=ends,
    seconds=st.floats(0, 60),
)
def test_the_view_of_a_task_is_the_raw_response(
    service: Service, scenario: str, seconds: float
) -> None:
    """In every state of a task the client's view equals the raw response, field by field."""
    task_id = service.task(scenario)
    service.wait(0 if service.target.have_ended else seconds)
    task = service.client()("status", task_id)
    call = service.one_call
    assert task.id == task_id == call.data["taskId"]
    expected.assert_view(task, call.data)


@client_property(
    "client.tolerance",
    tasks=1,
    shared=True,
    examples=(300, 60, 10),
    state=states | json_values,
    others=st.dictionaries(
        st.sampled_from(FIELDS[1:3] + FIELDS[4:]) | st.text(min_size=1), json_values, max_size=4
    ),
)
def test_what_is_not_documented_is_tolerated(
    service: Service, state: Any, others: dict[str, Any]
) -> None:
    """Unknown fields, states and types are no error, and an unknown state is not the end of a task."""
    task_id = service.task()
    service.alter = with_data({"resultJson": None, **others, "taskId": task_id, "state": state})
    task = service.client()("status", task_id)
    call = service.one_call
    expected.assert_view(task, {**call.data, "resultJson": '{"resultUrls": []}'})
    assert task.is_final is (state in ("success", "failed"))


@client_property(
    "client.fail-code",
    tasks=1,
    shared=True,
    examples=(100, 30, 8),
    code=st.sampled_from(sorted(expected.FAIL_CODES)) | st.text(),
    words=st.text(),
)
def test_every_fail_code_has_its_exception(service: Service, code: str, words: str) -> None:
    """A failed task raises the exception of its fail code with the message of the response."""
    task_id = service.task()
    service.alter = with_data({"state": "failed", "failCode": code, "failMsg": words})
    outcome = service.client().attempt("wait", task_id)
    assert isinstance(outcome.error, TaskFailed)
    assert type(outcome.error) is expected.failure(code)
    assert outcome.error.code == code
    assert outcome.error.task is not None
    assert outcome.error.task.id == task_id
    if words:
        assert outcome.error.message == words


@client_property(
    "client.final",
    tasks=1,
    shared=True,
    examples=(60, 3, 1),
    scenario=ends,
    pauses=st.lists(st.floats(0, 1000), max_size=3),
)
def test_a_final_task_never_changes(service: Service, scenario: str, pauses: list[float]) -> None:
    """A wait ends with the result or the failure of the task, and every later look shows the same."""
    task_id = service.task(scenario)
    client = service.client()
    outcome = client.attempt("wait", task_id)
    final = client("status", task_id)
    assert final.is_final
    if isinstance(outcome.error, TaskFailed):
        assert outcome.error.task == final
    else:
        assert isinstance(outcome.value, Result | AsyncResult)
        assert (outcome.value.task, outcome.value.url) == (final, final.result_urls[0])
    for seconds in pauses:
        # Not every target forgets in time; a real one is not waited for so long.
        service.wait(seconds if service.target.emulator else 0)
        assert client("status", task_id) == final
    calls = len(service.calls)
    again = client.attempt("wait", final)
    assert type(again.error) is type(outcome.error)
    assert len(service.calls) == calls


@client_property(
    "client.answers",
    examples=(300, 60, 10),
    method=st.sampled_from([("balance",), ("status", "task_unknown")]),
    content=st.binary(max_size=60) | (json_values | errors).map(json.dumps).map(str.encode) | long,
)
def test_any_body_gives_a_value_or_a_documented_error(
    service: Service, method: tuple[str, ...], content: bytes
) -> None:
    """Whatever body a response has, the client returns a value or raises the documented error.

    An error may stand in the HTTP status or in `code`; a body of more than 1 MiB is not read.
    """
    # The client masks its key in what a service says.
    assume(service.target.api_key.encode() not in content)
    service.alter = lambda _call, _content: content
    outcome = service.client(retry=expected.ONCE).attempt(*method)
    assert outcome.error is None or isinstance(outcome.error, ApixoError)
    call = service.one_call
    code = call.envelope.get("code")
    if len(content) > MIB:
        assert isinstance(outcome.error, TransportError)
    elif call.status != 200:
        expected.assert_raised(call, outcome.error)
    elif not call.envelope:
        assert type(outcome.error) is InvalidResponseError
    elif type(code) is int and code >= 400:
        expected.assert_raised(call, outcome.error)
