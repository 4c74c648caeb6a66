"""The check of a flaky target: one that answers the same call now rightly, now wrongly.

What it does at random looks like many broken promises. `results` reports them as this one, unless
most of what a check has judged is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from apixo_contract.checks.check import (
    FLAKY,
    Evidence,
    Outcome,
    answer_of,
    broken_calls,
    check,
    outcome_for,
    page,
)
from apixo_contract.checks.submit import fault_of
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.session import Session
from apixo_contract.view import ENDED, RUNNING, View, is_broken

# Calls whose answer depends on nothing that changes during a run.
_LASTING = (Purpose.BODY, Purpose.PROBE, Purpose.KEY, Purpose.POLL_UNKNOWN, Purpose.POLL_MODEL)
# Wrong answers whose calls are repeated, and how often.
_MOST = 30
_TIMES = 2


def repeat_wrong(session: Session, view: View) -> None:
    """Repeat what was answered wrongly, as far as that costs nothing, to see whether it lasts."""
    asked = session.calls.asked
    wrong = {c.number: c for c in broken_calls(view) if c.purpose in _LASTING and not c.succeeded}
    for number in list({_signature(c): c.number for c in wrong.values()}.values())[:_MOST]:
        ask = asked[number]
        for _ in range(_TIMES):
            if ask.body is None:
                session.calls.send(ask)
            elif not session.refusals_cost:
                more: dict[str, Any] = {
                    "key": ask.key,
                    "content_type": ask.content_type,
                    "probe": ask.probe,
                }
                session.submit(ask.body, ask.purpose, **more)


def _signature(call: Exchange) -> tuple[object, ...]:
    return call.method, call.url, call.key, call.body, call.headers.get("content-type")


@check(FLAKY, page("HTTP errors"))
def flaky(view: View) -> Outcome:
    """A call that is repeated gets the same answer."""
    found: defaultdict[tuple[object, ...], list[Exchange]] = defaultdict(list)
    for call in view.of(*_LASTING, Purpose.BALANCE):
        found[_signature(call)].append(call)
    repeated = [calls for calls in found.values() if len(calls) > 1]
    broken = [*filter(None, map(_changed, repeated)), *_garbled(view)]
    if view.is_unsteady:
        words = "it failed each time, as other calls did in passing: "
        broken += [
            Evidence(c, "an answer that is no passing error", words + answer_of(c))
            for c in view.api
            if is_broken(c)
        ]
    return outcome_for(len(repeated), broken, unseen="No call was repeated.", what="repeated calls")


def _changed(calls: list[Exchange]) -> Evidence | None:
    first = calls[0]
    other = next((c for c in calls if _said(c) != _said(first)), None)
    if other is None:
        return None
    return Evidence(other, f"the same answer as before: {answer_of(first)}", answer_of(other))


def _said(call: Exchange) -> tuple[object, ...]:
    # Words may differ where they are not documented, e.g. by the number of the request.
    is_amount = call.purpose is not Purpose.BALANCE or call.balance is not None
    return call.status, isinstance(call.json, dict), is_amount, fault_of(call) is None


def _garbled(view: View) -> Iterator[Evidence]:
    """Yield polls that show no state, though others show the same state before and after."""
    for task in view.tasks.values():
        for place, poll in enumerate(task.polls):
            if not poll.succeeded or poll.state is None:
                before = {p.state for p in task.polls[:place] if p.succeeded}
                after = {p.state for p in task.polls[place:] if p.succeeded}
                if before & after & {*RUNNING, *ENDED}:
                    yield Evidence(poll, "the state, as before and after", answer_of(poll))
