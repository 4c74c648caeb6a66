"""Judges of the submit endpoint: which bodies are taken, and what the others are told."""

from __future__ import annotations

from collections.abc import Iterator

from apixo_contract._catalogue import rule_check_id
from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, ruled, skipped
from apixo_contract._judges.faults import check_of_value, faults_of
from apixo_contract._judges.pictures import format_fault, same_size
from apixo_contract._observations import Exchange, Purpose
from apixo_contract._oracle import DUPLICATES, rule_of_message
from apixo_contract._view import Submitted, View
from apixo_schemas import Grade, contract

_BUDGET = "no such body was sent"
_PAYMENT_REQUIRED = 402
# These say something else than that the body is wrong (page, HTTP errors).


def rules(view: View) -> Iterator[Outcome]:
    """Judge `submit.rule.*` and `submit.several-rules`, and blame of valid values."""
    faults = faults_of(view)
    for rule in contract().rules:
        if rule.grade is Grade.ASSUMED:
            continue
        check_id = rule_check_id(rule.id)
        seen = sum(_is_single(found, rule.id) for found in view.submits)
        what = "bodies that break it"
        yield ruled(check_id, seen, faults[check_id], unseen=_unsent(view), what=what)
    several = sum(_is_several(found) for found in view.submits)
    yield ruled(
        "submit.several-rules",
        several,
        faults["submit.several-rules"],
        unseen=_unsent(view),
        what="bodies that break two or more",
    )


def _unsent(view: View) -> str:
    return view.note("budget", _BUDGET)


def _is_single(found: Submitted, rule_id: str) -> bool:
    said = found.expected
    if said is None or found.exchange.purpose is Purpose.PROBE:
        return False
    return said.documented and [rule.id for rule in said.broken] == [rule_id]


def _is_several(found: Submitted) -> bool:
    said = found.expected
    return said is not None and said.doubts == {"order"}


# Which planned tasks show what, beside being accepted at all.
_SHOWS = {
    "submit.accepts": ("example", "callback", "callback-https", "2k-png", "8k-webp", "repeat"),
    "submit.default.mode": ("minimal",),
    "submit.default.resolution": ("minimal",),
    "submit.default.output_format": ("minimal",),
    "submit.resolution-case": ("2K-jpeg", "tolerant"),
    "submit.jpeg-alias": ("2K-jpeg",),
    "submit.provider": ("tolerant", "provider"),
}


def acceptance(view: View) -> Iterator[Outcome]:
    """Judge the values, defaults and aliases that must be accepted, at submit."""
    faults = faults_of(view)
    if not view.planned:
        faults["submit.accepts"] += _broken_off(view)
    for name, found in view.planned.items():
        if blamed := _blamed(name, found):
            faults[blamed].append(_untaken(found.exchange))
    for check_id, sighting in _results_of_defaults(view):
        faults[check_id].append(sighting)
    for check_id, names in _SHOWS.items():
        seen = sum(view.planned[name].exchange.accepted for name in names if name in view.planned)
        yield ruled(check_id, seen, faults[check_id], unseen=view.no_tasks, what="tasks accepted")


def _broken_off(view: View) -> list[Sighting]:
    """Give the tasks that the target hung up on, where it answered none: one may be bad luck."""
    return [_untaken(call) for call in view.run.of(Purpose.TASK) if call.status is None]


def _untaken(call: Exchange) -> Sighting:
    return Sighting(call, "accepted: code 200 and a `taskId`", answer_of(call))


def _results_of_defaults(view: View) -> Iterator[tuple[str, Sighting]]:
    """Compare results of defaults and aliases with those of the values that they stand for."""
    written_out = {
        "minimal": ("submit.default.output_format", "submit.default.resolution", ("example",)),
        "2K-jpeg": (
            "submit.jpeg-alias",
            "submit.resolution-case",
            ("callback", "callback-https", "2k-png"),
        ),
    }
    for task in view.tasks.values():
        if task.name not in written_out or task.result is None or task.result.picture is None:
            continue
        of_format, of_size, as_names = written_out[task.name]
        if fault := format_fault(task, task.result.picture):
            yield of_format, fault
        if fault := same_size(view, task, as_names=as_names):
            yield of_size, fault


# What a refused task breaks, unless its message names something else.
_REFUSED = {
    "minimal": "submit.default.mode",
    "2K-jpeg": "submit.resolution-case",
    "provider": "submit.provider",
    **dict.fromkeys((*_SHOWS["submit.accepts"], "failing"), "submit.accepts"),
}


def _blamed(name: str, found: Submitted) -> str | None:
    """Give the check that a refused task breaks."""
    call = found.exchange
    said = found.expected
    if call.accepted or call.status == _PAYMENT_REQUIRED or said is None or not said.accepted:
        return None
    rule = rule_of_message(call.message)
    by_message = check_of_value(found, rule) if rule is not None else None
    if by_message is not None:
        return by_message
    if found.by_callback and not str(found.body.get("callback_url")).startswith("https://"):
        return None  # the page wants a public HTTPS URL; `callback-https` tells more
    return _REFUSED.get(name)


def responses(view: View) -> Iterator[Outcome]:
    """Judge `submit.response`, `submit.refused-id` and `task-id.unique`."""
    accepted = [found.exchange for found in view.submits if found.exchange.accepted]
    nameless = [
        Sighting(call, "a text as `data.taskId`", answer_of(call))
        for call in accepted
        if call.submitted_id is None
    ]
    unseen = view.no_tasks
    yield ruled("submit.response", len(accepted), nameless, unseen=unseen, what="accepted submits")
    refused = [f.exchange for f in view.submits if not f.exchange.accepted]
    named = [
        Sighting(call, "no `taskId`", answer_of(call))
        for call in refused
        if call.submitted_id is not None
    ]
    yield ruled("submit.refused-id", len(refused), named, unseen=_unsent(view), what="refusals")
    known: set[str] = set()
    repeated = []
    for call in accepted:
        if call.submitted_id in known:
            repeated.append(Sighting(call, "an id that was not given before", answer_of(call)))
        known.add(call.submitted_id or "")
    if len(accepted) < 2:  # noqa: PLR2004 - one id cannot repeat
        yield skipped("task-id.unique", view.note("tasks", "fewer than two tasks were accepted"))
    else:
        yield ruled("task-id.unique", len(accepted), repeated, unseen="", what="ids")


def refusals(view: View) -> Iterator[Outcome]:
    """Judge the status of refused bodies, and of bodies that are no object at all."""
    wrong, seen = [], 0
    for found in view.submits:
        said = found.expected
        call = found.exchange
        if said is None or not said.broken or call.purpose is Purpose.TASK:
            continue
        solid = said.documented or said.doubts <= {"order", DUPLICATES}
        if not solid or call.accepted or call.status is None:
            continue
        seen += 1
        if call.status != contract().refused_status:
            wrong.append(Sighting(call, "HTTP 400", answer_of(call)))
    unseen = _unsent(view)
    yield ruled("errors.validation-status", seen, wrong, unseen=unseen, what="refusals")
    bodies = [f for f in view.submits if f.exchange.probe in {"body.not_json", "body.not_object"}]
    broken = [
        Sighting(found.exchange, "refused, HTTP 400", answer_of(found.exchange))
        for found in bodies
        if found.exchange.status != contract().refused_status
    ]
    yield ruled("errors.invalid-body", len(bodies), broken, unseen=unseen, what="bodies")


def callback_url(view: View) -> Outcome:
    """Judge `submit.callback-url-required`: the page, "Required when request_type is callback"."""
    calls = [call for call in view.of(Purpose.PROBE) if call.probe == "callback_url.missing"]
    broken = [
        Sighting(call, "refused: `callback_url` is required", answer_of(call))
        for call in calls
        if call.accepted
    ]
    unseen = _unsent(view)
    return ruled("submit.callback-url-required", len(calls), broken, unseen=unseen, what="bodies")
