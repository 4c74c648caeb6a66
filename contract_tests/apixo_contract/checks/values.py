"""Which value explains that a task was refused, or failed though it ought to succeed.

Each value of a task has a check that promises it. The value that no right task shares is blamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apixo_contract.bodies import field_of
from apixo_contract.checks.check import Evidence, answer_of
from apixo_contract.observations import Exchange
from apixo_contract.oracle import Expectation, rule_of_message
from apixo_contract.view import TaskView, View
from apixo_schemas import Grade, Rule, contract

_PAYMENT_REQUIRED = 402
# Names of tasks. One rests on several assumptions at once; if it is refused, each is tried alone.
TOLERANT = "tolerant"
NOT_A_URL = "not-a-url"
FAILING = "failing"
# Tasks whose refusal contradicts assumptions only.
_ASSUMED = frozenset({TOLERANT, "no-request-type", "nulls", "unknown-parameters"})


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of a task, and the check that promises it; no check if it is assumed."""

    parameter: str
    value: str
    check_id: str


def features(made: Mapping[str, Any]) -> list[Feature]:
    """Return the values of a task's body, those with a check of their own first."""
    asked = made.get("input")
    asked = asked if isinstance(asked, dict) else {}
    found = []
    for name in ("resolution", "output_format", "mode"):
        if name not in asked:
            found.append(Feature(name, "omitted", f"submit.default.{name}"))
        elif asked[name] is None:
            found.append(Feature(name, "null", ""))
        else:
            found.append(Feature(name, str(asked[name]), _check_of(name, str(asked[name]))))
    if "provider" in made:
        found.append(Feature("provider", "given", "submit.provider"))
    kind = str(made.get("request_type", "omitted"))
    found.append(Feature("request_type", kind, "" if kind == "omitted" else "submit.accepts"))
    # `submit.accepts` speaks of all values; the others of one.
    return sorted(found, key=lambda feature: feature.check_id == "submit.accepts")


def _check_of(name: str, value: Any) -> str:
    if name == "resolution" and isinstance(value, str) and value != value.lower():
        return "submit.resolution-case"
    aliased = name == "output_format" and value in contract().format_aliases
    return "submit.jpeg-alias" if aliased else "submit.accepts"


def _ought_to_succeed(found: Exchange) -> bool:
    return found.is_valid and found.name not in {FAILING, NOT_A_URL}


def refused_or_failed(view: View) -> list[tuple[str, Evidence]]:
    """Return the tasks that were refused, or failed twice, each with the check that it breaks."""
    tried = [f for f in view.planned.values() if f.is_valid and f.name != NOT_A_URL]
    accepted = [found for found in tried if found.succeeded]
    takes_http = any(found.callback_url.startswith("http://") for found in accepted)
    refused = [found for found in tried if _is_refusal(found, takes_http=takes_http)]
    broken = [(_blamed(f, refused, accepted), untaken(f)) for f in refused]
    succeeded = [t.submitted for t in view.tasks.values() if t.succeeded]
    failed = [tasks for tasks in attempts(view).values() if _failed_again(tasks)]
    for tasks in failed if any(map(_ought_to_succeed, succeeded)) else ():
        final, first = tasks[-1].final, tasks[0].submitted
        if final is not None and first.name != TOLERANT:  # what that holds was submitted alone
            check_id = _blamed(first, [other[0].submitted for other in failed], succeeded)
            words = f"it failed {len(tasks)} times, while others succeeded: {answer_of(final)}"
            broken.append((check_id, Evidence(final, f"the task {first.name} succeeds", words)))
    return broken


def _is_refusal(found: Exchange, *, takes_http: bool) -> bool:
    """True if a task was refused that must be accepted by what is documented.

    Args:
        found: The task.
        takes_http: Whether another task was accepted with a callback URL that is not HTTPS.
    """
    if found.succeeded or found.status == _PAYMENT_REQUIRED:
        return False
    rule = rule_of_message(found.message)
    if rule is not None and check_of_value(found, rule) is not None:
        return True
    if found.name in _ASSUMED:
        return False
    # The page wants a public HTTPS URL; `callback-https` checks more.
    is_https = found.callback_url.startswith("https://")
    return not found.by_callback or is_https or takes_http


def _blamed(found: Exchange, wrong: list[Exchange], right: list[Exchange]) -> str:
    """Return the check of the value that a wrong task does not share with any right one.

    If there are several, it is the one that explains most of the wrong tasks, and rather one of
    which no other value is right.
    """
    rule = rule_of_message(found.message)
    by_message = check_of_value(found, rule) if rule is not None else None
    if by_message is not None:
        return by_message
    proven = {feature for other in right for feature in features(other.sent)}
    known = {feature.check_id for feature in proven}
    # `submit.accepts` speaks of many values, each of which explains its own tasks only.
    kinds = [
        {f if f.check_id == "submit.accepts" else f.check_id for f in features(other.sent)} - proven
        for other in wrong
    ]
    counts = Counter(kind for found_kinds in kinds for kind in found_kinds)
    suspects = [f for f in features(found.sent) if f not in proven and f.check_id]

    def weight(feature: Feature) -> tuple[int, bool, bool]:
        general = feature.check_id == "submit.accepts"
        return -counts[feature if general else feature.check_id], feature.check_id in known, general

    return min(suspects, key=weight).check_id if suspects else "submit.accepts"


def _failed_again(tasks: list[TaskView]) -> bool:
    return len(tasks) > 1 and all(task.failed for task in tasks)


def attempts(view: View) -> dict[str, list[TaskView]]:
    """Return the tasks that ought to succeed by name, each with its repetition after a failure."""
    found: dict[str, list[TaskView]] = {}
    for task in view.tasks.values():
        suffix = task.submitted.probe.partition("/")[2]
        if _ought_to_succeed(task.submitted) and suffix in ("", "again"):
            found.setdefault(task.name, []).append(task)
    return found


def untaken(call: Exchange) -> Evidence:
    """Return the evidence of a task that was not accepted."""
    return Evidence(call, "accepted: code 200 and a `taskId`", answer_of(call))


def check_of_blamed_value(found: Exchange, said: Expectation) -> str | None:
    """Return the check of the supported value that the message complains about, if it does."""
    rule = rule_of_message(found.message)
    fields = {field_of(broken.id) for broken in said.broken}
    has_input = isinstance(found.sent.get("input"), dict)
    if rule is None or field_of(rule.id) in fields or not has_input:
        return None
    return check_of_value(found, rule)


def check_of_value(found: Exchange, rule: Rule) -> str | None:
    """Return the check that promises the value of the rule's parameter to be accepted."""
    if rule.grade is Grade.ASSUMED:
        return None
    name = field_of(rule.id)
    if name not in found.asked:
        return f"submit.default.{name}" if name in contract().defaults else "submit.accepts"
    value = found.asked[name]
    # What null means is assumed.
    return None if value is None else _check_of(name, value)
