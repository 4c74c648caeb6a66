"""What the documentation leaves open is no drift; assumptions are confirmed or refuted instead."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.bends import (
    Bend,
    alone,
    answers,
    anything,
    calls,
    failures,
    fields,
    good_run,
    in_state,
    of,
    payloads,
    results,
    turned_away,
    verdicts,
)

from apixo_contract import Exchange, Purpose, Run, Verdict, expect_text
from apixo_schemas import setting_fault

ENDED = in_state("success", "failed")
SUCCESS = in_state("success")
POLLS = in_state("pending", "processing", "success", "failed")
RUNNING = in_state("pending", "processing")
BALANCE = of(Purpose.BALANCE)
TASKS = of(Purpose.TASK)


def errors(call: Exchange) -> bool:
    return anything(call) and call.status is not None and call.status >= 400


def chain(*bends: Bend) -> Bend:
    def bent(run: Run) -> Run:
        for bend in bends:
            run = bend(run)
        return run

    return bent


def refunds(run: Run) -> Run:
    return answers(
        lambda call: BALANCE(call) and call.probe == "failed",
        lambda envelope: envelope.update(data=round(envelope["data"] + 0.01, 4)),
    )(run)


def without(probe: str) -> Bend:
    return lambda run: replace(run, exchanges=tuple(c for c in run.exchanges if c.probe != probe))


ALLOWED: dict[str, Bend] = {
    "costTime only in later polls": fields(
        lambda call: SUCCESS(call) and call.purpose is Purpose.POLL, costTime=...
    ),
    "results that are not reachable": calls(
        of(Purpose.RESULT),
        lambda call: replace(call, status=None, picture=None, trouble="ConnectError"),
    ),
    "another model may be forbidden": turned_away(of(Purpose.POLL_MODEL), 403),
    "failed tasks paid back": refunds,
    "no request_type refused": alone("no-request-type", 400),
}


@pytest.mark.parametrize("bend", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_left_open_is_no_drift(bend: Bend) -> None:
    """The gauntlet's variants show more of it."""
    assert failures(bend(good_run())) == set()


def wrong_words(envelope: dict[str, Any]) -> None:
    envelope["message"] = "Something else."


# What the run that keeps every promise shows of the assumptions; its wordings are its own.


# The gauntlet's variants refute the others. The run confirms those that are not worded.
REFUTED: dict[str, Bend] = {
    "request_type.missing": alone("no-request-type", 400),
    "callback_url.type": answers(of(Purpose.PROBE, probe="callback_url.type"), wrong_words),
    "callback_url.missing": answers(of(Purpose.PROBE, probe="callback_url.missing"), wrong_words),
    "input.not_object": answers(of(Purpose.PROBE, probe="input.not_object"), wrong_words),
    "body.not_object": answers(of(Purpose.PROBE, probe="body.not_object"), wrong_words),
    "error.data": answers(errors, lambda envelope: envelope.pop("data") and None),
    "failed.charged": refunds,
    "cost_time": fields(SUCCESS, costTime=lambda time: time // 2),
}


def test_an_assumption_that_holds_is_confirmed() -> None:
    found = verdicts(good_run())
    names = (*REFUTED, "order", "tiers.pixels", "task_id.form", "pending.share")
    assert {found[f"assumption.{name}"] for name in names} == {Verdict.CONFIRMED}


@pytest.mark.parametrize(("name", "bend"), REFUTED.items(), ids=REFUTED.keys())
def test_an_assumption_that_does_not_hold_is_refuted(name: str, bend: Bend) -> None:
    found = results(bend(good_run()))[f"assumption.{name}"]
    assert found.verdict is Verdict.REFUTED
    # So that it can be learnt.
    assert setting_fault(name, found.observed) is None


def test_another_order_of_the_rules_is_told() -> None:
    def last_wins(call: Exchange) -> Exchange:
        said = expect_text(call.body or "")
        text = json.dumps({"code": 400, "message": said.broken[-1].message, "data": None})
        return replace(call, text=text)

    def several(call: Exchange) -> bool:
        return call.purpose is Purpose.BODY and len(expect_text(call.body or "").broken) > 1

    run = calls(several, last_wins)(good_run())
    assert not failures(run)
    found = results(run)["assumption.order"]
    assert found.verdict is Verdict.REFUTED
    assert found.observed.index("output_format.invalid") < found.observed.index("mode.invalid")


@pytest.mark.parametrize(
    ("skip", "topic"),
    [
        ({"callbacks": ()}, "callback.delivered"),
        ({"exchanges": ()}, "submit.rule.mode.invalid"),
        ({"exchanges": ()}, "status.forward"),
    ],
)
def test_what_was_not_seen_is_skipped_with_a_reason(skip: dict[str, Any], topic: str) -> None:
    run = replace(good_run(), **skip, notes={})
    if topic == "callback.delivered":
        run = without("callback")(without("failing")(run))
    assert verdicts(run)[topic] is Verdict.SKIPPED
    assert results(run)[topic].evidence


@pytest.mark.parametrize("text", ["<html>hi</html>", '{"ok": true}'])
def test_a_success_that_names_no_task_confirms_no_assumption(text: str) -> None:
    answered = calls(
        of(Purpose.BODY, Purpose.PROBE, Purpose.TASK),
        lambda call: replace(call, status=200, text=text),
    )(good_run())
    found = results(answered)
    for name in ("request_type.missing", "parameters.unknown", "callback_url.not_https"):
        assumed = found[f"assumption.{name}"]
        assert (assumed.verdict, assumed.observed) == (Verdict.SKIPPED, None), name
        assert "names no task" in assumed.evidence
    assert found["submit.accepts"].verdict is Verdict.SKIPPED
    assert found["envelope.shape"].verdict is Verdict.FAIL


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("2026-01-01"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
FIELDS = ["taskId", "state", "resultJson", "failCode", "failMsg"]
FIELDS += ["createTime", "completeTime", "costTime", "resultUrls"]


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
    json_values,
    st.sampled_from(list(Purpose)),
    st.sampled_from([200, 204, 302, 400, 418, 500, 599]),
)
def test_judges_bear_whatever_a_target_answers(
    values: dict[str, Any], body: Any, purpose: Purpose, status: int
) -> None:
    garbage = calls(of(purpose), lambda call: replace(call, status=status, text=json.dumps(body)))
    assert verdicts(garbage(good_run()))
    nested = fields(of(Purpose.POLL, Purpose.POLL_AGAIN), **values)
    assert verdicts(nested(good_run()))
    assert verdicts(payloads(**values)(good_run()))


@settings(max_examples=10, deadline=None)
@given(json_values)
def test_judges_bear_whatever_stands_in_result_json(value: Any) -> None:
    assert verdicts(fields(SUCCESS, resultJson=json.dumps({"resultUrls": value}))(good_run()))
    assert verdicts(fields(SUCCESS, resultJson=json.dumps({"resultUrls": [value]}))(good_run()))
