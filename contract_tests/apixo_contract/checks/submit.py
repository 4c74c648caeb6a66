"""Checks of refusals: each documented rule, in both modes, and the status of refused bodies."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import chain, islice, zip_longest
from typing import Any

from apixo_contract.bodies import (
    Body,
    canonical,
    classics,
    combinable,
    documented_rules,
    exactly,
    generated,
    in_callback_mode,
    shrink,
)
from apixo_contract.checks.check import (
    Check,
    Evidence,
    Outcome,
    add,
    answer_of,
    check,
    judged,
    outcome_for,
    page,
)
from apixo_contract.checks.money import NOISE
from apixo_contract.checks.values import check_of_blamed_value
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.oracle import expect_text
from apixo_contract.session import Session, price_usd
from apixo_contract.text import compact_json
from apixo_contract.view import View
from apixo_schemas import Grade, contract

# Fixed bodies of each rule that are sent before any task is paid for, by mode.
_FIRST = 8
_FIRST_BY_CALLBACK = 3
# Bodies that should have been refused and were not, after which no more are sent.
_MOST_SURPRISES = 3
# By how many rules are broken together: the divisor of the number of generated bodies.
_SHARES = {1: 1, 2: 6, 3: 12, 4: 24}
_SEVERAL = "submit.several-rules"
_CALLBACK_MODE = "submit.callback-mode"


def rule_check_id(rule_id: str) -> str:
    """Return the id of the check of a submit rule, e.g. ``submit.rule.mode.invalid``."""
    return f"submit.rule.{rule_id}"


# --- what is sent -----------------------------------------------------------------------------


class Refusals:
    """Sends bodies that break documented rules; all of them are free on a correct target.

    A target that accepts such bodies, or charges for refusing them, gets no more of them: none
    that breaks only rules which it is known not to refuse, and after a few none at all.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._url = session.settings.image_url
        self._surprises = 0
        self._unrefused: set[str] = set()
        # The first body that showed each fault, until it is shrunk.
        self._faulty: dict[str, Exchange] = {}
        self._shrunk: set[str] = set()

    def first(self) -> None:
        """Break every rule alone, in both modes, between readings of the balance.

        A target that charges for it is found out at a small price: the first body is sent alone,
        and never more between two readings than the budget could bear twice.
        """
        self._session.read_balance("refusals")
        for bodies in self._lots():
            left = bodies
            while left:
                most = max(1, self._session.budget.left // 2)
                lot, left = left[:most], left[most:]
                if cost := self._cost_of(lot):
                    self._session.budget.charge(cost)
                    self._session.refusals_cost = True
                    words = "The target charges for bodies that it refuses: no more were sent."
                    self._session.notes["budget"] = words
                    return
        self._shrink()

    def _lots(self) -> Iterator[list[str]]:
        """Yield the bodies in lots: one alone, one for each other rule, the rest."""
        by_rule = [list(islice(classics(rule, self._url), _FIRST)) for rule in documented_rules()]
        first = [compact_json(bodies[0]) for bodies in by_rule]
        yield first[:1]
        yield first[1:]
        # A rule that can be broken in one way only is broken again, so that each reading tells of
        # every rule.
        rest = chain.from_iterable(zip_longest(*(bodies[1:] or bodies for bodies in by_rule)))
        by_callback = (
            in_callback_mode(b) for bodies in by_rule for b in bodies[:_FIRST_BY_CALLBACK]
        )
        yield [compact_json(made) for made in chain(rest, by_callback) if made is not None]

    def _cost_of(self, bodies: list[str]) -> Decimal:
        """Return what the target charged for refusing bodies, in USD.

        They are sent twice: another client may use the account, too.
        """
        cost = self._fall_by(bodies)
        if cost and self._session.budget.left >= 2 * len(bodies):
            again = self._fall_by(bodies)
            return cost + again if again else Decimal(0)
        return cost

    def _fall_by(self, bodies: list[str]) -> Decimal:
        session = self._session
        before, taken = session.balance, session.budget.tasks
        for text in bodies:
            self.send(text)
        session.read_balance("refusals")
        if before is None or session.balance is None:
            return Decimal(0)
        accepted = session.budget.tasks - taken
        fall = before - session.balance - accepted * price_usd()
        return fall if fall > NOISE else Decimal(0)

    def send(self, text: str) -> Exchange | None:
        """Submit a body that breaks documented rules; None, and nothing sent, if it may cost."""
        if self._session.refusals_cost:
            return None
        if self._surprises >= _MOST_SURPRISES:
            words = "The target accepts bodies that it ought to refuse: no more were sent."
            self._session.notes.setdefault("budget", words)
            return None
        broken = {rule.id for rule in expect_text(text).broken}
        if broken <= self._unrefused:
            return None
        before = self._session.budget.tasks
        found = self._session.submit(text, Purpose.BODY)
        if found is None:
            return None
        self._surprises += self._session.budget.tasks > before
        if (found.succeeded or found.trouble) and len(broken) == 1:
            self._unrefused |= broken
        fault = fault_of(found)
        if fault is not None:
            self._faulty.setdefault(fault.kind, found)
        return found

    def generated(self) -> None:
        """Break one rule or several: every pair, the other fixed bodies, generated ones."""
        settings = self._session.settings
        for pair in combinable(2):
            self.send(compact_json(canonical(pair, self._url)))
        if settings.examples:
            for text in self._more_classics():
                self.send(text)
            for size, share in _SHARES.items():
                for rules in combinable(size):
                    count = -(-settings.examples // share)
                    number = self._session.random.getrandbits(32)
                    bodies = exactly(rules, self._url)
                    for text in generated(bodies, examples=count, seed_number=number):
                        self.send(text)
        self._shrink()

    def _more_classics(self) -> list[str]:
        """Return the fixed bodies that were not sent before, in the seed's order."""
        rest = [
            compact_json(made)
            for rule in documented_rules()
            for made in islice(classics(rule, self._url), _FIRST, None)
        ]
        self._session.random.shuffle(rest)
        return rest

    def _shrink(self) -> None:
        """Look for the smallest body that shows each fault, and send it twice."""
        for kind, found in self._faulty.items():
            if kind in self._shrunk:
                continue
            self._shrunk.add(kind)
            body: Any = json.loads(found.body or "")  # what the kit itself has written
            if isinstance(body, dict):
                smallest = shrink(body, self._url, partial(self._shows, kind))
                if not found.succeeded:
                    self._shows(kind, smallest)

    def _shows(self, kind: str, made: Body) -> bool | None:
        """Send a simpler body; True if it shows the same fault, None if it could not be paid."""
        if self._session.refusals_cost or self._session.budget.left < 2:  # noqa: PLR2004 - one is kept for tasks
            return None
        found = self._session.submit(compact_json(made), Purpose.BODY)
        if found is None:
            return None
        fault = fault_of(found)
        return fault is not None and fault.kind == kind


# --- faults -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken promise about one body; ``kind`` is the same for bodies that show one fault."""

    check_id: str
    expected: str
    observed: str
    kind: str


def fault_of(found: Exchange) -> Fault | None:
    """Return which documented promise the answer to a body breaks, if any."""
    said = found.expected
    # A probe differs in some way, even by its headers: it is judged as an assumption.
    if said is None or not said.broken or found.purpose is Purpose.PROBE:
        return None
    several = said.doubts == {"order"}
    if not several and not said.documented:
        return None
    messages = [rule.message for rule in said.broken]
    if not found.succeeded and found.message in (messages if several else messages[:1]):
        return None
    expected = "refused with one of: " if several else "refused with: "
    expected += " | ".join(messages if several else messages[:1])
    answer = answer_of(found)
    check_id = _SEVERAL if several else rule_check_id(said.broken[0].id)
    if found.succeeded:
        return Fault(check_id, expected, f"accepted: {answer}", f"{check_id} accepted")
    check_id = check_of_blamed_value(found, said) or check_id
    return Fault(check_id, expected, answer, f"{check_id} {found.status}")


def faults(view: View) -> dict[str, list[Evidence]]:
    """Return the evidence of every broken promise about a body, by check id."""
    found: defaultdict[str, list[tuple[Exchange, Evidence]]] = defaultdict(list)
    wrong_words: set[tuple[str | None, str]] = set()
    several: list[tuple[Exchange, Fault]] = []
    for submitted in view.submits:
        fault = fault_of(submitted)
        if fault is None:
            continue
        if fault.check_id == _SEVERAL:
            several.append((submitted, fault))
            continue
        wrong_words.add((submitted.message, fault.check_id))
        found[fault.check_id].append((submitted, _evidence(submitted, fault)))
    for submitted, fault in several:
        # Words that are wrong for one of its rules alone are wrong for that reason.
        words = None if submitted.succeeded else submitted.message
        rules = submitted.expected.broken if submitted.expected else ()
        names = [rule_check_id(rule.id) for rule in rules]
        check_id = next((n for n in names if (words, n) in wrong_words), fault.check_id)
        found[check_id].append((submitted, _evidence(submitted, fault)))
    return _by_mode(
        found,
        {_content(s.sent.get("input")) for s in view.submits if not (s.by_callback or fault_of(s))},
    )


def _content(value: Any) -> str:
    """Return what a JSON value says, whatever the order of its members."""
    return json.dumps(value, sort_keys=True, default=str)


def _evidence(submitted: Exchange, fault: Fault) -> Evidence:
    return Evidence(submitted, fault.expected, fault.observed)


def _by_mode(
    found: dict[str, list[tuple[Exchange, Evidence]]], good: set[str]
) -> dict[str, list[Evidence]]:
    """Attribute rules that only callback mode does not keep to the check of that mode.

    A single rule is known to be kept in async mode if the same input was answered correctly there.
    """
    rules = {rule_check_id(rule) for rule in documented_rules()}
    only = {n for n in rules & set(found) if all(s.by_callback for s, _ in found[n])}
    proven = {n for n in only if any(_content(s.sent.get("input")) in good for s, _ in found[n])}
    moved = only if len(only) > 1 else proven
    by_check: defaultdict[str, list[Evidence]] = defaultdict(list)
    for name, pairs in found.items():
        by_check[_CALLBACK_MODE if name in moved else name] += [e for _, e in pairs]
    return by_check


# --- how it is judged -------------------------------------------------------------------------


def unsent(view: View) -> str:
    """Return why bodies were not sent."""
    return view.note("budget", "No such body was sent.")


def _of_rule(view: View, rule_id: str) -> Outcome:
    broken = view.once(faults).get(rule_check_id(rule_id), ())
    # Bodies that also break other rules are judged here if their answer is wrong for this one.
    told = {e.call.number for e in broken if isinstance(e.call, Exchange)}
    seen = told | {
        found.number
        for found in view.submits
        if found.purpose is not Purpose.PROBE
        and found.expected is not None
        and found.expected.documented
        and [rule.id for rule in found.expected.broken] == [rule_id]
    }
    return outcome_for(len(seen), broken, unseen=unsent(view), what="bodies that break it")


@check("errors.validation-status", page("HTTP errors"))
def validation_status(view: View) -> Outcome:
    """A refused body gets HTTP status 400 and code 400."""
    refused = [
        found
        for found in view.submits
        if _is_surely_wrong(found) and not found.succeeded and found.status is not None
    ]
    return _refused(view, refused)


def _is_surely_wrong(found: Exchange) -> bool:
    said = found.expected
    if said is None or not said.broken or found.purpose is not Purpose.BODY:
        return False
    return said.documented or said.doubts <= {"order"}


def _refused(view: View, calls: list[Exchange]) -> Outcome:
    wanted = contract().refused_status
    return judged(
        calls,
        lambda c: c.status != wanted or c.envelope.get("code") != wanted,
        f"HTTP {wanted} and code {wanted}",
        unseen=unsent(view),
        what="bodies",
        subject=lambda c: "" if c.succeeded else f"refusals with HTTP {c.status}",
    )


@check("errors.invalid-body", page("HTTP errors"), after=("errors.validation-status",))
def invalid_body(view: View) -> Outcome:
    """A body that is not a JSON object gets HTTP status 400 and code 400."""
    return _refused(view, [*view.probes("body.not_json"), *view.probes("body.not_object")])


for _rule in contract().rules:
    if _rule.grade is not Grade.ASSUMED:
        add(
            Check(
                rule_check_id(_rule.id),
                f"{_rule.condition}: refused with the documented message",
                _rule.grade,
                _rule.source,
                partial(_of_rule, rule_id=_rule.id),
                after=("errors.validation-status",),
            )
        )


@check(_SEVERAL, page("Request validation"), after=("errors.validation-status",))
def several_rules(view: View) -> Outcome:
    """A body that breaks several rules is refused with the message of one of them."""
    seen = sum(f.expected is not None and f.expected.doubts == {"order"} for f in view.submits)
    broken = view.once(faults).get(_SEVERAL, ())
    what = "bodies that break two or more"
    return outcome_for(seen, broken, unseen=unsent(view), what=what)


@check(_CALLBACK_MODE, page("Webhook callback mode"), after=("errors.validation-status",))
def callback_mode(view: View) -> Outcome:
    """Callback mode refuses the same `input` as async mode, with the same messages."""
    seen = sum(found.by_callback and _is_surely_wrong(found) for found in view.submits)
    broken = view.once(faults).get(_CALLBACK_MODE, ())
    return outcome_for(seen, broken, unseen=unsent(view), what="bodies in callback mode")


@check("submit.callback-url-required", page("Parameters"))
def callback_url_required(view: View) -> Outcome:
    """Callback mode with a missing or an empty `callback_url` is refused."""
    calls, expected = view.probes("callback_url.missing"), "refused: `callback_url` is required"
    return judged(calls, lambda c: c.succeeded, expected, unseen=unsent(view), what="bodies")


@check("submit.refused-id", page("Submit task response"))
def refused_id(view: View) -> Outcome:
    """A refused submit answers no task id."""
    refused = [found for found in view.submits if not found.succeeded]
    unseen = unsent(view)
    return judged(refused, lambda c: bool(c.task.get("taskId")), "no id", unseen=unseen)
