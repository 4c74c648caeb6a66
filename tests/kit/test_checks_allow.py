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
    callbacks,
    calls,
    failures,
    fields,
    good_run,
    in_state,
    of,
    payloads,
    results,
    turned_away,
    unpaid,
    verdicts,
)

from apixo_contract import CallbackSeen, Exchange, Key, Purpose, Run, Verdict, expect_text

ENDED = in_state("success", "failed")
SUCCESS = in_state("success")
POLLS = in_state("pending", "processing", "success", "failed")
RUNNING = in_state("pending", "processing")
BALANCE = of(Purpose.BALANCE)
TASKS = of(Purpose.TASK)


def errors(call: Exchange) -> bool:
    return anything(call) and call.status is not None and call.status >= 400


def successes(call: Exchange) -> bool:
    return anything(call) and call.status == 200


def chain(*bends: Bend) -> Bend:
    def bent(run: Run) -> Run:
        for bend in bends:
            run = bend(run)
        return run

    return bent


def skewed(by_ms: int) -> Bend:
    later = {"createTime": lambda time: time + by_ms}
    ended = {"completeTime": lambda time: time + by_ms}
    return chain(fields(POLLS, **later), fields(ENDED, **ended), _called_back_skewed(by_ms))


def _called_back_skewed(by_ms: int) -> Bend:
    def bent(run: Run) -> Run:
        def move(seen: Any) -> Any:
            envelope = json.loads(seen.text)
            envelope["data"]["createTime"] += by_ms
            envelope["data"]["completeTime"] += by_ms
            return replace(seen, text=json.dumps(envelope))

        return callbacks(move)(run)

    return bent


def _failed_callback(code: str) -> Bend:
    def move(seen: CallbackSeen) -> CallbackSeen:
        envelope = json.loads(seen.text)
        if envelope["data"]["state"] == "failed":
            envelope["data"] |= {"failCode": code, "failMsg": ""}
        return replace(seen, text=json.dumps(envelope))

    return callbacks(move)


def refused(probe: str, status: int) -> Bend:
    """A task is not taken, and not paid for."""

    def bent(run: Run) -> Run:
        refusal = next(c for c in run.of(Purpose.TASK) if c.probe == probe)
        return unpaid(refusal)(turned_away(lambda call: call is refusal, status)(run))

    return bent


def late_charges(run: Run) -> Run:
    """The balance falls at the end, all at once."""
    start = next(c.balance for c in run.of(Purpose.BALANCE))
    return answers(
        lambda call: BALANCE(call) and call.probe != "settled",
        lambda envelope: envelope.update(data=float(start or 0)),
    )(run)


def refunds(run: Run) -> Run:
    return answers(
        lambda call: BALANCE(call) and call.probe == "failed",
        lambda envelope: envelope.update(data=round(envelope["data"] + 0.01, 4)),
    )(run)


def no_balance(run: Run) -> Run:
    first = run.of(Purpose.BALANCE)[0]
    gone = turned_away(lambda call: call is first, 403)(run)
    kept = tuple(c for c in gone.exchanges if c.purpose is not Purpose.BALANCE or c.status == 403)
    return replace(gone, exchanges=kept)


def any_key(run: Run) -> Run:
    """Any key opens an account of its own, as in an emulator."""
    untouched = json.dumps({"code": 200, "message": "success", "data": 100.0})
    wrong = (Key.WRONG, Key.LONGER, Key.SHORTER, Key.OTHER_CASE)

    def opened(call: Exchange) -> Exchange:
        return replace(call, status=200, text=untouched, probe="balance")

    def reads(call: Exchange) -> bool:
        return call.key in wrong and call.probe == "balance"

    own = [c for c in run.exchanges if c.key not in wrong or c.probe == "balance"]
    last = replace(next(c for c in own if reads(c)), number=own[-1].number + 1)
    return calls(reads, opened)(replace(run, exchanges=(*own, last)))


def without(probe: str) -> Bend:
    return lambda run: replace(run, exchanges=tuple(c for c in run.exchanges if c.probe != probe))


ALLOWED: dict[str, Bend] = {
    "pending is skipped": fields(in_state("pending"), state="processing"),
    "processing is skipped": fields(in_state("processing"), state="pending"),
    "a state that nobody has documented": fields(in_state("processing"), state="processing_r2"),
    "no costTime": fields(SUCCESS, costTime=...),
    "costTime null": fields(SUCCESS, costTime=None),
    "costTime of the upstream": fields(SUCCESS, costTime=lambda time: time // 2),
    "costTime only in later polls": fields(
        lambda call: SUCCESS(call) and call.purpose is Purpose.POLL, costTime=...
    ),
    "null for what is not there": fields(RUNNING, resultJson=None, failCode=None, failMsg=None),
    "extra fields": fields(POLLS, progress=50, model="image-upscaler", error=None),
    "extra fields in the envelope": answers(successes, lambda e: e.update(requestId="r-1")),
    "errors without data": answers(errors, lambda envelope: envelope.pop("data") and None),
    "errors with an object": answers(errors, lambda e: e.update(data={"error": e["message"]})),
    "extra fields in resultJson": fields(
        SUCCESS, resultJson=lambda text: json.dumps({**json.loads(text), "width": 1})
    ),
    "another failCode": chain(
        fields(in_state("failed"), failCode="CONTENT_VIOLATION", failMsg=""),
        _failed_callback("CONTENT_VIOLATION"),
    ),
    "errors in other words": answers(
        lambda call: errors(call) and call.purpose is not Purpose.BODY,
        lambda envelope: envelope.update(message="Нет."),
    ),
    "a clock that is off by two minutes": skewed(120_000),
    "charged late": late_charges,
    "failed tasks paid back": refunds,
    "no leave to read the balance": no_balance,
    "a balance with the noise of binary fractions": answers(
        BALANCE, lambda envelope: envelope.update(data=envelope["data"] + 1.4e-14)
    ),
    "any key opens an account of its own": any_key,
    "busy now and then": calls(
        of(Purpose.PROBE), lambda call: replace(call, status=429, text="<h1>slow down</h1>")
    ),
    "gone for a moment": calls(of(Purpose.PROBE), lambda call: replace(call, status=503, text="")),
    "results that are not reachable": calls(
        of(Purpose.RESULT),
        lambda call: replace(call, status=None, picture=None, trouble="ConnectError"),
    ),
    "another model may be forbidden": turned_away(of(Purpose.POLL_MODEL), 403),
    "callback header in lower case": callbacks(
        lambda seen: replace(seen, headers={"content-type": "application/json"})
    ),
    "a callback twice": lambda run: replace(
        run, callbacks=(*run.callbacks, replace(run.callbacks[1], number=9))
    ),
    "no request_type refused": alone("no-request-type", 400),
    "unknown parameters refused": alone("unknown-parameters", 400),
    "nulls refused": alone("nulls", 400),
    "no money": refused("tolerant", 402),
    "a URL that is none is refused": refused("not-a-url", 400),
}


@pytest.mark.parametrize("bend", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_is_left_open_is_no_drift(bend: Bend) -> None:
    assert failures(bend(good_run())) == set()


def wrong_words(envelope: dict[str, Any]) -> None:
    envelope["message"] = "Something else."


REFUTED: dict[str, Bend] = {
    "request_type.missing": alone("no-request-type", 400),
    "request_type.unknown": answers(of(Purpose.PROBE, probe="request_type.unknown"), wrong_words),
    "callback_url.type": answers(of(Purpose.PROBE, probe="callback_url.type"), wrong_words),
    "callback_url.missing": answers(of(Purpose.PROBE, probe="callback_url.missing"), wrong_words),
    "callback_url.not_https": turned_away(of(Purpose.TASK, probe="callback"), 400),
    "input.not_object": answers(of(Purpose.PROBE, probe="input.not_object"), wrong_words),
    "body.not_json": answers(of(Purpose.PROBE, probe="body.not_json"), wrong_words),
    "body.not_object": answers(of(Purpose.PROBE, probe="body.not_object"), wrong_words),
    "body.content_type": turned_away(of(Purpose.PROBE, probe="body.content_type"), 415),
    "null.optional": answers(of(Purpose.PROBE, probe="null.optional/input"), wrong_words),
    "parameters.unknown": alone("unknown-parameters", 400),
    "output_format.case": answers(of(Purpose.PROBE, probe="output_format.case"), wrong_words),
    "values.whitespace": answers(of(Purpose.PROBE, probe="values.whitespace"), wrong_words),
    "image_url.not_a_url": turned_away(of(Purpose.TASK, probe="not-a-url"), 400),
    "error.data": answers(errors, lambda envelope: envelope.pop("data") and None),
    "failed.charged": refunds,
    "task_id.missing": turned_away(of(Purpose.PROBE, probe="task_id.missing"), 404),
    "cost_time": fields(SUCCESS, costTime=lambda time: time // 2),
}
# What the run that keeps every promise shows of the assumptions; its wordings are its own.
CONFIRMED = {
    *REFUTED,
    "order",
    "tiers.pixels",
    "task_id.form",
    "pending.share",
} - {"body.not_json", "task_id.missing"}


@pytest.mark.parametrize("name", sorted(CONFIRMED))
def test_an_assumption_that_holds_is_confirmed(name: str) -> None:
    assert verdicts(good_run())[f"assumption.{name}"] is Verdict.CONFIRMED


@pytest.mark.parametrize(("name", "bend"), REFUTED.items(), ids=REFUTED.keys())
def test_an_assumption_that_does_not_hold_is_refuted(name: str, bend: Bend) -> None:
    assert verdicts(bend(good_run()))[f"assumption.{name}"] is Verdict.REFUTED


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("2026-01-01"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
FIELDS = ["taskId", "state", "resultJson", "failCode", "failMsg"]
FIELDS += ["createTime", "completeTime", "costTime", "resultUrls"]


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=20, deadline=None)
@given(json_values)
def test_judges_bear_whatever_stands_in_result_json(value: Any) -> None:
    assert verdicts(fields(SUCCESS, resultJson=json.dumps({"resultUrls": value}))(good_run()))
    assert verdicts(fields(SUCCESS, resultJson=json.dumps({"resultUrls": [value]}))(good_run()))
