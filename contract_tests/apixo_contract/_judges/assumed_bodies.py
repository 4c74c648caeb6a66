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
from apixo_contract._view import Submitted, View
from apixo_schemas import Grade, contract

_PAYMENT_REQUIRED = 402
_ACCEPTED = "accepted"
_REJECTED = "rejected"


def bodies(view: View) -> Iterator[Outcome]:
    """Judge the assumptions that a probe puts to the test."""
    for name in ("request_type.unknown", "callback_url.missing", "callback_url.type"):
        yield _wording(view, name)
    for name in ("input.not_object", "body.not_object", "body.not_json"):
        yield _wording(view, name)
    for name in ("null.optional", "values.whitespace", "body.content_type"):
        yield _as_oracle_says(view, name)
    yield _as_oracle_says(view, "parameters.unknown")
    yield _wording(view, "output_format.case")
    yield _request_type_missing(view)
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
    probes = _probes(view, name)
    if not probes:
        return skipped(check_id, _unseen(view))
    found = probes[0]
    message = _message_of(found, name)
    if found.exchange.accepted:
        observed: Any = _ACCEPTED
    else:
        observed = found.exchange.message
    same = not found.exchange.accepted and found.exchange.message == message
    sighting = Sighting(found.exchange, f"refused: {message}", _told(found))
    words = f"as assumed: {message}" if same else _told(found)
    return assumed(check_id, words, sighting, holds=same, observed=observed)


def _message_of(found: Submitted, name: str) -> str:
    said = found.expected
    if said is None or said.winner is None:
        return contract().errors["invalid_json"].message
    by_source = (rule for rule in said.broken if rule.source == f"assumption {name}")
    return next(by_source, said.winner).message


def _as_oracle_says(view: View, name: str) -> Outcome:
    """Bodies whose documented message comes first, or does not, by what is assumed."""
    check_id = assumption_check_id(name)
    probes = _probes(view, name)
    if not probes:
        return skipped(check_id, _unseen(view))
    wrong = []
    for found in probes:
        winner = found.expected.winner if found.expected else None
        if winner is not None and found.exchange.message != winner.message:
            wrong.append(Sighting(found.exchange, winner.message, _told(found)))
    if not wrong:
        return assumed(check_id, f"{len(probes)} bodies answered as assumed", holds=True)
    first = simplest(wrong)
    observed = _otherwise(name, first)
    return assumed(
        check_id,
        f"{len(wrong)} of {len(probes)}: {first.observed}",
        first,
        holds=False,
        observed=observed,
    )


def _otherwise(name: str, first: Sighting) -> Any:
    if name == "values.whitespace":
        return "trimmed"
    if name in {"parameters.unknown", "body.content_type", "null.optional"}:
        return _REJECTED
    return first.observed


def _request_type_missing(view: View) -> Outcome:
    check_id = assumption_check_id("request_type.missing")
    found = view.planned.get("no-request-type")
    if found is None or found.exchange.status == _PAYMENT_REQUIRED:
        return skipped(check_id, _unseen(view) if found is None else "no money for a task")
    sighting = Sighting(found.exchange, _ACCEPTED, _told(found))
    same = found.exchange.accepted
    observed = None if same else found.exchange.message
    return assumed(check_id, _told(found), sighting, holds=same, observed=observed)


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
