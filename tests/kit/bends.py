"""A run that kept every promise, and ways to make it look otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from kit.stub import observed

from apixo_contract import (
    CallbackSeen,
    CheckResult,
    Exchange,
    Picture,
    Purpose,
    Run,
    Verdict,
    judge,
)

Where = Callable[[Exchange], bool]
Bend = Callable[[Run], Run]
_HOOK = "http://127.0.0.1:9/apixo-contract"


@cache
def good_run() -> Run:
    """A run against the stub, as if two of its tasks had been called back, one of them twice."""
    run = observed(examples=0, budget_usd="0.12")
    ids = {call.probe: call.submitted_id for call in run.of(Purpose.TASK)}
    exchanges = tuple(_by_callback(call) for call in run.exchanges)
    success, failed = (_callback(run, ids[name], name) for name in ("callback", "failing"))
    twice = (replace(success, answered=500), replace(success, number=2), replace(failed, number=3))
    return replace(run, exchanges=exchanges, callbacks=twice)


def _by_callback(call: Exchange) -> Exchange:
    if call.purpose is not Purpose.TASK or call.probe not in {"callback", "failing"}:
        return call
    body = json.loads(call.body or "")
    body |= {"request_type": "callback", "callback_url": f"{_HOOK}/00-{call.probe}?task=7"}
    return replace(call, body=json.dumps(body))


def _callback(run: Run, task_id: str | None, name: str) -> CallbackSeen:
    final = next(
        call
        for call in run.of(Purpose.POLL)
        if call.task_id == task_id and call.state in {"success", "failed"}
    )
    return CallbackSeen(
        number=1,
        method="POST",
        path=f"/apixo-contract/00-{name}?task=7",
        headers={"content-type": "application/json; charset=utf-8"},
        text=final.text,
        received_ms=final.received_ms,
        answered=200,
    )


def results(run: Run) -> dict[str, CheckResult]:
    return {result.id: result for result in judge(run).results}


def verdicts(run: Run) -> dict[str, Verdict]:
    return {check: result.verdict for check, result in results(run).items()}


def failures(run: Run) -> set[str]:
    return {check for check, verdict in verdicts(run).items() if verdict is Verdict.FAIL}


# --- which calls ----------------------------------------------------------------------------


def of(*purposes: Purpose, probe: str = "") -> Where:
    return lambda call: call.purpose in purposes and probe in call.probe


def in_state(*states: str) -> Where:
    polls = of(Purpose.POLL, Purpose.POLL_AGAIN)
    return lambda call: polls(call) and call.state in states


def breaking(rule_part: str) -> Where:
    """Bodies whose refusal speaks of something, e.g. of ``{{resolution}}``."""
    return lambda call: call.purpose is Purpose.BODY and rule_part in (call.message or "")


def anything(call: Exchange) -> bool:
    return call.purpose is not Purpose.RESULT


def alone(name: str, status: int) -> Bend:
    """A target refused the tolerant task, and then this one of what it held."""

    def bent(run: Run) -> Run:
        refusal = next(call for call in run.of(Purpose.TASK) if call.probe == "tolerant")
        run = turned_away(lambda call: call is refusal, status)(run)
        run = calls(
            lambda call: call.number == refusal.number, lambda call: replace(call, probe=name)
        )(run)
        return unpaid(refusal)(run)

    return bent


def unpaid(refusal: Exchange) -> Bend:
    """Every reading of the balance after a submit is a task's price higher."""
    return answers(
        lambda call: call.purpose is Purpose.BALANCE and call.number > refusal.number,
        lambda envelope: envelope.update(data=round(envelope["data"] + 0.01, 4)),
    )


# --- how they are bent ------------------------------------------------------------------------


def calls(where: Where, change: Callable[[Exchange], Exchange]) -> Bend:
    return lambda run: replace(
        run, exchanges=tuple(change(c) if where(c) else c for c in run.exchanges)
    )


def answers(where: Where, change: Callable[[dict[str, Any]], Any]) -> Bend:
    """Change the envelopes of some answers; a change gives a new one, or changes it in place."""

    def bent(call: Exchange) -> Exchange:
        envelope = json.loads(call.text)
        changed = change(envelope)
        return replace(call, text=json.dumps(envelope if changed is None else changed))

    return calls(where, bent)


def fields(where: Where, **values: Any) -> Bend:
    """Set fields of `data`; `...` takes one away, a function is applied to the old value."""
    return answers(where, lambda envelope: _set(envelope["data"], values))


def _set(data: dict[str, Any], values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is ...:
            data.pop(name, None)
        else:
            data[name] = value(data.get(name)) if callable(value) else value


def turned_away(where: Where, status: int, code: int | None = None) -> Bend:
    text = json.dumps({"code": code or status, "message": "no", "data": None})
    return calls(where, lambda call: replace(call, status=status, text=text))


def pictures(change: Callable[[Picture], Picture | None]) -> Bend:
    def bent(call: Exchange) -> Exchange:
        return replace(call, picture=change(call.picture) if call.picture else None)

    return calls(of(Purpose.RESULT), bent)


def callbacks(change: Callable[[CallbackSeen], CallbackSeen | None]) -> Bend:
    return lambda run: replace(
        run,
        callbacks=tuple(found for seen in run.callbacks if (found := change(seen)) is not None),
    )


def payloads(**values: Any) -> Bend:
    def bent(seen: CallbackSeen) -> CallbackSeen:
        envelope = json.loads(seen.text)
        _set(envelope["data"], values)
        return replace(seen, text=json.dumps(envelope))

    return callbacks(bent)
