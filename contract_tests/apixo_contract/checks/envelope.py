"""Checks of every answer: the envelope `{code, message, data}`, and the form of errors."""

from __future__ import annotations

from typing import Any

from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    Rank,
    answer_of,
    as_assumed,
    assumed,
    assumption,
    check,
    fact,
    judged,
    page,
    skipped,
)
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.session import OK
from apixo_contract.text import as_json, clipped, plural
from apixo_contract.view import View, is_integer
from apixo_schemas import contract

_UNSEEN = "No call was answered."
_TOO_MANY = 429
# Calls that a correct target answers with success; that others succeed breaks another check.
_TO_SUCCEED = frozenset({Purpose.TASK, Purpose.POLL, Purpose.POLL_AGAIN, Purpose.BALANCE})


@check("envelope.shape", fact(1), rank=Rank.ENVELOPE)
def shape(view: View) -> Outcome:
    """Every answer is a JSON object with an integer `code` and a non-empty text `message`."""
    return judged(view.api, _misshapen, "an object with `code` and `message`", unseen=_UNSEEN)


def _misshapen(call: Exchange) -> str | None:
    if not isinstance(call.json, dict):
        return f"no JSON object: {answer_of(call)}"
    if not is_integer(call.json.get("code")):
        return f"`code` is no integer: {answer_of(call)}"
    if not call.message:
        return f"`message` is no text, or an empty one: {answer_of(call)}"
    return None


def _shapely(view: View) -> list[Exchange]:
    return [call for call in view.api if not _misshapen(call)]


def _errors(view: View) -> list[Exchange]:
    return [call for call in view.once(_shapely) if call.is_error]


@check("envelope.code", fact(1), rank=Rank.ENVELOPE)
def code(view: View) -> Outcome:
    """`code` of every answer is its HTTP status."""

    def fault(call: Exchange) -> str | None:
        found = call.envelope["code"]
        return None if found == call.status else f"HTTP {call.status}, code {found}"

    return judged(view.once(_shapely), fault, "a `code` that is the HTTP status", unseen=_UNSEEN)


@check("envelope.success", page("Submit task response"), rank=Rank.FORM)
def success(view: View) -> Outcome:
    """A success has HTTP status 200, code 200, the message `success`, and data."""

    def is_wrong(call: Exchange) -> bool:
        told = (call.status, call.envelope["code"], call.message)
        return told != (OK, OK, contract().success_message) or call.data is None

    # If the code denies the status, `envelope.code` says so.
    calls = [c for c in view.once(_shapely) if c.purpose in _TO_SUCCEED and c.succeeded]
    expected, unseen = "code 200, message `success`, data", "No success was seen."
    return judged(calls, is_wrong, expected, unseen=unseen, what="successes")


@check("envelope.error-data", fact(2), rank=Rank.FORM)
def error_data_type(view: View) -> Outcome:
    """`data` of an error is null, absent or an object."""

    def is_wrong(call: Exchange) -> bool:
        return not isinstance(call.data, dict | None)

    expected, unseen = "`data` null, absent or an object", "No error was seen."
    return judged(_errors(view), is_wrong, expected, unseen=unseen, what="errors")


# --- assumptions ------------------------------------------------------------------------------


@assumption("response.content_type")
def content_type(view: View) -> Outcome:
    """Judge which `Content-Type` answers have."""
    wanted = contract().assumed("response.content_type")
    calls = view.once(_shapely)
    if not calls:
        return skipped(_UNSEEN)
    other = [call for call in calls if _media_type(call) != wanted]
    if not other:
        return assumed(f"{plural(len(calls), 'answer')} of type {wanted}.")
    found = _media_type(other[0])
    words = f"{len(other)} of {plural(len(calls), 'answer')} of type {found or 'none'}."
    evidence = Evidence(other[0], f"`Content-Type: {wanted}`", f"`Content-Type: {found}`")
    return assumed(words, evidence, observed=found or None)


def _media_type(call: Exchange) -> str:
    return call.answer_headers.get("content-type", "").partition(";")[0].strip().lower()


@assumption("error.data")
def error_data(view: View) -> Outcome:
    """Judge what `data` is on errors."""
    calls = _errors(view)
    if not calls:
        return skipped("No error was seen.")
    other = [call for call in calls if "data" not in call.envelope or call.data is not None]
    if not other:
        return assumed(f"`data` is null in {plural(len(calls), 'error')}.")
    call = other[0]
    is_there = "data" in call.envelope
    words = f"`data` is {as_json(call.data) if is_there else 'absent'}."
    observed = _with_message(call.data, call.message) if is_there else "absent"
    return assumed(words, Evidence(call, "`data` null", answer_of(call)), observed=observed)


def _with_message(value: Any, message: str | None) -> Any:
    """Return a value with `$message` for the message; TOML has no null, so that is left out."""
    if isinstance(value, dict):
        known = {name: part for name, part in value.items() if part is not None}
        return {name: _with_message(part, message) for name, part in known.items()}
    if isinstance(value, list):
        return [_with_message(part, message) for part in value if part is not None]
    return "$message" if value == message else value


def _in_assumed_words(call: Exchange) -> str | None:
    """Return the name of the error whose wording is assumed, if the call leaves no doubt."""
    errors = contract().errors
    names = {
        Purpose.KEY: "unauthorized",
        Purpose.POLL_UNKNOWN: "task_not_found",
        Purpose.TASK: "insufficient_balance",
    }
    name = names.get(call.purpose, "")
    return name if name and call.status == errors[name].status else None


@assumption("error.wording")
def error_wording(view: View) -> Outcome:
    """Judge the messages of errors that the page does not word."""
    seen: dict[str, Exchange] = {}
    for call in view.once(_shapely):
        if name := _in_assumed_words(call):
            seen.setdefault(name, call)
    if not seen:
        return skipped("No such error was seen.")
    errors = contract().errors
    other = {name: call for name, call in seen.items() if call.message != errors[name].message}
    if not other:
        return as_assumed(", ".join(seen))
    evidence = [
        Evidence(call, errors[name].message, clipped(call.message)) for name, call in other.items()
    ]
    observed = {name: call.message for name, call in other.items()}
    words = "; ".join(f"{name}: {clipped(message)}" for name, message in observed.items())
    return assumed(words, *evidence, observed=observed)


@assumption("retry_after")
def retry_after(view: View) -> Outcome:
    """Judge whether `Retry-After` is sent with 429."""
    limited = [call for call in view.run.exchanges if call.status == _TOO_MANY]
    if not limited:
        return skipped("The target never answered with HTTP 429.")
    other = [call for call in limited if not _retry_header(call).isdecimal()]
    if not other:
        words = f"Sent with {plural(len(limited), 'answer')} of HTTP 429."
        return assumed(words, observed="seconds")
    value = _retry_header(other[0])
    found = f"`Retry-After: {value}`" if value else "no `Retry-After`"
    evidence = Evidence(other[0], "`Retry-After` in seconds", found)
    observed = "date" if value else "absent"
    return assumed(f"HTTP 429 comes with {found}.", evidence, observed=observed)


def _retry_header(call: Exchange) -> str:
    return call.answer_headers.get("retry-after", "")
