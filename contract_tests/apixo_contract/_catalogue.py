"""The list of checks, as data: what each one promises, how sure that is, and what it costs.

The words, grades and sources of the submit rules and of the assumptions stand in `apixo_schemas`;
the other promises are sentences of the Image Upscaler page or platform facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from apixo_schemas import Grade, contract

_PAGE = "Image Upscaler page, "


class Cost(StrEnum):
    """What the target must give for a check to be observable."""

    # Requests that a correct target refuses or answers for nothing.
    FREE = "free"
    # At least one accepted task.
    TASK = "task"
    # An accepted task, and an address of ours that the target can reach.
    CALLBACK = "callback"


@dataclass(frozen=True, slots=True)
class CheckInfo:
    """One promise of the API that the kit can hold a server to."""

    id: str
    title: str
    grade: Grade
    source: str
    costs: Cost

    @property
    def can_fail(self) -> bool:
        """Whether breaking it is drift; an assumption is refuted instead."""
        return self.grade is not Grade.ASSUMED


def _documented(check_id: str, title: str, where: str, costs: Cost = Cost.FREE) -> CheckInfo:
    return CheckInfo(check_id, title, Grade.DOCUMENTED, _PAGE + where, costs)


def _platform(check_id: str, title: str, fact: str, costs: Cost = Cost.FREE) -> CheckInfo:
    return CheckInfo(check_id, title, Grade.PLATFORM, f"platform fact {fact}", costs)


_GENERAL = (
    _documented("auth.missing", "A call without an API key is answered 401", "HTTP errors"),
    _documented("auth.invalid", "A call with an invalid API key is answered 401", "HTTP errors"),
    _platform("envelope.shape", "Every answer is an object with `code` and `message`", "P1"),
    _platform("envelope.code", "`code` repeats the HTTP status", "P1"),
    _platform("envelope.error-data", "`data` of an error is null, absent or an object", "P2"),
    _documented(
        "envelope.success", "A success says code 200, message `success`", "Submit task response"
    ),
    _documented(
        "errors.validation-status",
        "A body that breaks a rule is answered HTTP 400",
        "HTTP errors",
    ),
    _documented(
        "errors.invalid-body", "A body that is no JSON object is refused, as 400", "HTTP errors"
    ),
)
_SUBMIT = (
    _documented(
        "submit.accepts",
        "The page's bodies and every supported value are accepted",
        "Request body",
        Cost.TASK,
    ),
    _documented(
        "submit.response",
        "An accepted submit answers a non-empty text as `data.taskId`",
        "Submit task response",
        Cost.TASK,
    ),
    _documented("submit.refused-id", "A refused submit answers no task id", "Submit task response"),
    _documented("submit.default.mode", "`mode` may be omitted", "Parameters", Cost.TASK),
    _documented(
        "submit.default.resolution",
        "`resolution` may be omitted; it is then 4k",
        "Parameters",
        Cost.TASK,
    ),
    _documented(
        "submit.default.output_format",
        "`output_format` may be omitted; it is then jpg",
        "Parameters",
        Cost.TASK,
    ),
    _documented(
        "submit.resolution-case", "`resolution` is case-insensitive", "Parameters", Cost.TASK
    ),
    _documented("submit.jpeg-alias", "`jpeg` is accepted as `jpg`", "Parameters", Cost.TASK),
    _platform(
        "submit.provider", "A top-level `provider` of older examples is accepted", "P7", Cost.TASK
    ),
    _documented(
        "submit.callback-url-required",
        "Callback mode without `callback_url` is not accepted",
        "Parameters",
    ),
    _documented(
        "submit.several-rules",
        "A body that breaks several rules gets the message of one of them",
        "Request validation",
    ),
)
_STATUS = (
    _documented("status.unknown-task", "An unknown task id is answered 404", "HTTP errors"),
    _documented(
        "status.unknown-model",
        "A task polled under another model id is not found",
        "HTTP errors",
        Cost.TASK,
    ),
    _documented("status.known", "A submitted task can be polled", "Poll for result", Cost.TASK),
    _documented("status.ends", "A task ends as success or failed", "Poll for result", Cost.TASK),
    _documented(
        "status.states",
        "`state` is one of four; an end has no other name",
        "Status response fields",
        Cost.TASK,
    ),
    _documented("status.forward", "States only move forward", "Status response fields", Cost.TASK),
    _documented(
        "status.running-fields",
        "A task that still runs has no result, no failure and no completion",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.success-fields",
        "A success has `resultJson` and `completeTime`, and no failure",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.failed-fields",
        "A failed task has `failCode`, `failMsg` and `completeTime`, and no result",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.create-time",
        "`createTime` is the time of the submit, as an integer in Unix milliseconds",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.create-time-constant",
        "`createTime` of a task never changes",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.complete-time",
        "`completeTime` is in Unix milliseconds, after `createTime` and not ahead of now",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.cost-time",
        "`costTime`, where present, is an integer in ms, from 0 to the elapsed time",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.result-json",
        "`resultJson` is a string that holds a JSON object",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.result-urls",
        "`resultUrls` holds exactly one absolute URL",
        "Status response fields",
        Cost.TASK,
    ),
    _documented(
        "status.final-stable", "A final answer stays as it is", "Poll for result", Cost.TASK
    ),
    _documented("task-id.unique", "Every task id is new", "Submit task response", Cost.TASK),
    _documented(
        "task-id.echoed",
        "A status answer repeats the task id that was asked for",
        "Status response fields",
        Cost.TASK,
    ),
)
_BALANCE = (
    _platform("balance.shape", "The balance is a number, in the envelope", "P3"),
    _documented(
        "balance.insufficient",
        "A submit that the balance does not cover is answered 402",
        "HTTP errors",
        Cost.TASK,
    ),
    _documented("balance.price", "An accepted task costs exactly $0.01", "Billing", Cost.TASK),
    _documented("balance.resolution", "`resolution` changes no price", "Billing", Cost.TASK),
    _documented("balance.output_format", "`output_format` changes no price", "Billing", Cost.TASK),
    _documented("balance.rejected-free", "A refused submit costs nothing", "Billing"),
)
_CALLBACK = (
    _documented(
        "callback.delivered",
        "A task in callback mode is called back when it has ended",
        "Webhook callback mode",
        Cost.CALLBACK,
    ),
    _platform("callback.method", "A callback is a POST", "P4", Cost.CALLBACK),
    _platform("callback.json", "A callback's body is JSON and says so", "P4", Cost.CALLBACK),
    _documented(
        "callback.envelope",
        "A callback is the envelope of a status answer",
        "Webhook callback mode",
        Cost.CALLBACK,
    ),
    _documented(
        "callback.final",
        "A callback tells of an ended task",
        "Parameters",
        Cost.CALLBACK,
    ),
    _platform("callback.payload", "A callback says what a poll says", "P4", Cost.CALLBACK),
    _platform("callback.failed", "A failed task is called back too", "P4", Cost.CALLBACK),
    _platform("callback.retry", "A callback not answered 200 is sent again", "P5", Cost.CALLBACK),
)
_RESULT = (
    _documented(
        "result.reachable", "The URL in `resultUrls` can be fetched", "Poll for result", Cost.TASK
    ),
    _documented("result.format", "The result has the asked format", "Parameters", Cost.TASK),
    _documented("result.tier", "A higher tier gives a larger picture", "Parameters", Cost.TASK),
)

# The assumptions that a server shows to its callers, and what they take to be seen.
_OBSERVABLE = {
    "request_type.missing": Cost.TASK,
    "request_type.unknown": Cost.FREE,
    "callback_url.missing": Cost.FREE,
    "callback_url.type": Cost.FREE,
    "callback_url.not_https": Cost.CALLBACK,
    "callback.retry_delays": Cost.CALLBACK,
    "input.not_object": Cost.FREE,
    "body.not_json": Cost.FREE,
    "body.not_object": Cost.FREE,
    "body.content_type": Cost.FREE,
    "null.optional": Cost.FREE,
    "order": Cost.FREE,
    "parameters.unknown": Cost.FREE,
    "output_format.case": Cost.FREE,
    "values.whitespace": Cost.FREE,
    "image_url.not_a_url": Cost.TASK,
    "error.wording": Cost.FREE,
    "error.data": Cost.FREE,
    "retry_after": Cost.FREE,
    "failure.wording": Cost.TASK,
    "failed.charged": Cost.TASK,
    "tiers.pixels": Cost.TASK,
    "task.other_key": Cost.TASK,
    "task_id.form": Cost.TASK,
    "task_id.missing": Cost.FREE,
    "pending.share": Cost.TASK,
    "cost_time": Cost.TASK,
}


def rule_check_id(rule_id: str) -> str:
    """Give the id of the check of a submit rule, e.g. ``submit.rule.mode.invalid``."""
    return f"submit.rule.{rule_id}"


def assumption_check_id(assumption_id: str) -> str:
    """Give the id of the check of an assumption, e.g. ``assumption.order``."""
    return f"assumption.{assumption_id}"


def _rules() -> Iterator[CheckInfo]:
    for rule in contract().rules:
        if rule.grade is not Grade.ASSUMED:
            title = f"{rule.condition}: refused in the documented words"
            yield CheckInfo(rule_check_id(rule.id), title, rule.grade, rule.source, Cost.FREE)


def _assumptions() -> Iterator[CheckInfo]:
    known = contract().assumptions
    for name, costs in _OBSERVABLE.items():
        title = f"{known[name].question} Assumed: {known[name].choice}"
        check_id = assumption_check_id(name)
        yield CheckInfo(check_id, title, Grade.ASSUMED, f"assumption {name}", costs)


@cache
def catalogue() -> dict[str, CheckInfo]:
    """Give every check by its id, in the order of the report."""
    groups = (_GENERAL, _SUBMIT, _rules(), _STATUS, _BALANCE, _CALLBACK, _RESULT, _assumptions())
    return {check.id: check for group in groups for check in group}
