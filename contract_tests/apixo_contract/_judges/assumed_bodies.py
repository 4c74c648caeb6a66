"""What the assumptions about submit bodies turned out to be."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from apixo_contract._catalogue import assumption_check_id
from apixo_contract._judges._outcome import (
    Outcome,
    Sighting,
    answer_of,
    assumed,
    shown,
    simplest,
    skipped,
)
from apixo_contract._oracle import rule_of_message
from apixo_contract._plan import LENIENT, SHOWN_BY_LENIENT, TOLERANT
from apixo_contract._view import Submitted, View
from apixo_schemas import Grade, contract

_PAYMENT_REQUIRED = 402
_ACCEPTED = "accepted"
_REJECTED = "rejected"
_TRIMMED = "trimmed"


def bodies(view: View) -> Iterator[Outcome]:
    """Judge the assumptions that a probe puts to the test."""
    for name in ("request_type.unknown", "callback_url.missing", "callback_url.type"):
        yield _wording(view, name)
    for name in ("input.not_object", "body.not_object", "body.not_json"):
        yield _wording(view, name)
    for name in ("output_format.case", "values.whitespace"):
        yield _wording(view, name)
    yield _as_oracle_says(view, "body.content_type")
    yield _tolerated(view, "null.optional", "nulls")
    yield _tolerated(view, "parameters.unknown", "unknown-parameters")
    yield _tolerated(view, "request_type.missing", "no-request-type")
    yield _callback_not_https(view)
    yield order(view)


def _probes(view: View, name: str) -> list[Submitted]:
    return [found for found in view.submits if found.exchange.probe.partition("/")[0] == name]


def _unseen(view: View) -> str:
    return view.note("budget", "no such body was sent")


def _told(found: Submitted) -> str:
    return _ACCEPTED if found.exchange.accepted else shown(answer_of(found.exchange))


def _wording(view: View, name: str) -> Outcome:
    """A body that is refused in words of ours; observed are the target's words."""
    check_id = assumption_check_id(name)
    probes = _probes(view, name) or _taken_leniently(view, name)
    if not probes:
        return skipped(check_id, _unseen(view))
    found = probes[0]
    message = _message_of(found, name)
    if found.exchange.accepted:
        observed: Any = _TRIMMED if name == "values.whitespace" else _ACCEPTED
    else:
        observed = found.exchange.message
    same = not found.exchange.accepted and found.exchange.message == message
    sighting = Sighting(found.exchange, f"refused: {message}", _told(found))
    words = f"as assumed: {message}" if same else _told(found)
    return assumed(check_id, words, sighting, holds=same, observed=observed)


def _taken_leniently(view: View, name: str) -> list[Submitted]:
    """Give the probe of three assumptions at once, if it was accepted."""
    if name not in SHOWN_BY_LENIENT:
        return []
    return [found for found in _probes(view, LENIENT) if found.exchange.accepted]


def _message_of(found: Submitted, name: str) -> str:
    said = found.expected
    if said is None or said.winner is None:
        return contract().errors["invalid_json"].message
    by_source = (rule for rule in said.broken if rule.source == f"assumption {name}")
    return next(by_source, said.winner).message


def _as_oracle_says(view: View, name: str) -> Outcome:
    """Bodies that break a documented rule, and ought to be answered as if that were all."""
    check_id = assumption_check_id(name)
    probes = _probes(view, name)
    if not probes:
        return skipped(check_id, _unseen(view))
    wrong = _not_as_oracle_says(probes)
    if not wrong:
        return assumed(check_id, f"{len(probes)} bodies answered as assumed", holds=True)
    return _refuted(check_id, len(probes), wrong)


def _not_as_oracle_says(probes: list[Submitted]) -> list[Sighting]:
    wrong = []
    for found in probes:
        winner = found.expected.winner if found.expected else None
        if winner is not None and found.exchange.message != winner.message:
            wrong.append(Sighting(found.exchange, winner.message, _told(found)))
    return wrong


def _refuted(check_id: str, seen: int, wrong: list[Sighting]) -> Outcome:
    first = simplest(wrong)
    words = f"{len(wrong)} of {seen}: {first.observed}"
    return assumed(check_id, words, first, holds=False, observed=_REJECTED)


def _tolerated(view: View, name: str, alone: str) -> Outcome:
    """What ought to be taken: as a task, with others or alone, and beside a broken rule."""
    check_id = assumption_check_id(name)
    probes = _probes(view, name)
    wrong = _not_as_oracle_says(probes)
    together, single = view.planned.get(TOLERANT), view.planned.get(alone)
    taken = [task for task in (together, single) if task is not None and task.exchange.accepted]
    if single is not None and not taken and single.exchange.status != _PAYMENT_REQUIRED:
        wrong.append(Sighting(single.exchange, _ACCEPTED, _told(single)))
    if wrong:
        return _refuted(check_id, len(probes) + 1, wrong)
    if not taken:
        return skipped(check_id, view.no_tasks if view.tasks else _unseen(view))
    words = "accepted as a task" + (f", and so in {len(probes)} bodies" if probes else "")
    return assumed(check_id, words, holds=True)


def _callback_not_https(view: View) -> Outcome:
    check_id = assumption_check_id("callback_url.not_https")
    found = view.planned.get("callback")
    url = str(found.body.get("callback_url")) if found else ""
    if found is None or url.startswith("https://"):
        reason = view.note("callbacks", view.no_tasks) if found is None else "the URL was HTTPS"
        return skipped(check_id, reason)
    if found.exchange.status == _PAYMENT_REQUIRED:
        return skipped(check_id, "no money for a task")
    same = found.exchange.accepted
    observed = None if same else found.exchange.message
    sighting = Sighting(found.exchange, _ACCEPTED, _told(found))
    return assumed(check_id, f"{url}: {_told(found)}", sighting, holds=same, observed=observed)


def order(view: View) -> Outcome:
    """Judge which message wins when several rules are broken; documented rules only."""
    check_id = assumption_check_id("order")
    seen, wrong = 0, []
    wins: dict[str, set[str]] = {
        rule.id: set() for rule in contract().rules if rule.grade is not Grade.ASSUMED
    }
    for found in view.submits:
        said = found.expected
        if said is None or said.doubts != {"order"} or found.exchange.accepted:
            continue
        won = rule_of_message(found.exchange.message)
        if won is None or won not in said.broken:
            continue
        seen += 1
        for lost in said.broken:
            if lost is not won:
                wins[lost.id].add(won.id)
        if won is not said.winner and said.winner is not None:
            broken = " + ".join(rule.id for rule in said.broken)
            words = f"{won.id} wins over {said.winner.id}"
            wrong.append(Sighting(found.exchange, f"of {broken}: {said.winner.id}", words))
    if not seen:
        return skipped(check_id, _unseen(view))
    if not wrong:
        return assumed(check_id, f"{seen} bodies that break two or more rules", holds=True)
    first = simplest(wrong)
    words = f"{len(wrong)} of {seen}: {first.observed}"
    return assumed(check_id, words, first, holds=False, observed=_ordered(wins))


def _ordered(wins: dict[str, set[str]]) -> list[str] | None:
    """Give an order in which every seen winner comes first; None where there is none."""
    try:
        return list(TopologicalSorter(wins).static_order())
    except CycleError:
        return None
