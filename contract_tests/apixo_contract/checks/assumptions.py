"""Assumptions about submit bodies: each is tested by a body whose answer is not documented.

An assumption is confirmed or refuted, which is no failure. `learn` turns a refuted one into a
setting of the emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Any

from apixo_contract.bodies import body, documented_rules
from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    answer_of,
    as_assumed,
    assumed,
    assumption,
    refusal_of,
    simplest,
    skipped,
    wording_of,
)
from apixo_contract.checks.submit import unsent
from apixo_contract.checks.values import NOT_A_URL, TOLERANT, check_of_blamed_value
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.oracle import rule_of_message
from apixo_contract.session import Session
from apixo_contract.text import clipped, compact_json, plural
from apixo_contract.view import View
from apixo_schemas import contract

_PAYMENT_REQUIRED = 402
_ACCEPTED = "accepted"
# Several liberties at once: a target that accepts this body takes all of them.
_LENIENT = "lenient"
# The values of a profile for targets that accept what is assumed to be refused.
_WHEN_ACCEPTED = {"output_format.case": "insensitive", "values.whitespace": "trimmed"}
_SHOWN_BY_LENIENT = frozenset({"output_format.case", "values.whitespace", "request_type.unknown"})
_OTHER_CASE_OF_MODE = "IMAGE-TO-IMAGE"

Setting = Callable[[Exchange], Any]


# --- what is sent -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """A body that tests an assumption.

    ``name`` is the assumption's id; what stands behind a slash distinguishes several of one kind. A
    risky one may be accepted, and then costs a task.
    """

    name: str
    text: str
    risky: bool = False
    content_type: str | None = "application/json"


def _probes(url: str) -> Iterator[Probe]:
    yield Probe("null.optional/image_urls", compact_json(body(url, image_urls=None)))
    yield Probe("null.optional/input", compact_json({"request_type": "async", "input": None}))
    broken = compact_json(body(url, output_format="other"))
    yield Probe("body.content_type", broken, content_type=None)
    yield Probe("input.not_object/text", compact_json({"request_type": "async", "input": url}))
    yield Probe("input.not_object/array", compact_json({"request_type": "async", "input": [url]}))
    yield Probe("body.not_json", '{"request_type":"async","input":')
    yield Probe("body.not_object", compact_json([body(url)]))
    loose = body(url, request_type="sync", resolution=" 4k ", output_format="PNG")
    yield Probe(_LENIENT, compact_json(loose), risky=True)
    yield Probe("output_format.case", compact_json(body(url, output_format="PNG")), risky=True)
    yield Probe("values.whitespace", compact_json(body(url, resolution=" 4k ")), risky=True)
    yield Probe("request_type.unknown", compact_json(body(url, request_type="sync")), risky=True)
    # No assumption speaks of it: a target that accepts it goes beyond the contract.
    yield Probe("mode.case", compact_json(body(url, mode=_OTHER_CASE_OF_MODE)), risky=True)
    by_callback = body(url, request_type="callback")
    yield Probe("callback_url.missing", compact_json(by_callback), risky=True)
    empty = compact_json({**by_callback, "callback_url": ""})
    yield Probe("callback_url.missing/empty", empty, risky=True)
    number = compact_json({**by_callback, "callback_url": 7})
    yield Probe("callback_url.type", number, risky=True)


def send_probes(session: Session, *, risky: bool) -> None:
    """Submit the bodies that test an assumption; risky ones may be accepted."""
    lenient = False
    for probe in _probes(session.settings.image_url):
        if probe.risky is not risky or (lenient and probe.name in _SHOWN_BY_LENIENT):
            continue
        found = session.submit(
            probe.text, Purpose.PROBE, probe=probe.name, content_type=probe.content_type
        )
        lenient = lenient or (found is not None and found.succeeded and probe.name == _LENIENT)


# --- bodies that are refused in words of ours ---------------------------------------------------


def _submitted(view: View, name: str) -> list[Exchange]:
    return [found for found in view.submits if found.name == name and not found.is_open]


def _planned(view: View, name: str) -> Exchange | None:
    found = view.planned.get(name)
    return None if found is None or found.is_open else found


def _told(found: Exchange) -> str:
    return _ACCEPTED if found.succeeded else clipped(answer_of(found))


def _wording(view: View, name: str) -> Outcome:
    """Judge a body that is refused in words of ours; what is observed are the target's words."""
    lenient = [found for found in _submitted(view, _LENIENT) if found.succeeded]
    probes = _submitted(view, name) or (lenient if name in _SHOWN_BY_LENIENT else [])
    if not probes:
        return skipped(view.or_open(unsent(view)))
    found = probes[0]
    message = _message_of(found, name)
    if not found.succeeded and found.message == message:
        return as_assumed(message)
    evidence = Evidence(found, f"refused: {message}", _told(found))
    return assumed(_told(found), evidence, observed=_setting(name, found))


def _setting(name: str, found: Exchange) -> Any:
    """Return what a target does with a body, as a value of a profile."""
    if name in _WHEN_ACCEPTED:
        return _WHEN_ACCEPTED[name] if found.succeeded else None
    if name == "body.not_json":
        return None if found.succeeded else refusal_of(found)
    return _ACCEPTED if found.succeeded else wording_of(found)


def _message_of(found: Exchange, name: str) -> str:
    said = found.expected
    if said is None or said.winner is None:
        return contract().errors["invalid_json"].message
    by_source = (rule for rule in said.broken if rule.source == f"assumption {name}")
    return next(by_source, said.winner).message


for _name in (
    *("request_type.unknown", "callback_url.missing", "callback_url.type", "input.not_object"),
    *("body.not_object", "body.not_json", "output_format.case", "values.whitespace"),
):
    assumption(_name)(partial(_wording, name=_name))


# --- bodies that are treated as if the doubt were not there -------------------------------------


def _contrary(probes: list[Exchange]) -> list[Evidence]:
    """Return the bodies that did not get the message of the rule that they break.

    A message about a supported value says nothing of the assumption: it breaks another check.
    """
    return [
        Evidence(found, found.expected.winner.message, _told(found))
        for found in probes
        if found.expected is not None and found.expected.winner is not None
        if found.message != found.expected.winner.message
        if check_of_blamed_value(found, found.expected) is None
    ]


def _refuted(seen: int, contrary: list[Evidence], setting: Setting) -> Outcome:
    first = simplest(contrary)
    words = f"{len(contrary)} of {seen} bodies: {first.observed}"
    observed = setting(first.call) if isinstance(first.call, Exchange) else None
    return assumed(words, first, observed=observed)


@assumption("body.content_type")
def content_type_of_bodies(view: View) -> Outcome:
    """Judge a body without `Content-Type`."""
    probes = _submitted(view, "body.content_type")
    if not probes:
        return skipped(view.or_open(unsent(view)))
    contrary = _contrary(probes)
    if contrary:
        return _refuted(len(probes), contrary, refusal_of)
    return as_assumed(plural(len(probes), "body", "bodies"))


def _tolerated(view: View, name: str, alone: str, setting: Setting) -> Outcome:
    """Judge what ought to be accepted: as a task, with others or alone, and beside a broken rule."""
    probes = _submitted(view, name)
    contrary = _contrary(probes)
    together, single = _planned(view, TOLERANT), _planned(view, alone)
    accepted = [task for task in (together, single) if task is not None and task.succeeded]
    refused = single is not None and single.status != _PAYMENT_REQUIRED
    if single is not None and not accepted and refused:
        contrary.append(Evidence(single, _ACCEPTED, _told(single)))
    if contrary:
        return _refuted(len(probes) + 1, contrary, setting)
    if not accepted:
        return skipped(view.no_tasks if view.tasks else view.or_open(unsent(view)))
    beside = f", and ignored in {plural(len(probes), 'refused body', 'refused bodies')}"
    return assumed(f"Accepted as a task{beside if probes else ''}.")


# By the task that is submitted for it alone, and what a profile says of a target that refuses it.
for _name, _task, _refusal in (
    ("null.optional", "nulls", lambda _call: "rejected"),
    ("parameters.unknown", "unknown-parameters", wording_of),
    ("request_type.missing", "no-request-type", wording_of),
):
    assumption(_name)(partial(_tolerated, name=_name, alone=_task, setting=_refusal))


@assumption("callback_url.not_https")
def callback_url_not_https(view: View) -> Outcome:
    """Judge a callback address that is not HTTPS."""
    names = ("callback-plain", "callback")
    found = next((task for name in names if (task := _planned(view, name))), None)
    if found is None or not found.by_callback:
        return skipped(view.or_open(view.note("callbacks", view.no_tasks)))
    if found.callback_url.startswith("https://"):
        return skipped("The callback URL was HTTPS.")
    if found.status == _PAYMENT_REQUIRED:
        return skipped("The account has no money for a task.")
    evidence = Evidence(found, _ACCEPTED, _told(found))
    words = f"{found.callback_url}: {_told(found)}"
    return assumed(words, evidence, holds=found.succeeded, observed=wording_of(found))


@assumption("image_url.not_a_url")
def not_a_url(view: View) -> Outcome:
    """Judge an image URL that is none."""
    found = _planned(view, NOT_A_URL)
    if found is None:
        return skipped(view.or_open(view.note("budget", view.no_tasks)))
    wanted = contract().assumed("image_url.not_a_url")
    if not found.succeeded:
        words = answer_of(found)
        evidence = Evidence(found, _ACCEPTED, words)
        return assumed(words, evidence, observed=wording_of(found))
    task = view.tasks.get(found.submitted_id or "")
    if task is None or task.final is None:
        return skipped("The task has not ended: give a higher --max-wait.")
    observed = task.final.task.get("failCode") if task.failed else "success"
    evidence = Evidence(task.final, str(wanted), clipped(observed))
    words = f"Accepted, then {clipped(observed)}."
    is_known = isinstance(observed, str) and observed in contract().failures
    known = observed if is_known else None
    return assumed(words, evidence, holds=observed == wanted, observed=known)


# --- the order of the rules ---------------------------------------------------------------------


@assumption("order")
def order(view: View) -> Outcome:
    """Judge which message wins if several documented rules are broken."""
    seen, contrary = 0, []
    wins: dict[str, set[str]] = {rule_id: set() for rule_id in documented_rules()}
    for found in view.submits:
        said = found.expected
        if said is None or said.winner is None or said.doubts != {"order"} or found.succeeded:
            continue
        won = rule_of_message(found.message)
        if won is None or won not in said.broken:
            continue
        seen += 1
        for lost in said.broken:
            if lost is not won:
                wins[lost.id].add(won.id)
        if won is not said.winner:
            broken = " + ".join(rule.id for rule in said.broken)
            words = f"{won.id} wins over {said.winner.id}"
            contrary.append(Evidence(found, f"of {broken}: {said.winner.id}", words))
    if not seen:
        return skipped(view.or_open(unsent(view)))
    if not contrary:
        return as_assumed(f"{seen} bodies that break two rules or more")
    first = simplest(contrary)
    words = f"{len(contrary)} of {seen} bodies: {first.observed}"
    return assumed(words, first, observed=_ordered(wins))


def _ordered(wins: dict[str, set[str]]) -> list[str] | None:
    """Return an order in which every seen winner comes first; None if there is none."""
    try:
        return list(TopologicalSorter(wins).static_order())
    except CycleError:
        return None
