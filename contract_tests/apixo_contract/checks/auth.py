"""Checks of API keys: a call without the valid key gets HTTP 401."""

from __future__ import annotations

from apixo_contract.bodies import example
from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    answer_of,
    assumed,
    assumption,
    check,
    judged,
    page,
    refusal_of,
    skipped,
)
from apixo_contract.checks.status import unknown_ids
from apixo_contract.observations import Exchange, Key, Purpose
from apixo_contract.options import UsageError
from apixo_contract.session import OK, Session
from apixo_contract.text import compact_json
from apixo_contract.view import View
from apixo_schemas import contract

_UNAUTHORIZED = 401
# Calls that bring no key by the documented header, and calls with a key that is not valid.
WITHOUT_KEY = (Key.NONE, Key.EMPTY, Key.SCHEME, Key.BARE, Key.QUERY)
INVALID_KEY = (Key.WRONG, Key.LONGER, Key.SHORTER, Key.OTHER_CASE)

_KEY_WORDS = {
    Key.NONE: "without a key",
    Key.EMPTY: "with an empty key",
    Key.SCHEME: "with the key under another scheme",
    Key.BARE: "with the key without a scheme",
    Key.QUERY: "with the key in the query",
    Key.WRONG: "with an unknown key",
    Key.LONGER: "with one letter more in the key",
    Key.SHORTER: "with one letter less in the key",
    Key.OTHER_CASE: "with the key in other case",
}


# --- what is sent -----------------------------------------------------------------------------


def check_target(session: Session) -> None:
    """Find out whether the target answers and accepts the key; free.

    Raises:
        UsageError: The target refuses the key.
        Unreachable: It does not answer.
    """
    balance = session.read_balance("start")
    if balance is None or balance.status != _UNAUTHORIZED:
        return
    poll = session.calls.status(next(unknown_ids([], session.random)), Purpose.POLL_UNKNOWN)
    if poll.status == _UNAUTHORIZED:
        raise UsageError(
            f"{session.settings.base_url} refuses the API key (401). Give a valid one with "
            "--api-key or APIXO_API_KEY"
        )


def call_with_wrong_keys(session: Session) -> None:
    """Read the balance and submit a valid body with every key that must be refused.

    After a key that the target accepts no further body is sent: it may cost money.
    """
    text = compact_json(example(session.settings.image_url))
    accepted: set[Key] = set()
    for key in filter(session.calls.can_alter, (*WITHOUT_KEY, *INVALID_KEY)):
        if session.calls.balance("balance", key, Purpose.KEY).succeeded:
            accepted.add(key)
    for key in filter(session.calls.can_alter, (*WITHOUT_KEY, *INVALID_KEY)):
        opens = accepted & set(INVALID_KEY) if key in INVALID_KEY else accepted & {key}
        if opens and key is not Key.NONE:
            continue
        found = session.submit(text, Purpose.KEY, key=key, probe="submit")
        if found is not None and found.succeeded:
            accepted.add(key)


def poll_with_wrong_keys(session: Session) -> None:
    """Poll an own task with every key that must be refused; free."""
    for task_id in list(session.poller.tasks)[:1]:
        for key in filter(session.calls.can_alter, (*WITHOUT_KEY, *INVALID_KEY)):
            session.calls.status(task_id, Purpose.KEY, key=key, probe="status")
            session.poller.tick()


def read_foreign_balance(session: Session) -> None:
    """Read the balance of the invented key at the end, if that key opened an account."""
    wrong = [call for call in session.calls.exchanges if call.key is Key.WRONG]
    if any(call.probe == "balance" and call.succeeded for call in wrong):
        session.calls.balance("balance", Key.WRONG, Purpose.KEY)


# --- how it is judged -------------------------------------------------------------------------


@check("auth.missing", page("HTTP errors"))
def missing_key(view: View) -> Outcome:
    """A call without a key, or with the key anywhere but in `Authorization: Bearer`, gets HTTP 401."""
    return _refused(_key_calls(view, WITHOUT_KEY), "calls without a key")


@check("auth.invalid", page("HTTP errors"), after=("auth.missing",))
def invalid_key(view: View) -> Outcome:
    """A call with an unknown key, or with the key changed by one letter or by case, gets HTTP 401.

    Some targets, mostly emulators, give every key an account of its own: no key is invalid there.
    A wrong key must never open the account under test.
    """
    calls = _key_calls(view, INVALID_KEY)
    foreign = [call for call in calls if call.probe == "balance" and call.balance is not None]
    if foreign and all(call.status != _UNAUTHORIZED for call in calls):
        if _is_separate(view, foreign[-1], calls):
            return skipped("Every key opens an account of its own here: no key is invalid.")
        if not view.tasks:
            return skipped(
                "Every key is accepted. Only a paid task shows whether each opens an account of "
                "its own: give --budget-usd 0.02 or more."
            )
    return _refused(calls, "calls with a wrong key")


def _key_calls(view: View, keys: tuple[Key, ...]) -> list[Exchange]:
    calls = [call for call in view.of(Purpose.KEY) if call.key in keys]
    if not any(call.succeeded for call in view.of(Purpose.BALANCE)):
        # The balance is documented on another page: a target without it refuses every key.
        calls = [call for call in calls if call.probe != "balance"]
    return calls


def _refused(calls: list[Exchange], what: str) -> Outcome:
    # An endpoint that is open to all, and a wrong status of all refusals, are one defect each.
    return judged(
        calls,
        lambda c: c.status != _UNAUTHORIZED and f"{answer_of(c)} {_KEY_WORDS[c.key]}",
        f"HTTP {_UNAUTHORIZED}",
        unseen="No such call was made.",
        what=what,
        subject=lambda c: f"open {c.probe}" if c.succeeded else f"keys refused with {c.status}",
    )


def _is_separate(view: View, foreign: Exchange, calls: list[Exchange]) -> bool:
    """True if wrong keys read a balance that is not the own one, and none of the own tasks."""
    if any(call.task_id in view.tasks and call.succeeded for call in calls):
        return False
    own = [call for call in view.of(Purpose.BALANCE) if call.balance is not None]
    before = [call for call in own if call.number < foreign.number]
    return bool(before) and foreign.balance != before[-1].balance


@assumption("task.other_key")
def other_key(view: View) -> Outcome:
    """Judge what the status of a task answers under another valid key."""
    wrong = [call for call in view.of(Purpose.KEY) if call.key is Key.WRONG]
    if not any(call.succeeded and call.probe == "balance" for call in wrong):
        return skipped("Only a target that accepts any key shows it: it takes a second valid key.")
    calls = [call for call in wrong if call.task_id in view.tasks]
    if not calls:
        return skipped(view.no_tasks)
    status, call = contract().errors["task_not_found"].status, calls[0]
    evidence = Evidence(call, f"HTTP {status}", answer_of(call))
    observed = "shown" if call.status == OK else refusal_of(call)
    words = f"It answers HTTP {call.status}."
    return assumed(words, evidence, holds=call.status == status, observed=observed)
