"""Each check fails for what breaks its promise, and no other check fails with it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from kit.bends import (
    Bend,
    alone,
    answers,
    breaking,
    callbacks,
    calls,
    failures,
    fields,
    good_run,
    in_state,
    of,
    payloads,
    pictures,
    results,
    turned_away,
    unpaid,
)
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Stub, serving

from apixo_contract import (
    Exchange,
    Key,
    Purpose,
    Run,
    catalogue,
    expect,
    expect_text,
    observe,
    settle,
)
from apixo_contract.properties import all_properties
from apixo_contract.text import json_or_none

ENDED = in_state("success", "failed")
SUCCESS = in_state("success")
FAILED = in_state("failed")
RUNNING = in_state("pending", "processing")
POLLS = in_state("pending", "processing", "success", "failed")
BALANCE = of(Purpose.BALANCE)
TASKS = of(Purpose.TASK)
HOUR_MS = 3_600_000
MODE = "Invalid mode type. Supported: image-to-image"
RESOLUTION = "The parameter {{resolution}} must be either '2k', '4k' or '8k'."
FORMAT = "The parameter {{output_format}} must be either 'jpg', 'png' or 'webp'."


def no_key(call: Exchange) -> bool:
    missing = (Key.NONE, Key.EMPTY, Key.SCHEME, Key.BARE, Key.QUERY)
    return call.purpose is Purpose.KEY and call.key in missing


def wrong_key(call: Exchange) -> bool:
    return call.purpose is Purpose.KEY and not no_key(call)


def accepted(call: Exchange) -> Exchange:
    text = json.dumps(
        {"code": 200, "message": "success", "data": {"taskId": f"extra-{call.number}"}}
    )
    return replace(call, status=200, text=text)


def several_rules(call: Exchange) -> bool:
    return call.purpose is Purpose.BODY and expect_text(call.body or "").doubts == {"order"}


def in_callback_mode(call: Exchange) -> bool:
    return call.purpose is Purpose.BODY and '"request_type":"callback"' in (call.body or "")


def tiers_in_callback_mode(call: Exchange) -> bool:
    return in_callback_mode(call) and "{{resolution}}" in (call.message or "")


def told(message: str) -> Any:
    return lambda envelope: envelope.update(message=message)


def lower_from(number: int, usd: float) -> Bend:
    """Let every reading from a call on be lower by so much."""
    return answers(
        lambda call: BALANCE(call) and call.number >= number,
        lambda envelope: envelope.update(data=round(envelope["data"] - usd, 4)),
    )


def falling(after: str, usd: float) -> Bend:
    """Let every reading from a point of the run on be lower by so much."""

    def bent(run: Run) -> Run:
        first = next(c.number for c in run.of(Purpose.BALANCE) if c.probe == after)
        return lower_from(first, usd)(run)

    return bent


def dearer_in_8k(run: Run) -> Run:
    return falling("tolerant", 0.01)(falling("8k-webp", 0.01)(run))


def refused(name: str, message: str = "no", status: int = 400) -> Bend:
    """A planned task is refused, and not paid for."""

    def bent(run: Run) -> Run:
        found = next(call for call in run.of(Purpose.TASK) if call.probe == name)
        text = json.dumps({"code": status, "message": message, "data": None})
        turn = calls(
            lambda call: call is found, lambda call: replace(call, status=status, text=text)
        )
        return unpaid(found)(turn(run))

    return bent


def falling_at_each_refusal(run: Run) -> Run:
    readings = [c.number for c in run.of(Purpose.BALANCE) if c.probe == "refusals"]
    for number in readings[1:]:
        run = lower_from(number, 0.01)(run)
    return run


def same_id(run: Run) -> Run:
    return fields(TASKS, taskId="task_12345678")(run)


def back_to_pending(run: Run) -> Run:
    last = [c for c in run.of(Purpose.POLL) if c.state == "processing"][-1]
    return fields(lambda call: call is last, state="pending")(run)


def never_ending(run: Run) -> Run:
    names = ("resultJson", "failCode", "failMsg", "completeTime", "costTime")
    gone: dict[str, Any] = dict.fromkeys(names, ...)
    return replace(fields(ENDED, state="processing", **gone)(run), callbacks=())


def changing_at_last(run: Run) -> Run:
    last = [c for c in run.of(Purpose.POLL_AGAIN) if c.state == "success"][-1]
    return fields(lambda call: call is last, completeTime=lambda time: time + 1)(run)


def moving_create_time(run: Run) -> Run:
    return fields(SUCCESS, createTime=lambda time: time + 1)(run)


def once_in_other_words(run: Run) -> Run:
    bodies = [c for c in run.of(Purpose.BODY) if not in_callback_mode(c)]
    last = [c for c in bodies if "{{input}}" in (c.message or "")][-1]
    return answers(lambda call: call is last, told("Hm?"))(run)


def no_more_than_once(run: Run) -> Run:
    return replace(run, callbacks=(run.callbacks[0], run.callbacks[2]))


def two_urls(text: str) -> str:
    url = json.loads(text)["resultUrls"][0]
    return json.dumps({"resultUrls": [url, url]})


# The check that names it, and what is seen. The gauntlet's mutants break each in more ways.
VIOLATIONS: list[tuple[str, Bend]] = [
    ("auth.missing", calls(no_key, accepted)),
    ("auth.invalid", calls(lambda c: wrong_key(c) and c.probe == "submit", accepted)),
    ("envelope.shape", answers(POLLS, lambda envelope: {"data": envelope["data"]})),
    ("envelope.shape", calls(breaking("mode"), lambda call: replace(call, text="<h1>400</h1>"))),
    ("envelope.code", answers(breaking("mode"), lambda envelope: envelope.update(code=1001))),
    ("envelope.error-data", answers(breaking("mode"), lambda envelope: envelope.update(data=[]))),
    ("envelope.success", answers(POLLS, told("ok"))),
    ("errors.validation-status", turned_away(breaking("mode"), 422)),
    ("errors.invalid-body", turned_away(of(Purpose.PROBE, probe="body.not_json"), 403)),
    ("errors.flaky", once_in_other_words),
    ("submit.accepts", refused("8k-webp")),
    ("submit.response", fields(TASKS, taskId=...)),
    ("submit.refused-id", answers(breaking("mode"), lambda e: e.update(data={"taskId": "t"}))),
    ("submit.default.mode", refused("minimal", MODE)),
    ("submit.default.resolution", refused("minimal", RESOLUTION)),
    ("submit.default.output_format", refused("minimal", FORMAT)),
    ("submit.resolution-case", refused("4K-jpeg")),
    ("submit.jpeg-alias", refused("4K-jpeg", FORMAT)),
    ("submit.provider", alone("provider", 400)),
    (
        "submit.callback-url-required",
        calls(of(Purpose.PROBE, probe="callback_url.missing"), accepted),
    ),
    ("submit.rule.input.missing", answers(breaking("{{input}}"), told("input?"))),
    ("submit.rule.mode.invalid", answers(breaking("mode"), told("Invalid mode type."))),
    ("submit.rule.image_urls.missing", answers(breaking("image_urls}} is miss"), told("urls?"))),
    ("submit.rule.image_urls.not_array", answers(breaking("Array type"), told("array?"))),
    ("submit.rule.image_urls.length", answers(breaking("exactly 1"), told("one!"))),
    ("submit.rule.image_urls.element_type", answers(breaking("elements must"), told("text!"))),
    ("submit.rule.image_urls.element_empty", answers(breaking("empty string"), told("empty!"))),
    ("submit.rule.resolution.invalid", answers(breaking("{{resolution}}"), told("tier!"))),
    ("submit.rule.output_format.invalid", answers(breaking("{{output_format}}"), told("jpg!"))),
    ("submit.callback-mode", calls(in_callback_mode, accepted)),
    ("submit.callback-mode", calls(tiers_in_callback_mode, accepted)),
    ("submit.several-rules", answers(several_rules, told("Too much is wrong."))),
    ("status.unknown-task", turned_away(of(Purpose.POLL_UNKNOWN), 400)),
    ("status.unknown-model", turned_away(of(Purpose.POLL_MODEL), 200)),
    ("status.known", turned_away(RUNNING, 404)),
    ("status.ends", never_ending),
    ("status.states", fields(SUCCESS, state="completed")),
    ("status.forward", back_to_pending),
    ("status.running-fields", fields(RUNNING, completeTime=0)),
    ("status.success-fields", fields(SUCCESS, failCode="Timeout")),
    ("status.failed-fields", fields(FAILED, failMsg=...)),
    ("status.create-time", fields(POLLS, createTime=lambda time: time // 1000)),
    ("status.create-time", fields(POLLS, createTime=10**400)),
    ("status.create-time-constant", moving_create_time),
    ("status.complete-time", fields(ENDED, completeTime=lambda time: time - HOUR_MS)),
    ("status.cost-time", fields(SUCCESS, costTime=-1)),
    ("status.cost-time", fields(SUCCESS, costTime=10**400)),
    ("status.complete-time", fields(SUCCESS, completeTime=10**400)),
    ("status.result-json", fields(SUCCESS, resultJson=json.loads)),
    ("status.result-urls", fields(SUCCESS, resultJson=two_urls)),
    ("status.final-stable", changing_at_last),
    (
        "status.final-stable",
        answers(
            lambda call: SUCCESS(call) and call.purpose is Purpose.POLL_AGAIN,
            lambda envelope: envelope["data"].pop("costTime") and None,
        ),
    ),
    ("task-id.unique", same_id),
    ("task-id.echoed", fields(POLLS, taskId=str.upper)),
    (
        "balance.shape",
        answers(BALANCE, lambda envelope: envelope.update(data=str(envelope["data"]))),
    ),
    ("balance.insufficient", falling("tasks", 99.995)),
    ("balance.price", falling("settled", 0.01)),
    ("balance.resolution", dearer_in_8k),
    ("balance.output_format", falling("8k-webp", 0.005)),
    ("balance.rejected-free", falling_at_each_refusal),
    ("callback.failed", callbacks(lambda seen: None if "failing" in seen.path else seen)),
    ("callback.delivered", callbacks(lambda seen: replace(seen, path="/elsewhere"))),
    ("callback.method", callbacks(lambda seen: replace(seen, method="PUT"))),
    ("callback.json", callbacks(lambda seen: replace(seen, text="taskId=1"))),
    ("callback.envelope", callbacks(lambda seen: replace(seen, text=json.dumps(seen.task)))),
    ("callback.final", payloads(state="processing")),
    ("callback.payload", payloads(completeTime=1)),
    ("callback.retry", no_more_than_once),
    (
        "result.reachable",
        calls(of(Purpose.RESULT), lambda call: replace(call, status=404, picture=None)),
    ),
    ("result.format", pictures(lambda picture: replace(picture, format="gif"))),
    ("result.tier", pictures(lambda picture: replace(picture, width=4096, height=2304))),
]


def test_the_run_to_be_bent_keeps_every_promise() -> None:
    assert not failures(good_run())


@pytest.mark.parametrize(
    ("check", "bend"),
    VIOLATIONS,
    ids=[f"{check}-{place}" for place, (check, _) in enumerate(VIOLATIONS)],
)
def test_a_broken_promise_fails_the_check_that_names_it(check: str, bend: Bend) -> None:
    assert failures(bend(good_run())) == {check}


@pytest.mark.parametrize(
    ("check", "bend", "words"),
    [
        ("status.create-time", fields(POLLS, createTime="1700000000000"), '"1700000000000"'),
        ("status.complete-time", fields(SUCCESS, completeTime="soon"), '`completeTime` is "soon"'),
        ("status.complete-time", fields(SUCCESS, completeTime=500.0), "`completeTime` is 500.0"),
        ("status.cost-time", fields(SUCCESS, costTime={"ms": 0.5}), '`costTime` is {"ms": 0.5}'),
    ],
)
def test_a_wrong_value_is_shown_as_the_target_wrote_it(check: str, bend: Bend, words: str) -> None:
    assert words in results(bend(good_run()))[check].examples[0].observed


def test_every_promise_has_a_violation_here() -> None:
    promised = {name for name, info in catalogue().items() if info.can_fail}
    properties = {found.id for found in all_properties()}
    assert properties <= promised
    assert {check for check, _ in VIOLATIONS} == promised - properties


class ByCallback(Stub):
    """Treats some bodies otherwise in callback mode."""

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        body = json_or_none(content.decode())
        if body is None or not expect(body).accepted or body.get("request_type") != "callback":
            return super().submit(content)
        self.bend(body)
        return super().submit(json.dumps(body).encode())

    def bend(self, body: dict[str, Any]) -> None:
        raise NotImplementedError


class NoWebp(ByCallback):
    def bend(self, body: dict[str, Any]) -> None:
        if body["input"].get("output_format") == "webp":
            body["input"]["image_urls"] = [FAILING_IMAGE]


class OtherDefaults(ByCallback):
    def bend(self, body: dict[str, Any]) -> None:
        body["input"] = {"resolution": "2k", "output_format": "png", **body["input"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stub", "checks"),
    [
        (NoWebp, {"submit.accepts"}),
        (OtherDefaults, {"submit.default.resolution", "submit.default.output_format"}),
    ],
)
def test_values_are_tried_in_callback_mode_too(stub: type[Stub], checks: set[str]) -> None:
    options = {"image_url": IMAGE, "seed": 1, "examples": 0}
    with serving(stub) as url:
        run = observe(settle(url, KEY, options), with_client=False)
    assert failures(run) == checks
