"""What the assumptions about answers, tasks and results turned out to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apixo_contract._catalogue import assumption_check_id
from apixo_contract._judges._outcome import (
    Outcome,
    Sighting,
    answer_of,
    as_json,
    assumed,
    shown,
    skipped,
)
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._view import View
from apixo_schemas import contract

_HEX32 = re.compile(r"[0-9a-f]{32}")
_ROUNDING_MS = 2
_TOO_MANY = 429


def answers(view: View) -> Iterator[Outcome]:
    """Judge the assumptions about answers that are not documented word for word."""
    yield _error_wording(view)
    yield _error_data(view)
    yield _retry_after(view)
    yield _task_id_missing(view)
    yield _other_key(view)


def _error_wording(view: View) -> Outcome:
    check_id = assumption_check_id("error.wording")
    seen: dict[str, Exchange] = {}
    for call in view.api:
        name = _catalogued(call)
        if name:
            seen.setdefault(name, call)
    if not seen:
        return skipped(check_id, "no such error was seen")
    errors = contract().errors
    other = {name: call for name, call in seen.items() if call.message != errors[name].message}
    if not other:
        return assumed(check_id, f"as assumed: {', '.join(seen)}", holds=True)
    sightings = [
        Sighting(call, errors[name].message, shown(call.message)) for name, call in other.items()
    ]
    observed = {name: call.message for name, call in other.items()}
    words = "; ".join(f"{name}: {shown(message)}" for name, message in observed.items())
    return assumed(check_id, words, *sightings, holds=False, observed=observed)


def _catalogued(call: Exchange) -> str | None:
    """Give the name of an error whose wording is assumed, where the call leaves no doubt."""
    if call.purpose is Purpose.KEY and call.status == contract().errors["unauthorized"].status:
        return "unauthorized"
    if call.purpose is Purpose.POLL_UNKNOWN:
        same = call.status == contract().errors["task_not_found"].status
        return "task_not_found" if same else None
    if call.purpose is Purpose.TASK:
        same = call.status == contract().errors["insufficient_balance"].status
        return "insufficient_balance" if same else None
    return None


def _error_data(view: View) -> Outcome:
    check_id = assumption_check_id("error.data")
    errors = [
        call
        for call in view.api
        if call.status is not None and call.status >= 400 and call.envelope  # noqa: PLR2004 - HTTP's errors
    ]
    if not errors:
        return skipped(check_id, "no error was seen")
    other = [call for call in errors if "data" not in call.envelope or call.data is not None]
    if not other:
        return assumed(check_id, f"null on {len(errors)} errors", holds=True)
    call = other[0]
    observed = call.data if "data" in call.envelope else "absent"
    if isinstance(observed, dict) and observed.get("error") == call.message:
        observed = {"error": "{message}"}
    words = as_json(call.data) if "data" in call.envelope else "absent"
    return assumed(
        check_id,
        words,
        Sighting(call, "`data` null", answer_of(call)),
        holds=False,
        observed=observed,
    )


def _retry_after(view: View) -> Outcome:
    check_id = assumption_check_id("retry_after")
    limited = [call for call in view.run.exchanges if call.status == _TOO_MANY]
    if not limited:
        return skipped(check_id, "429 was not answered")
    values = [call.answer_headers.get("retry-after") for call in limited]
    if all(value is not None and value.isdecimal() for value in values):
        return assumed(
            check_id, f"sent with {len(limited)} answers 429", holds=True, observed="seconds"
        )
    first = next(c for c, v in zip(limited, values, strict=True) if not (v and v.isdecimal()))
    value = first.answer_headers.get("retry-after")
    observed = "absent" if value is None else "date"
    sighting = Sighting(first, "`Retry-After` in seconds", f"`Retry-After`: {value}")
    return assumed(check_id, f"`Retry-After`: {value}", sighting, holds=False, observed=observed)


def _task_id_missing(view: View) -> Outcome:
    check_id = assumption_check_id("task_id.missing")
    calls = [call for call in view.of(Purpose.PROBE) if call.probe == "task_id.missing"]
    if not calls:
        return skipped(check_id, "no poll without `taskId` was made")
    error = contract().errors["task_id_missing"]
    call = calls[0]
    same = call.status == error.status and call.message == error.message
    observed = {"status": call.status, "message": call.message}
    sighting = Sighting(call, f"HTTP {error.status} {error.message}", answer_of(call))
    return assumed(check_id, answer_of(call), sighting, holds=same, observed=observed)


def _other_key(view: View) -> Outcome:
    check_id = assumption_check_id("task.other_key")
    wrong = [call for call in view.of(Purpose.KEY) if call.key is Key.WRONG]
    if not any(call.succeeded and call.probe == "balance" for call in wrong):
        return skipped(check_id, "it takes a second valid key")
    calls = [call for call in wrong if call.task_id in view.tasks]
    if not calls:
        return skipped(check_id, view.no_tasks)
    status = contract().errors["task_not_found"].status
    call = calls[0]
    same = call.status == status
    sighting = Sighting(call, f"HTTP {status}", answer_of(call))
    return assumed(check_id, f"HTTP {call.status}", sighting, holds=same, observed=call.status)
