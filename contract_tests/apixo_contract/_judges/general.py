"""Judges of what every answer promises: the key, the envelope, the status of errors."""

from __future__ import annotations

from collections.abc import Iterator

from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, ruled, skipped
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._view import View, is_integer
from apixo_schemas import contract

_UNAUTHORIZED = 401
_OK = 200
_NO_KEY_CALLS = "no call without a key was made"


def missing_key(view: View) -> Outcome:
    """Judge `auth.missing`: the page, "All requests require your APIXO API key"."""
    calls = _key_calls(view, Key.NONE)
    broken = [
        Sighting(call, f"HTTP {_UNAUTHORIZED}", answer_of(call))
        for call in calls
        if call.status != _UNAUTHORIZED
    ]
    return ruled("auth.missing", len(calls), broken, unseen=_NO_KEY_CALLS, what="calls without key")


def invalid_key(view: View) -> Outcome:
    """Judge `auth.invalid`.

    Some targets, emulators above all, take any key and give each an account of its own: no key is
    invalid there. What must never happen is that a made-up key opens the account under test.
    """
    calls = _key_calls(view, Key.WRONG)
    broken = [
        Sighting(call, f"HTTP {_UNAUTHORIZED}", answer_of(call))
        for call in calls
        if call.status != _UNAUTHORIZED
    ]
    opened = [call for call in calls if call.succeeded and call.purpose is Purpose.KEY]
    if broken and _separate_account(view, opened, calls):
        return skipped(
            "auth.invalid", "every key opens an account of its own here: no key is invalid"
        )
    unseen = "no call with an invalid key was made"
    return ruled("auth.invalid", len(calls), broken, unseen=unseen, what="calls with a wrong key")


def _separate_account(view: View, opened: list[Exchange], calls: list[Exchange]) -> bool:
    """Whether the made-up key reads a balance that is not ours, and none of our tasks."""
    if any(call.task_id in view.tasks for call in opened if call.task_id):
        return False
    readings = [call for call in opened if call.probe == "balance" and call.balance is not None]
    own = [call for call in view.of(Purpose.BALANCE) if call.balance is not None]
    if not readings or not own or not view.tasks:
        return False
    last = readings[-1]
    before = [call for call in own if call.number < last.number]
    refused = [call for call in calls if call.status == _UNAUTHORIZED]
    return bool(before) and last.balance != before[-1].balance and not refused


def _key_calls(view: View, key: Key) -> list[Exchange]:
    calls = [call for call in view.of(Purpose.KEY) if call.key is key]
    if not any(call.succeeded for call in view.of(Purpose.BALANCE)):
        # The balance stands on another page: a target without it says so to everybody.
        calls = [call for call in calls if call.probe != "balance"]
    return calls


def envelope(view: View) -> Iterator[Outcome]:
    """Judge `envelope.*` (platform facts P1 and P2; the page's examples)."""
    shape, code, error_data, success = [], [], [], []
    for call in view.api:
        if fault := _misshapen(call):
            shape.append(Sighting(call, "an object with `code` and `message`", fault))
            continue
        if call.envelope["code"] != call.status:
            found = f"HTTP {call.status}, code {call.envelope['code']}"
            code.append(Sighting(call, f"code {call.status}", found))
        if _is_error(call):
            if fault := _odd_error_data(call):
                error_data.append(Sighting(call, "`data` null, absent or an object", fault))
        elif fault := _odd_success(call):
            success.append(Sighting(call, "code 200, message `success`, data", fault))
    count = len(view.api)
    errors = sum(_is_error(call) for call in view.api)
    none = "no call was answered"
    yield ruled("envelope.shape", count, shape, unseen=none)
    yield ruled("envelope.code", count, code, unseen=none)
    yield ruled(
        "envelope.error-data", errors, error_data, unseen="no error was seen", what="errors"
    )
    yield ruled(
        "envelope.success", count - errors, success, unseen="no success was seen", what="successes"
    )


def _misshapen(call: Exchange) -> str | None:
    if not isinstance(call.json, dict):
        return f"no JSON object: {answer_of(call)}"
    if not is_integer(call.json.get("code")):
        return f"`code` is no integer: {answer_of(call)}"
    if not call.message:
        return f"`message` is no text, or an empty one: {answer_of(call)}"
    return None


def _is_error(call: Exchange) -> bool:
    return call.status is not None and call.status >= 400  # noqa: PLR2004 - HTTP's errors


def _odd_error_data(call: Exchange) -> str | None:
    data = call.envelope.get("data")
    return None if data is None or isinstance(data, dict) else answer_of(call)


def _odd_success(call: Exchange) -> str | None:
    if not call.succeeded:
        return None  # the code denies what the status says; `envelope.code` tells it
    good = (
        call.status == _OK
        and call.envelope["code"] == _OK
        and call.message == contract().success_message
        and call.data is not None
    )
    return None if good else answer_of(call)
