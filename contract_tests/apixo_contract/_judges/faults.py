"""Which documented promise the answer to a body breaks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from apixo_contract._bodies import field_of
from apixo_contract._catalogue import rule_check_id
from apixo_contract._judges._outcome import Sighting, answer_of
from apixo_contract._observations import Purpose
from apixo_contract._oracle import DUPLICATES, Expectation, rule_of_message
from apixo_contract._view import Submitted, View
from apixo_schemas import Grade, Rule, contract


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken promise about one body."""

    check_id: str
    expected: str
    observed: str


def fault_of(found: Submitted) -> Fault | None:
    """Say which documented promise the answer to a body breaks, if any."""
    said = found.expected
    # A probe is otherwise in some way, be it by its headers: it is judged as an assumption.
    if said is None or not said.broken or found.exchange.purpose is Purpose.PROBE:
        return None
    if said.documented:
        return _fault_of_single(found, said)
    if said.doubts == {"order"}:
        return _fault_of_several(found, said)
    if said.doubts == {DUPLICATES} and found.exchange.accepted:
        return _fault_of_single(found, said)
    return None


def _fault_of_single(found: Submitted, said: Expectation) -> Fault | None:
    winner = said.broken[0]
    check_id = rule_check_id(winner.id)
    expected = f"refused: {winner.message}"
    if found.exchange.accepted:
        return Fault(check_id, expected, f"accepted: {answer_of(found.exchange)}")
    if found.exchange.message == winner.message:
        return None
    blamed = _valid_but_blamed(found, said)
    return Fault(blamed or check_id, expected, answer_of(found.exchange))


def _fault_of_several(found: Submitted, said: Expectation) -> Fault | None:
    messages = [rule.message for rule in said.broken]
    expected = f"refused with one of: {' | '.join(messages)}"
    if found.exchange.accepted:
        return Fault("submit.several-rules", expected, f"accepted: {answer_of(found.exchange)}")
    if found.exchange.message in messages:
        return None
    blamed = _valid_but_blamed(found, said)
    return Fault(blamed or "submit.several-rules", expected, answer_of(found.exchange))


def _valid_but_blamed(found: Submitted, said: Expectation) -> str | None:
    """Give the check of the supported value that the message complains about, if it does."""
    rule = rule_of_message(found.exchange.message)
    fields = {field_of(broken.id) for broken in said.broken}
    if rule is None or field_of(rule.id) in fields or not found.has_input:
        return None
    return check_of_value(found, rule)


def check_of_value(found: Submitted, rule: Rule) -> str | None:
    """Give the check that promises the value of the rule's parameter to be accepted."""
    if rule.grade is Grade.ASSUMED:
        return None
    name = field_of(rule.id)
    if name not in found.asked:
        return f"submit.default.{name}" if name in contract().defaults else "submit.accepts"
    value = found.asked[name]
    if value is None:
        return None  # what null means is assumed
    if name == "resolution" and isinstance(value, str) and value != value.lower():
        return "submit.resolution-case"
    if name == "output_format" and value in contract().format_aliases:
        return "submit.jpeg-alias"
    return "submit.accepts"


def faults_of(view: View) -> defaultdict[str, list[Sighting]]:
    faults: defaultdict[str, list[Sighting]] = defaultdict(list)
    wrong_words: dict[str | None, str] = {}
    several: list[tuple[Submitted, Fault]] = []
    for found in view.submits:
        fault = fault_of(found)
        if fault is None:
            continue
        if fault.check_id == "submit.several-rules":
            several.append((found, fault))
            continue
        wrong_words[found.exchange.message] = fault.check_id
        faults[fault.check_id].append(_sighting(found, fault))
    for found, fault in several:
        # Words that are wrong for one rule alone are wrong for that reason.
        alone = None if found.exchange.accepted else wrong_words.get(found.exchange.message)
        faults[alone or fault.check_id].append(_sighting(found, fault))
    return faults


def _sighting(found: Submitted, fault: Fault) -> Sighting:
    return Sighting(found.exchange, fault.expected, fault.observed)
