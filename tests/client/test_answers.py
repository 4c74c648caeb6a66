"""Errors and oddities in answers."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_client import (
    ApiError,
    ApixoError,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    InvalidResponseError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from apixo_schemas import contract

if TYPE_CHECKING:
    from collections.abc import Callable

ONCE: dict[str, Any] = {"retry": RetryPolicy(attempts=1)}
# By the ids of the contract's catalogue.
ERRORS: dict[str, type[ApiError]] = {
    "invalid_json": BadRequestError,
    "unauthorized": AuthenticationError,
    "insufficient_balance": InsufficientBalanceError,
    "forbidden": PermissionDeniedError,
    "task_not_found": NotFoundError,
    "method_not_allowed": MethodNotAllowedError,
    "payload_too_large": PayloadTooLargeError,
    "rate_limited": RateLimitedError,
    "server_error": ServerError,
    "upstream_error": UpstreamError,
    "unavailable": UnavailableError,
    "upstream_timeout": UpstreamTimeoutError,
}


def test_every_documented_status_has_an_exception_of_its_own() -> None:
    # The client never asks for a part of a result, nor sends slow bodies or huge heads.
    never = {"range_not_satisfiable", "request_timeout", "head_too_large"}
    statuses = {entry.status for entry in contract().errors.values() if entry.id not in never}
    assert {contract().errors[name].status for name in ERRORS} == statuses
    assert len(set(ERRORS.values())) == len(ERRORS) == len(statuses)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_carries_what_is_known(service: Any, name: str) -> None:
    entry = contract().errors[name]
    service.refuse(entry.status, entry.message)
    with pytest.raises(ERRORS[name]) as caught:
        service.call("balance", client=ONCE)
    error = caught.value
    assert type(error) is ERRORS[name]
    assert (error.status, error.code, error.message) == (entry.status, entry.status, entry.message)
    assert error.request is not None
    assert error.request.url == service.requests[0].url
    assert error.task is None
    assert entry.advice in str(error)


def test_a_code_in_the_envelope_is_an_error_under_http_200(service: Any) -> None:
    service.answer(httpx.Response(200, json={"code": 402, "message": "empty", "data": None}))
    with pytest.raises(InsufficientBalanceError, match="402: empty") as caught:
        service.call("balance")
    assert (caught.value.status, caught.value.code) == (200, 402)


@pytest.mark.parametrize("code", ["401", 401])
def test_a_code_may_be_text(service: Any, code: Any) -> None:
    service.answer(httpx.Response(200, json={"code": code, "message": "who?"}))
    with pytest.raises(AuthenticationError):
        service.call("balance")


def test_the_http_status_wins_over_the_code(service: Any) -> None:
    service.answer(httpx.Response(400, json={"code": 200, "message": "odd"}))
    with pytest.raises(BadRequestError, match="400: odd") as caught:
        service.call("balance")
    assert (caught.value.status, caught.value.code) == (400, 200)


def test_a_detail_in_data_is_told_beside_the_message(service: Any) -> None:
    body = {"code": 400, "message": "Bad request", "data": {"error": "no input"}}
    service.answer(httpx.Response(400, json=body))
    with pytest.raises(BadRequestError, match="400: Bad request - no input") as caught:
        service.call("balance")
    assert caught.value.message == "Bad request"


def test_an_error_page_is_explained_by_the_contract(service: Any) -> None:
    service.answer(httpx.Response(429, html="<h1>slow</h1>", headers={"Retry-After": "3"}))
    with pytest.raises(RateLimitedError) as caught:
        service.call("balance", client=ONCE)
    assert caught.value.message == contract().errors["rate_limited"].meaning
    assert caught.value.retry_after == 3


def test_a_page_that_is_not_the_api_is_shown_by_its_beginning(service: Any) -> None:
    service.answer(httpx.Response(200, content=b"<html>\xff welcome"))
    with pytest.raises(InvalidResponseError, match=r"api\.test is the API.*<html>. welcome"):
        service.call("balance", client=ONCE)


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_that_the_service_quotes_is_blotted_out(service: Any, status: int) -> None:
    key = "sk-live-0123456789"
    message = f"Invalid API key {key}, or {key}x."
    answers = {
        200: httpx.Response(200, text=key),
        401: httpx.Response(401, json={"message": message}),
    }
    service.answer(answers[status])
    with pytest.raises(ApiError) as caught:
        service.call("balance", client=ONCE)
    assert f"{key}'" not in str(caught.value)
    assert "***" in str(caught.value)
    assert key not in caught.value.message.replace(f"{key}x", "")
    assert key not in repr(caught.value.request)


@pytest.mark.parametrize(
    ("text", "usd"),
    [("74.8700", "74.8700"), ("0.1", "0.1"), ("3", "3"), ("-0.01", "-0.01"), ("1e2", "1E+2")],
)
def test_money_is_exact(service: Any, text: str, usd: str) -> None:
    service.answer(httpx.Response(200, text=f'{{"code":200,"message":"success","data":{text}}}'))
    assert str(service.call("balance")) == usd
    assert service.requests[0].url == "https://api.test/api/v1/apikeys/current-balance"


@pytest.mark.parametrize("data", ["null", '"9"', "true", "{}", "NaN", "1e99999999999999999999"])
def test_a_balance_that_is_no_number_is_an_error(service: Any, data: str) -> None:
    service.answer(httpx.Response(200, text=f'{{"code":200,"message":"success","data":{data}}}'))
    with pytest.raises(InvalidResponseError):
        service.call("balance", client=ONCE)


def test_errors_survive_pickling(service: Any) -> None:
    service.refuse(402, "empty")
    with pytest.raises(InsufficientBalanceError) as caught:
        service.call("balance")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), copy.status) == (type(caught.value), str(caught.value), 402)


texts = st.text() | st.sampled_from(
    ["\ud800", "success", "failed", "200", "{", '{"resultUrls":["u"]}']
)
names = st.sampled_from(
    ["code", "message", "data", "taskId", "state", "resultJson", "resultUrls", "failCode", "error"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | texts, inner)
)
envelopes = st.fixed_dictionaries(
    {"code": st.sampled_from([200, 200, 200, 404])}, optional={"data": values}
)


@given(
    call=st.sampled_from(
        [("submit", "https://x.test/i.jpg"), ("status", "t"), ("balance",), ("wait", "t")]
    ),
    body=(values | envelopes).map(json.dumps).map(str.encode) | st.binary(),
    status=st.sampled_from([200, 200, 200, 201, 204, 302, 400, 404, 429, 500]),
)
def test_any_answer_gives_an_outcome_or_a_documented_error(
    new_service: Callable[[str], Any], call: tuple[str, ...], body: bytes, status: int
) -> None:
    service = new_service("sync")
    service.answer(httpx.Response(status, content=body))
    options = {"timeout": 0} if call[0] == "wait" else {}
    try:
        with service.playing():
            outcome = service.call(*call, client=ONCE, **options)
    except ApixoError as error:
        str(error).encode()
    else:
        assert outcome.is_finite() if isinstance(outcome, Decimal) else repr(outcome).encode()
