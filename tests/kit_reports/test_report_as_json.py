"""The published JSON form of a report: to its schema, and back without loss."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from kit.stub import Stub, observed
from kit_reports.samples import HOSTILE, hostile_report, report, result

from apixo_contract._ledger import with_ledger
from apixo_contract._observations import Run
from apixo_contract._report import (
    CheckResult,
    Example,
    LedgerEntry,
    Report,
    ShownExchange,
    Standing,
    Verdict,
)
from apixo_contract._report_json import report_schema
from apixo_contract._reporting import render_html
from apixo_contract._verify import judge
from apixo_schemas import Grade

texts = st.text(max_size=20)
headers = st.dictionaries(texts, texts, max_size=2)
amounts = st.integers(0, 10**9).map(lambda micros: Decimal(micros) / 10**6)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
exchanges = st.builds(
    ShownExchange,
    method=texts,
    url=texts,
    request_headers=headers,
    request_body=st.none() | texts,
    status=st.none() | st.integers(100, 599),
    response_headers=headers,
    response_body=texts,
    elapsed_ms=st.integers(0, 10**6),
    curl=texts,
    trouble=st.none() | texts,
)
examples = st.builds(Example, texts, texts, texts, st.lists(exchanges, max_size=2).map(tuple))
results = st.builds(
    CheckResult,
    id=st.text(min_size=1, max_size=20),
    title=texts,
    grade=st.sampled_from(Grade),
    source=texts,
    verdict=st.sampled_from(Verdict),
    evidence=texts,
    observed=json_values,
    examples=st.lists(examples, max_size=2).map(tuple),
    calls=st.integers(0, 1000),
)
reports = st.builds(
    Report,
    target=texts,
    started=st.datetimes(timezones=st.just(UTC)),
    duration_s=st.integers(0, 10**6).map(lambda ms: ms / 1000),
    seed=st.integers(0, 2**32),
    live=st.booleans(),
    budget_usd=amounts,
    spent_usd=amounts,
    results=st.lists(results, max_size=4).map(tuple),
    calls=st.integers(0, 10**6),
    notes=headers,
    options=st.dictionaries(texts, json_values, max_size=2),
    measured=st.just({}) | st.just({"latency_ms": {"4k": [1, 2]}}),
    ledger=st.lists(
        st.builds(LedgerEntry, texts, st.sampled_from(Standing), st.just("2026-11-23"), texts)
        | st.builds(LedgerEntry, texts, st.sampled_from(Standing)),
        max_size=3,
    ).map(tuple),
)


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(value))


@settings(max_examples=40)
@given(reports)
def test_a_report_survives_the_way_through_json(found: Report) -> None:
    assert Report.from_json(through_text(found.to_json())) == found


@settings(max_examples=40)
@given(reports)
def test_every_report_satisfies_the_published_schema(found: Report) -> None:
    Draft202012Validator(report_schema()).validate(through_text(found.to_json()))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(report_schema())


def test_the_report_of_a_real_run_satisfies_the_schema(run: Run) -> None:
    found = judge(run)
    value = through_text(found.to_json())
    Draft202012Validator(report_schema()).validate(value)
    assert Report.from_json(value).to_json() == value


def test_hostile_texts_survive_too() -> None:
    found = hostile_report()
    assert Report.from_json(through_text(found.to_json())) == found
    assert found.to_json()["target"] == HOSTILE


def test_the_names_that_scripts_read() -> None:
    value = report().to_json()
    assert (value["target"], value["spent_usd"]) == ("https://api.example/api/v1", 0.09)
    assert value["summary"] == {
        "keeps_contract": False,
        "headline": "The target drifted: 1 promise of the contract broken.",
        "checks": 6,
        "pass": 1,
        "fail": 1,
        "skipped": 2,
        "refuted": 1,
        "confirmed": 1,
    }
    first = value["checks"][0]
    assert {name: first[name] for name in ("id", "title", "grade", "source")} == {
        "id": "envelope.shape",
        "title": "Every answer is an object with `code` and `message`",
        "grade": "platform",
        "source": "platform fact P1",
    }
    assert (first["verdict"], first["evidence"]) == ("pass", "evidence of envelope.shape")


@pytest.mark.parametrize("verdict", Verdict)
def test_only_a_broken_promise_makes_the_exit_code_1(verdict: Verdict) -> None:
    found = report((result("envelope.shape", verdict),))
    assert found.exit_code == (1 if verdict is Verdict.FAIL else 0)
    assert found.to_json()["summary"]["keeps_contract"] is (verdict is not Verdict.FAIL)


def test_a_run_that_could_judge_nothing_says_so() -> None:
    found = report((result("envelope.shape", Verdict.SKIPPED),))
    assert found.headline == "Nothing could be judged: every check was skipped."


def test_exact_and_odd_numbers_of_answers_become_json() -> None:
    odd = {"exact": Decimal("74.87"), "whole": Decimal(3), "odd": [math.inf, Decimal("NaN")]}
    found = report((result("envelope.shape", Verdict.PASS, observed=odd),))
    (check,) = through_text(found.to_json())["checks"]
    assert check["observed"] == {"exact": 74.87, "whole": 3, "odd": ["inf", "NaN"]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], r"expected a report of form 1, found a JSON list"),
        ({"checks": []}, r"found an object without `form`"),
        ({"form": 2}, r"found form 2"),
        ({"form": 1}, r"this is no report: at \$, .*required"),
        (
            {**report().to_json(), "checks": [{"id": "x"}]},
            r"this is no report: at \$\.checks\[0\]",
        ),
    ],
)
def test_what_is_no_report_is_refused_with_the_place(value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Report.from_json(value)


def test_new_fields_of_later_versions_are_ignored() -> None:
    value = report().to_json()
    value["later"] = value["checks"][0]["later"] = value["summary"]["later"] = 1
    assert Report.from_json(value) == report()


def test_the_ledger_goes_along() -> None:
    found = with_ledger(report(started=datetime(2026, 1, 2, tzinfo=UTC), live=True))
    entries = through_text(found.to_json())["ledger"]
    assert entries[0] == {
        "id": "envelope.shape",
        "standing": "confirmed on live",
        "on": "2026-01-02",
        "target": "https://api.example/api/v1",
    }


class Endless(Stub):
    def shown(self, task: Any) -> dict[str, Any]:
        found = super().shown(task)
        return {**found, "completeTime": 10**400} if found["state"] == "success" else found


def test_a_duration_that_no_float_holds_stands_in_no_form() -> None:
    found = judge(observed(Endless, examples=0))
    assert found.measured == {}
    Draft202012Validator(report_schema()).validate(found.to_json())
    assert "tasks took" not in render_html(found)
