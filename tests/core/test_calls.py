"""Authentication, routes, balance: what a caller gets before and beside its tasks."""

from typing import Any

import pytest
from support.harness import KEY, SUBMIT, body, make_harness

from apixo_emulator.domain.accounts import mask, micros, usd
from apixo_emulator.domain.tasks import read_latency

BAD_KEYS = [None, "", "Bearer", "Bearer ", "Bearer    ", "Basic dXNlcjpwYXNz", KEY, "Token " + KEY]


@pytest.mark.parametrize("authorization", BAD_KEYS)
def test_without_a_bearer_key_every_endpoint_answers_401(authorization: str | None) -> None:
    harness = make_harness()
    options: dict[str, Any] = {"key": None, "authorization": authorization}
    answers = [
        harness.submit(**options),
        harness.status("x", **options),
        harness.balance(**options),
    ]
    for answer in answers:
        assert (answer.status, answer.json["code"], answer.data) == (401, 401, None)


def test_the_scheme_is_case_insensitive() -> None:
    assert make_harness().balance(authorization=f"bearer  {KEY} ").status == 200


def test_with_given_keys_only_these_are_accepted() -> None:
    harness = make_harness(api_keys=frozenset({KEY}))
    assert harness.balance().status == 200
    assert harness.balance(key="another").status == 401


def test_the_key_comes_before_the_model_before_the_body_before_the_balance() -> None:
    poor = make_harness(balance_micros=9_999)
    unknown = "/api/v1/generateTask/nano-banana"
    assert poor.call("POST", unknown, raw=b"{", key=None).status == 401
    assert poor.call("POST", unknown, raw=b"{").status == 404
    assert poor.call("POST", SUBMIT, raw=b"{").status == 400
    assert poor.submit().status == 402


def test_a_task_costs_a_cent_whatever_the_tier_and_a_rejected_call_nothing() -> None:
    harness = make_harness()
    for tier in ("2k", "4k", "8k"):
        harness.submitted(body(resolution=tier))
    harness.submit({})
    assert harness.balance().body == b'{"code":200,"message":"success","data":99.9700}'


def test_the_last_cent_can_be_spent_and_no_more() -> None:
    harness = make_harness(balance_micros=20_000)
    assert [harness.submit().status for _ in range(3)] == [200, 200, 402]
    assert harness.balance().data == 0
    assert harness.submit(key="sk-another-key").status == 200


def test_a_task_is_seen_by_its_own_key_and_model_only() -> None:
    harness = make_harness()
    task_id = harness.submitted()
    assert harness.status(task_id).status == 200
    assert harness.status(task_id, key="sk-another-key").status == 404
    other_model = harness.call("GET", "/api/v1/statusTask/nano-banana", query=f"taskId={task_id}")
    assert other_model.status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("taskId=", 400),
        ("taskid=x", 400),
        ("taskId=task_12345678", 404),
        ("taskId=" + "x" * 5000, 404),
        ("taskId=%00", 404),
        ("taskId=%ff%fe", 404),
        ("taskId=%ED%A0%80", 404),
        ("taskId='; DROP TABLE tasks; --", 404),
    ],
)
def test_an_unknown_or_missing_task_id(query: str, status: int) -> None:
    answer = make_harness().call("GET", "/api/v1/statusTask/image-upscaler", query=query)
    assert (answer.status, answer.json["code"]) == (status, status)


def test_the_task_id_is_found_among_other_parameters() -> None:
    harness = make_harness()
    task_id = harness.submitted()
    query = f"model=image-upscaler&taskId={task_id}&t=1"
    assert harness.call("GET", "/api/v1/statusTask/image-upscaler", query=query).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", SUBMIT, 405, "POST"),
        ("DELETE", "/api/v1/apikeys/current-balance", 405, "GET"),
        ("POST", "/api/v1/statusTask/image-upscaler", 405, "GET"),
        ("POST", "/files/x.jpg", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("GET", "/api/v1", 404, None),
        ("POST", "/api/v1/generateTask/", 404, None),
        ("POST", "/api/v1/generateTask/image-upscaler/", 404, None),
        ("GET", "/files/unknown.jpg", 404, None),
        ("GET", "/files/../../etc/passwd", 404, None),
    ],
)
def test_a_call_that_has_no_endpoint(
    method: str, path: str, status: int, allow: str | None
) -> None:
    answer = make_harness().call(method, path)
    assert (answer.status, answer.json["code"]) == (status, status)
    assert answer.headers.get("allow") == allow


def test_public_tools_find_the_model_and_its_schema() -> None:
    harness = make_harness()
    index = harness.call("GET", "/docs/models/schemas/index.json", key=None).json
    assert index["total_models"] == len(index["models"]) == 1
    (model,) = index["models"]
    assert model["model_id"] == "image-upscaler"
    schema = harness.call("GET", f"/docs/{model['schema_path']}", key=None)
    assert schema.json["request_schema"]["allOf"]


def test_a_result_can_be_had_from_success_until_a_day_later() -> None:
    harness = make_harness(duration_ms=1000)
    name = f"/files/{harness.submitted(body(output_format='webp'))}"
    assert harness.call("GET", f"{name}.webp", key=None).status == 404
    harness.clock.advance(1000)
    assert harness.call("GET", f"{name}.webp", key=None).status == 200
    assert harness.call("GET", f"{name}.jpg", key=None).status == 404
    harness.clock.advance(24 * 3600 * 1000 - 1)
    assert harness.call("GET", f"{name}.webp", key=None).status == 200
    harness.clock.advance(1)
    assert harness.call("GET", f"{name}.webp", key=None).status == 404


def test_a_failed_task_has_no_result() -> None:
    harness = make_harness(duration_ms=0)
    task_id = harness.submitted(body(image_urls=["https://a.example/emulate/Timeout.jpg"]))
    assert harness.call("GET", f"/files/{task_id}.jpg").status == 404


@pytest.mark.parametrize(
    ("text", "amount"), [("100", 100_000_000), ("0", 0), ("0.05", 50_000), ("1e2", 100_000_000)]
)
def test_amounts_are_read_exactly(text: str, amount: int) -> None:
    assert micros(text) == amount


@pytest.mark.parametrize("text", ["", "ten", "-1", "0.0000001", "inf", "nan", "1e12", "1,5"])
def test_what_is_no_amount_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected an amount in USD"):
        micros(text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(74_870_000, "74.8700"), (0, "0.0000"), (1, "0.000001"), (990_000, "0.9900")],
)
def test_amounts_are_written_with_four_decimals_or_more(amount: int, text: str) -> None:
    assert usd(amount) == text
    assert micros(text) == amount


@pytest.mark.parametrize(
    ("text", "fixed_ms"), [("fast", 1500), ("Realistic", None), ("0", 0), (" 250 ", 250)]
)
def test_a_latency_is_a_name_or_milliseconds(text: str, fixed_ms: int | None) -> None:
    assert read_latency(text).fixed_ms == fixed_ms


@pytest.mark.parametrize("text", ["", "slow", "-5", "1.5", "86400001", "٣"])
def test_what_is_no_latency_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected fast, realistic or milliseconds"):
        read_latency(text)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sk-0123456789abcd", "sk-…abcd"),
        ("short", "…rt"),
        ("four", "…"),
        ("0123456789abcdef", "…cdef"),
    ],
)
def test_a_key_is_shown_masked(key: str, shown: str) -> None:
    assert mask(key) == shown
