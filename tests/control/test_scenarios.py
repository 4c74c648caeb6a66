"""Failures on demand: by magic URL and by rule, on submits, polls, callbacks and answers."""

import json
from typing import Any

import pytest
from support.harness import START_MS, Harness, body, make_harness

from apixo_emulator.service.callbacks import Reply
from apixo_emulator.service.control import ConflictError
from apixo_schemas import contract

HOOK = "http://127.0.0.1:9000/hook"
REFUSALS = (400, 402, 429, 503)


def magic(name: str) -> dict[str, Any]:
    return body(image_urls=[f"https://example.com/emulate/{name}.jpg"])


def with_callback(name: str) -> dict[str, Any]:
    return {**magic(name), "request_type": "callback", "callback_url": HOOK}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_submit_has_its_envelope_and_costs_nothing(status: int) -> None:
    harness = make_harness()
    answer = harness.submit(magic(f"http-{status}"))
    assert answer.status == answer.json["code"] == status
    assert ("retry-after" in answer.headers) == (status == 429)
    assert harness.balance().data == 100
    assert harness.operator.tasks() == []


@pytest.mark.parametrize("status", REFUSALS)
def test_two_failing_polls_then_normal(status: int) -> None:
    harness = make_harness(duration_ms=0)
    task_id = harness.submitted(magic(f"status-http-{status}-twice"))
    assert [harness.status(task_id).status for _ in range(3)] == [status, status, 200]
    assert harness.status(task_id).data["state"] == "success"


def test_invalid_json_is_no_json_and_a_gateway_s_page_is_html() -> None:
    harness = make_harness()
    broken = harness.submit(magic("invalid-json"))
    assert broken.status == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(broken.body)
    page = harness.submit(magic("html-502"))
    assert (page.status, page.headers["content-type"]) == (502, "text/html")
    assert b"<html>" in page.body
    assert len(harness.operator.tasks()) == 1


def states(harness: Harness, task_id: str, at_ms: tuple[int, ...]) -> list[Any]:
    found = []
    for instant in at_ms:
        harness.operator.advance(START_MS + instant - harness.operator.now())
        found.append(harness.status(task_id).json)
    return found


def test_an_unknown_state_lasts_while_the_task_is_processing() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted(magic("state-unknown"))
    found = states(harness, task_id, (0, 500, 1000))
    assert [answer["data"]["state"] for answer in found] == [
        "pending",
        "processing_r2",
        "success",
    ]


def test_data_is_missing_until_the_end() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted(magic("data-missing"))
    found = states(harness, task_id, (500, 1000))
    assert found[0] == {"code": 200, "message": contract().success_message}
    assert found[1]["data"]["state"] == "success"


def test_cost_time_may_be_missing_and_fields_may_be_more() -> None:
    harness = make_harness(duration_ms=0)
    assert "costTime" not in harness.status(harness.submitted(magic("no-cost-time"))).data
    answer = harness.submit(magic("extra-fields"))
    task_id = answer.data["taskId"]
    assert len(answer.data) > 1
    assert len(harness.status(task_id).data) > 6


def due(harness: Harness, at_ms: int) -> list[bytes]:
    """Advance to an instant, make the callbacks that are due, and give their bodies."""
    harness.operator.advance(START_MS + at_ms - harness.operator.now())
    bodies = []
    while calls := harness.emulator.callbacks.claim(10):
        for call in calls:
            bodies.append(call.body)
            assert harness.emulator.callbacks.record([(call, Reply(1, status=200))]) == [True]
    return bodies


def test_callbacks_can_be_lost_doubled_late_early_and_malformed() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    lost = harness.submitted(with_callback("callback-lost"))
    assert due(harness, 10**6) == []
    assert harness.operator.delivery(lost)["state"] == "exhausted"
    harness.operator.redeliver(lost)
    assert len(due(harness, 10**6)) == 1

    harness.operator.reset()
    harness.submitted(with_callback("callback-duplicate"))
    one, other = due(harness, 1000)
    assert one == other

    harness.operator.reset()
    harness.submitted(with_callback("callback-late-5"))
    assert due(harness, 5999) == []
    assert len(due(harness, 6000)) == 1

    harness.operator.reset()
    harness.submitted(with_callback("callback-malformed"))
    (cut,) = due(harness, 1000)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(cut)


def test_a_callback_may_come_before_polls_see_the_end() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted(with_callback("callback-before-done"))
    (early,) = due(harness, 1000)
    told = json.loads(early)["data"]
    assert told["state"] == "success"
    assert harness.status(task_id).data["state"] == "processing"
    harness.operator.advance(2000)
    assert harness.status(task_id).data == told


def test_a_rule_decides_for_the_next_calls_and_then_no_more() -> None:
    harness = make_harness(duration_ms=0)
    harness.operator.add_scenario({"scenario": "SensitiveContent", "times": 2})
    codes = [harness.status(harness.submitted()).data.get("failCode") for _ in range(3)]
    assert codes == ["SensitiveContent", "SensitiveContent", None]
    (rule,) = harness.operator.scenarios()
    assert (rule["used"], rule["seen"]) == (2, 3)


def test_the_first_rule_that_matches_wins_and_the_journal_says_why() -> None:
    harness = make_harness(duration_ms=0)
    eight_k = {"scenario": "Timeout", "match": {"resolution": "8k"}}
    rules = [
        harness.operator.add_scenario(rule)["id"]
        for rule in (eight_k, {"scenario": "RateLimited", "times": 1}, {"scenario": "stuck"})
    ]
    codes = [harness.status(harness.submitted()).data.get("failCode") for _ in range(2)]
    assert codes == ["RateLimited", None]
    submits = [entry for entry in harness.operator.requests() if entry.endpoint == "submit"]
    assert [entry.rule for entry in submits] == [rules[1], rules[2]]
    assert [rule for rule, _ in submits[1].why_not] == rules[:2]
    assert "8k" in submits[1].why_not[0][1]
    assert "1 of 1" in submits[1].why_not[1][1]


def test_an_intervention_rewrites_the_future_and_never_the_past() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    first, second = harness.submitted(with_callback("slow-60")), harness.submitted(body())
    assert harness.operator.finish(first)["state"] == "success"
    assert len(due(harness, 0)) == 1
    found = harness.operator.finish(second, fail_code="nsfw", fail_msg="No.")
    assert (found["state"], found["failCode"], found["failMsg"]) == ("failed", "nsfw", "No.")
    assert harness.status(second).data["failCode"] == "nsfw"
    with pytest.raises(ConflictError, match="has ended"):
        harness.operator.finish(second)
