"""Which check or assumption a difference between two answers touches."""

from __future__ import annotations

from collections.abc import Callable

from apixo_contract._catalogue import assumption_check_id, catalogue, rule_check_id
from apixo_contract._diff_align import Pair
from apixo_contract._diff_facets import (
    ANSWER,
    CONTENT_TYPE,
    PICTURE_FORMAT,
    PICTURE_SIZE,
    RETRY_AFTER,
)
from apixo_contract._observations import Key, Purpose
from apixo_contract._oracle import expect_text

# Differences that no rule speaks of.
NO_RULE = ""
_HTTP_ERRORS = 400
_BY_FACET = {
    CONTENT_TYPE: "envelope.shape",
    RETRY_AFTER: assumption_check_id("retry_after"),
    PICTURE_FORMAT: "result.format",
    PICTURE_SIZE: assumption_check_id("tiers.pixels"),
    "data.taskId": assumption_check_id("task_id.form"),
    "data.costTime": assumption_check_id("cost_time"),
    "data.failMsg": assumption_check_id("failure.wording"),
    "data.createTime": "status.create-time",
    "data.completeTime": "status.complete-time",
    "data.resultJson": "status.result-urls",
    "data.failCode": "status.failed-fields",
    "data.state": "status.ends",
}
# The planned tasks that put an assumption, or one promise, to the test.
_TASKS = {
    "not-a-url": assumption_check_id("image_url.not_a_url"),
    "no-request-type": assumption_check_id("request_type.missing"),
    "callback": assumption_check_id("callback_url.not_https"),
    "provider": "submit.provider",
    "2K-jpeg": "submit.jpeg-alias",
    "minimal": "submit.default.resolution",
}


def topic(pair: Pair, facet: str) -> str:
    """Give the id of the check that a differing facet touches; empty where no rule speaks of it."""
    found = _topic(pair, facet)
    return found if found in catalogue() else NO_RULE


def _topic(pair: Pair, facet: str) -> str:
    both_errors = min(_status(pair)) >= _HTTP_ERRORS
    if facet == "data" and both_errors:
        return assumption_check_id("error.data")
    if pair.name[1] == "not-a-url" and facet in ("data.state", "data.failCode"):
        return _TASKS["not-a-url"]
    if facet in _BY_FACET:
        return _BY_FACET[facet]
    if facet in (ANSWER, "code", "message"):
        in_words = both_errors and facet == "message"
        judge = _OF_WORDS if in_words else _OF_ANSWERS
        return judge.get(pair.purpose, _final)(pair)
    return NO_RULE


def _status(pair: Pair) -> tuple[int, int]:
    return pair.left.status or 0, pair.right.status or 0


def _body_words(pair: Pair) -> str:
    try:
        said = expect_text(pair.left.body or "")
    except ValueError:
        return assumption_check_id("body.not_json")
    if said.documented and said.winner is not None:
        return rule_check_id(said.winner.id)
    if "order" in said.doubts:
        return assumption_check_id("order")
    doubts = sorted(doubt for doubt in said.doubts if assumption_check_id(doubt) in catalogue())
    return assumption_check_id(doubts[0]) if doubts else NO_RULE


def _body(pair: Pair) -> str:
    both_errors = min(_status(pair)) >= _HTTP_ERRORS
    return "errors.validation-status" if both_errors else _body_words(pair)


def _probe_words(pair: Pair) -> str:
    return assumption_check_id(pair.left.probe.partition("/")[0])


def _probe(pair: Pair) -> str:
    of_body = pair.left.body is not None and min(_status(pair)) >= _HTTP_ERRORS
    return "errors.validation-status" if of_body else _probe_words(pair)


def _key(pair: Pair) -> str:
    return "auth.missing" if pair.left.key is Key.NONE else "auth.invalid"


def _task(pair: Pair) -> str:
    return _TASKS.get(pair.left.probe, "submit.accepts")


def _error_words(_pair: Pair) -> str:
    return assumption_check_id("error.wording")


def _unknown(pair: Pair) -> str:
    unknown_task = pair.purpose is Purpose.POLL_UNKNOWN
    return "status.unknown-task" if unknown_task else "status.unknown-model"


def _balance(_pair: Pair) -> str:
    return "balance.shape"


def _result(_pair: Pair) -> str:
    return "result.reachable"


def _final(_pair: Pair) -> str:
    return "status.known"


# By the purpose of a call: what a difference of the answer as a whole touches ...
_OF_ANSWERS: dict[Purpose, Callable[[Pair], str]] = {
    Purpose.BODY: _body,
    Purpose.PROBE: _probe,
    Purpose.KEY: _key,
    Purpose.TASK: _task,
    Purpose.POLL_UNKNOWN: _unknown,
    Purpose.POLL_MODEL: _unknown,
    Purpose.BALANCE: _balance,
    Purpose.RESULT: _result,
}
# ... and where both are errors of one status, what other words touch.
_OF_WORDS: dict[Purpose, Callable[[Pair], str]] = {
    **_OF_ANSWERS,
    Purpose.BODY: _body_words,
    Purpose.PROBE: _probe_words,
    Purpose.KEY: _error_words,
    Purpose.POLL_UNKNOWN: _error_words,
    Purpose.POLL_MODEL: _error_words,
    Purpose.BALANCE: _error_words,
}
