"""Rules in their JSON form: what they ask for, and what is said of wrong ones."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from jsonschema import Draft202012Validator

from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.problems import DocumentError
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.rules import Match, Rule, rule_of, rule_to_json
from apixo_emulator.scenarios.schema import scenario_file_schema
from apixo_schemas import contract
from scenarios.documents import RULES

FILES = Draft202012Validator(scenario_file_schema())


def effects_of(plan: dict[str, Any]) -> Effects:
    return rule_of({"plan": plan}, "r").effects


@settings(max_examples=50)
@given(RULES)
@example({"plan": {"callback": {"copies": 1}}})
@example({"scenario": "no-cost-time", "plan": {"callback": {"copies": 1}}})
def test_what_is_written_is_read_back_the_same(document: dict[str, Any]) -> None:
    assert FILES.is_valid({"rule": [document]})
    rule = rule_of(document, "r")
    again = json.loads(json.dumps(rule_to_json(rule)))
    assert FILES.is_valid({"rule": [again]})
    assert rule_of(again, "r") == rule
    assert rule_to_json(rule_of(again, "r")) == again
    # Effects are kept as JSON beside a task, without what is ordinary.
    kept = json.loads(json.dumps(rule.effects.to_json()))
    assert Effects.from_json(kept) == rule.effects
    assert Effects("none").to_json() == {"name": "none"}


def test_a_rule_in_full() -> None:
    rule = rule_of(
        {
            "name": "first 8k is slow",
            "times": 2,
            "scenario": ["CALLBACK-LATE-1.5", "no-cost-time"],
            "match": {
                "image_url": "https://*/cat*.jpg",
                "resolution": "8k",
                "output_format": "webp",
                "key": "sk-abc*",
                "headers": {"X-Test": "a*"},
                "call": [3, 1],
                "probability": 0.1,
            },
            "plan": {
                "pending_ms": 100,
                "processing_ms": 2000,
                "fail_code": "X",
                "fail_msg": "No.",
                "wire": "reset",
                "callback": {"copies": 2, "malformed": True},
                "answers": ["state-unknown"],
                "status": {"fault": "http-500", "times": 2},
            },
        },
        "7",
    )
    match = Match(
        image_url="https://*/cat*.jpg",
        resolution="8k",
        output_format="webp",
        key="sk-abc*",
        headers=(("x-test", "a*"),),
        calls=(1, 3),
        probability=0.1,
    )
    effects = Effects(
        "first 8k is slow",
        failure=("X", "No."),
        duration=Duration(total_ms=2100, pending_ms=100),
        submit_fault=Fault(wire=WireFault.RESET),
        status_fault=Fault("server_error"),
        status_fault_times=2,
        callback=CallbackEffects(copies=2, late_ms=1500, malformed=True),
        quirks=frozenset({Quirk.NO_COST_TIME, Quirk.STATE_UNKNOWN}),
    )
    assert rule == Rule("7", "first 8k is slow", effects, match, 2)


@pytest.mark.parametrize(
    ("plan", "effects"),
    [
        ({"pending_ms": 5}, Effects("plan", duration=Duration(pending_ms=5))),
        ({"processing_ms": 5}, Effects("plan", duration=Duration(total_ms=5, pending_ms=0))),
        ({"duration": 5.0}, Effects("plan", duration=Duration(total_ms=5))),
        (
            {"duration": {"median_ms": 41_000, "sigma": 0.25}},
            Effects("plan", duration=Duration(median_ms=41_000, sigma=0.25)),
        ),
        ({"outcome": "success"}, Effects("plan", succeed=True)),
        ({"outcome": "failed"}, Effects("plan", failure=("Unknown error", "Unknown error."))),
        ({"fail_msg": "No."}, Effects("plan", failure=("Unknown error", "No."))),
        (
            {"fail_code": "Timeout"},
            Effects("plan", failure=("Timeout", contract().failures["Timeout"].message)),
        ),
        (
            {"http": {"status": 503, "retry_after_s": 3}},
            Effects("plan", submit_fault=Fault("unavailable", retry_after_s=3)),
        ),
        (
            {"callback": {"before_done_ms": 5}},
            Effects("plan", callback=CallbackEffects(poll_lag_ms=5)),
        ),
    ],
    ids=str,
)
def test_what_plans_stand_for(plan: dict[str, Any], effects: Effects) -> None:
    assert effects_of(plan) == effects


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "expected a rule with a scenario or a plan; found neither."),
        (
            {"scenario": "stuck", "tims": 2},
            (
                "tims: expected one of the keys name, times, scenario, match, plan; found 'tims'."
                " Did you mean times?"
            ),
        ),
        (
            {"scenario": "stuck", "times": "2"},
            "times: expected an integer from 1 to 1000000; found '2'.",
        ),
        (
            {"plan": {"fail_code": "X", "fail_msg": "a\0b"}},
            r"plan.fail_msg: expected a text that UTF-8 can write, without NUL; found 'a\x00b'.",
        ),
        ({"scenario": ["stuck", 5]}, "scenario[1]: expected a scenario; found 5."),
        (
            {"scenario": "slow-3", "match": {"resolution": "8K"}},
            "match.resolution: expected one of 2k, 4k, 8k; found '8K'. Did you mean 8k?",
        ),
        (
            {"scenario": "slow-3", "match": {"probability": float("nan")}},
            "match.probability: expected a finite number, found nan.",
        ),
        (
            {"scenario": "slow-3", "match": {"headers": {"x-a": "1", "X-A": "2"}}},
            "match.headers: expected each header once; found one in two spellings.",
        ),
        (
            {"plan": {"http": {"retry_after_s": 1}}},
            "plan.http: expected a table with at least one of status, retry_after_s; status is missing.",
        ),
        (
            {"plan": {"duration": 5, "processing_ms": 5}},
            "plan.duration: expected either duration or processing_ms, found both.",
        ),
        (
            {"plan": {"fail_code": "X"}},
            "plan.fail_code: expected fail_msg beside it, as 'X' is none of the documented codes: ",
        ),
        (
            {"plan": {"pending_ms": 86_400_000, "processing_ms": 1}},
            "plan.processing_ms: expected at most 86400000 with pending_ms, found 86400001.",
        ),
        (
            {"plan": {"duration": 5, "pending_ms": 6}},
            "plan: plan cannot happen: a task is not pending for longer than it takes.",
        ),
        (
            {"scenario": "slow-3", "plan": {"duration": 4}},
            "plan: slow-3 and plan contradict each other: both set how long the task takes. Leave one of them out.",
        ),
        ({"scenario": ["slow-3", "slow-4"]}, "scenario: slow-3 and slow-4 contradict each other: "),
        (
            {"scenario": ["stuck", "Slow-86401"]},
            "scenario[1]: Scenario 'Slow-86401' is too slow: expected at most 86400 seconds.",
        ),
        (
            {"scenario": "stuck", "name": {1, 2}},
            "name: expected a text, a number, true, false, a list or a table; found ",
        ),
    ],
    ids=str,
)
def test_a_wrong_rule_says_where_what_was_expected_and_what_was_found(
    document: Any, said: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        rule_of(document, "r")
    (line,) = str(caught.value).splitlines()
    assert line == said or (said.endswith(" ") and line.startswith(said))


def test_a_hostile_rule_gets_a_short_answer() -> None:
    deep: Any = {}
    for _ in range(10_000):
        deep = {"match": deep}
    many = {f"key {number} {'x' * 1000}": number for number in range(10_000)}
    for document in (deep, many, {"scenario": ["stuck"] * 10_000}, {"plan": deep}):
        with pytest.raises(DocumentError) as caught:
            rule_of(document, "r")
        assert len(str(caught.value)) < 10_000


def test_a_rule_is_shown_without_its_secrets() -> None:
    headers = {
        "Authorization": "Bearer sk-secret-0123456789",
        "X-Api-Token": "letmein",
        "Accept": "*/*",
    }
    document = {"scenario": "stuck", "match": {"key": "sk-secret-0123456789", "headers": headers}}
    rule = rule_of(document, "r")
    shown = rule_to_json(rule, masked=True)
    assert "secret" not in str(shown)
    assert "letmein" not in str(shown)
    assert shown["match"]["key"] == "sk-…6789"
    assert shown["match"]["headers"]["accept"] == "*/*"
    assert rule_of(rule_to_json(rule), "r") == rule
