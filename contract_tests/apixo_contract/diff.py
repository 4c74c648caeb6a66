"""Two servers compared: the same calls to both, where the checks differ, and where the answers do.

Both runs are made in the same way with the same seed. Calls that only one of them got, because an
answer led the run elsewhere, are counted and left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apixo_contract.observations import Exchange, Purpose, Run
from apixo_contract.report.model import Beyond, CheckResult, Report, Verdict, format_exchange
from apixo_contract.run import judge
from apixo_contract.text import id_form, json_line, json_or_none, to_json
from apixo_contract.view import ENDED, MARK, View, is_integer

_ABSENT = "absent"
_TIMES = frozenset({"createTime", "completeTime"})
_OLDEST_MS = 10**12
_URL = re.compile(r"\b(?:https?://|data:)[^\s\"'\\<>]+")
# Calls of these purposes are recognised by what was asked, the others by their turn.
_BY_BODY = frozenset({Purpose.BODY, Purpose.PROBE, Purpose.TASK})
# How often polls, and readings while a charge is awaited, are repeated depends on the time.
_LEFT_OUT = frozenset({Purpose.BUSY, Purpose.POLL, Purpose.POLL_AGAIN})
_FINAL = "final answer"

Name = tuple[str, ...]


# --- the same calls side by side ----------------------------------------------------------------


def _named(run: Run) -> Iterator[tuple[Name, Exchange]]:
    turns: Counter[Name] = Counter()
    tasks = View(run).tasks
    names = {task.id: task.submitted.probe for task in tasks.values()}
    for call in run.exchanges:
        if call.purpose in _LEFT_OUT or call.status is None:
            continue
        name = (*_name(call), names.get(call.task_id or "", ""))
        turns[name] += 1
        yield (*name, str(turns[name])), call
    for task in tasks.values():
        if task.final is not None and task.final.state in ENDED:
            body = _comparable(task.submitted.body or "")
            yield (_FINAL, task.submitted.probe, body), task.final


def _name(call: Exchange) -> Name:
    if call.purpose in _BY_BODY:
        return (call.purpose.value, call.probe, _comparable(call.body or ""))
    return (call.purpose.value, call.key.value, call.method, call.probe)


def _comparable(text: str) -> str:
    """Return a body without the address of our receiver, which differs in each run."""
    body = json_or_none(text)
    if isinstance(body, dict) and MARK in str(body.get("callback_url")):
        return json.dumps({**body, "callback_url": "our receiver"}, default=str)
    return text


# --- parts of an answer -------------------------------------------------------------------------


def parts(call: Exchange) -> dict[str, str]:
    """Return what an answer says, without ids, times, amounts, addresses and usual headers."""
    if call.purpose is Purpose.RESULT:
        if call.picture is None:
            return {}
        size = str(call.picture.long_edge)
        return {"picture format": call.picture.format or "none", "picture's long edge": size}
    kind = call.answer_headers.get("content-type", "").partition(";")[0].strip().lower()
    found = {"content type": kind or "none", "Retry-After": _retry_after(call)}
    if not isinstance(call.json, dict):
        return {**found, "body": _anonymous(call.text, call)[:200] or "empty"}
    return {**found, **dict(_members(call))}


def _retry_after(call: Exchange) -> str:
    value = call.answer_headers.get("retry-after", "").strip()
    return ("seconds" if value.isdecimal() else "a date") if value else _ABSENT


def _members(call: Exchange) -> Iterator[tuple[str, str]]:
    for name, value in call.envelope.items():
        if name == "code" and value == call.status:
            continue
        if name == "message" and call.is_error:
            yield "message of an error", _text(value, name, call)
        elif name == "data" and isinstance(value, dict) and not call.is_error:
            for member, inner in value.items():
                yield f"data.{member}", _text(inner, member, call)
        else:
            yield name, _text(value, name, call)


def _text(value: Any, name: str, call: Exchange) -> str:
    if name == "taskId" and isinstance(value, str) and value:
        return f"a task id, form {id_form(value)}"
    if name in _TIMES and is_integer(value):
        return "a time in ms" if value >= _OLDEST_MS else "a number too small for ms"
    if name == "costTime" and is_integer(value):
        return "a number of ms"
    if call.purpose is Purpose.BALANCE and name == "data" and isinstance(value, int | Decimal):
        return "a number"
    if name == "resultJson" and isinstance(value, str):
        parsed = json_or_none(value)
        return f"a text: {_anonymous(value if parsed is None else json_line(parsed), call)}"
    # The answer's own message is compared by itself; inside of `data` it is no other difference.
    message = None if value == call.message else call.message
    return _anonymous(json_line(value, message), call)


def _anonymous(text: str, call: Exchange) -> str:
    """Return a text without ids and addresses."""
    text = _URL.sub("<URL>", text)
    return text.replace(call.task_id, "<task id>") if call.task_id else text


# --- comparison ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of an answer that differs in the same way ``count`` times; ``curl`` repeats the call."""

    facet: str
    left: str
    right: str
    count: int
    curl: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two targets.

    Attributes:
        same_calls: How many calls both got; those that only one of them got are left out.
        checks: The checks with other verdicts, in the order of the report.
        differences: The parts of answers that differ, the most frequent first.
    """

    left: Report
    right: Report
    same_calls: int
    only_left: int
    only_right: int
    checks: tuple[tuple[CheckResult, CheckResult], ...]
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> int:
        """Return 0 if the two answer alike, 1 if they differ."""
        return 1 if self.checks or self.differences else 0

    @property
    def beyond(self) -> dict[str, list[Beyond]]:
        """Return what only the left, and only the right answered beyond the contract."""

        def only(one: Report, other: Report) -> list[Beyond]:
            known = {(found.kind, found.name, found.where) for found in other.beyond}
            return [b for b in one.beyond if (b.kind, b.name, b.where) not in known]

        return {"left": only(self.left, self.right), "right": only(self.right, self.left)}

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""

        def told(result: CheckResult) -> dict[str, str]:
            return {"verdict": result.verdict, "evidence": result.summary}

        return {
            "form": 2,
            "left": self.left.target,
            "right": self.right.target,
            "spent_usd": [float(self.left.spent_usd), float(self.right.spent_usd)],
            "same_calls": self.same_calls,
            "only_left": self.only_left,
            "only_right": self.only_right,
            "checks": [
                {"id": one.id, "title": one.title, "left": told(one), "right": told(other)}
                for one, other in self.checks
            ],
            "differences": to_json(self.differences),
            "beyond": {f"only_{side}": to_json(found) for side, found in self.beyond.items()},
        }


def compare(left: Run, right: Run) -> Comparison:
    """Return the comparison of two runs with the same seed."""
    first, second = dict(_named(left)), dict(_named(right))
    pairs = [(first[name], second[name]) for name in first if name in second]
    reports = judge(left), judge(right)
    both = zip(*(report.results for report in reports), strict=True)
    checks = tuple((one, other) for one, other in both if _differ(one, other))
    only_left, only_right = len(first) - len(pairs), len(second) - len(pairs)
    return Comparison(*reports, len(pairs), only_left, only_right, checks, _differences(pairs))


def _differ(one: CheckResult, other: CheckResult) -> bool:
    judged = Verdict.SKIPPED not in (one.verdict, other.verdict)
    return judged and one.verdict is not other.verdict


def _differences(pairs: list[tuple[Exchange, Exchange]]) -> tuple[Difference, ...]:
    """Return what differs in pairs of answers, each with its shortest call to the left."""
    by_kind: dict[tuple[str, str, str], list[Exchange]] = defaultdict(list)
    for left, right in pairs:
        for kind in _differing(left, right):
            by_kind[kind].append(left)
    return tuple(
        Difference(*kind, len(calls), format_exchange(min(calls, key=_size)).curl)
        for kind, calls in sorted(by_kind.items(), key=lambda item: -len(item[1]))
    )


def _size(call: Exchange) -> int:
    return len(call.body or "")


def _differing(left: Exchange, right: Exchange) -> Iterator[tuple[str, str, str]]:
    if left.status != right.status:
        # The rest follows from that.
        yield "answer", _outline(left), _outline(right)
        return
    one, other = parts(left), parts(right)
    for part in {**one, **other}:
        told = one.get(part, _ABSENT), other.get(part, _ABSENT)
        if told[0] != told[1]:
            yield part, *told


def _outline(call: Exchange) -> str:
    """Return an answer in a few words: its status, and the message of an error."""
    words = "" if call.succeeded else _anonymous(str(call.message or ""), call)
    return f"HTTP {call.status} {words}".strip()
