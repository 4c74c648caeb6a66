"""Two servers compared: the same calls to both, what differs, and which check it concerns.

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

from apixo_contract.checks.check import (
    ANSWER,
    CONTENT_TYPE,
    PICTURE_FORMAT,
    PICTURE_SIZE,
    RETRY_AFTER,
    WORDS,
    catalogue,
)
from apixo_contract.learn import id_form
from apixo_contract.observations import Exchange, Purpose, Run
from apixo_contract.report.model import Beyond, CheckResult, Report, Verdict, format_exchange
from apixo_contract.report.render import beyond_line, plain, source_of
from apixo_contract.run import judge
from apixo_contract.text import json_line, json_or_none, one_line, plural, to_json
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
# What the terminal shows of each group.
_MOST = 5
_LONGEST = 500

Name = tuple[str, ...]


# One call as each of the two answered it.
Pair = tuple[Exchange, Exchange]


# --- the same calls side by side ----------------------------------------------------------------


def _named(run: Run) -> Iterator[tuple[Name, Exchange]]:
    turns: Counter[Name] = Counter()
    tasks = View(run).tasks
    names = {task.id: task.submitted.exchange.probe for task in tasks.values()}
    for call in run.exchanges:
        if call.purpose in _LEFT_OUT or call.status is None:
            continue
        name = (*_name(call), names.get(call.task_id or "", ""))
        turns[name] += 1
        yield (*name, str(turns[name])), call
    for task in tasks.values():
        if task.final is not None and task.final.state in ENDED:
            body = _comparable(task.submitted.exchange.body or "")
            yield (_FINAL, task.submitted.exchange.probe, body), task.final


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
        return {PICTURE_FORMAT: call.picture.format or "none", PICTURE_SIZE: size}
    kind = call.answer_headers.get("content-type", "").partition(";")[0].strip().lower()
    found = {CONTENT_TYPE: kind or "none", RETRY_AFTER: _retry_after(call)}
    if not isinstance(call.json, dict):
        return {**found, "body": _anonymous(call.text, call)[:200] or "empty"}
    return {**found, **dict(_members(call))}


def outline(call: Exchange) -> str:
    """Return an answer in a few words: its status, and the message of an error."""
    status = f"HTTP {call.status}"
    if call.succeeded:
        return status
    return f"{status} {_anonymous(str(call.message or ''), call)}".strip()


def _retry_after(call: Exchange) -> str:
    value = call.answer_headers.get("retry-after", "").strip()
    return ("seconds" if value.isdecimal() else "a date") if value else _ABSENT


def _members(call: Exchange) -> Iterator[tuple[str, str]]:
    for name, value in call.envelope.items():
        if name == "code" and value == call.status:
            continue
        if name == "message" and call.is_error:
            yield WORDS, _text(value, name, call)
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
    """A part of an answer that differs in the same way ``count`` times, with its shortest call."""

    part: str
    left: str
    right: str
    count: int
    example: Exchange

    @property
    def curl(self) -> str:
        """Return a shell line that repeats the call on the left."""
        return format_exchange(self.example).curl


@dataclass(frozen=True, slots=True)
class Group:
    """The differences that concern one check; its id is empty for those that concern none."""

    check_id: str
    title: str
    left: CheckResult | None
    right: CheckResult | None
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the group as JSON values."""
        sides = {"left": self.left, "right": self.right}
        return {
            "id": self.check_id,
            "title": self.title,
            **{
                side: result and {"verdict": result.verdict, "evidence": result.summary}
                for side, result in sides.items()
            },
            "differences": [
                {
                    "facet": found.part,
                    "left": found.left,
                    "right": found.right,
                    "count": found.count,
                    "curl": found.curl,
                }
                for found in self.differences
            ],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two targets, in the order of the report; what concerns no check last.

    Attributes:
        same_calls: How many calls both got; those that only one of them got are left out.
    """

    left: Report
    right: Report
    same_calls: int
    only_left: int
    only_right: int
    groups: tuple[Group, ...]

    @property
    def exit_code(self) -> int:
        """Return 0 if the two answer alike, 1 if they differ."""
        return 1 if self.groups else 0

    @property
    def beyond(self) -> dict[str, list[Beyond]]:
        """Return what only the left, and only the right answered beyond the contract."""

        def only(one: Report, other: Report) -> list[Beyond]:
            known = {(found.kind, found.name, found.where) for found in other.beyond}
            return [b for b in one.beyond if (b.kind, b.name, b.where) not in known]

        return {"left": only(self.left, self.right), "right": only(self.right, self.left)}

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "form": 1,
            "left": self.left.target,
            "right": self.right.target,
            "spent_usd": [float(self.left.spent_usd), float(self.right.spent_usd)],
            "same_calls": self.same_calls,
            "only_left": self.only_left,
            "only_right": self.only_right,
            "groups": [group.to_json() for group in self.groups],
            "beyond": {f"only_{side}": to_json(found) for side, found in self.beyond.items()},
        }


def compare(left: Run, right: Run) -> Comparison:
    """Return the comparison of two runs with the same seed."""
    first, second = dict(_named(left)), dict(_named(right))
    pairs = [(first[name], second[name]) for name in first if name in second]
    reports = judge(left), judge(right)
    found = _differences(pairs)
    groups = []
    for one, other in zip(*(report.results for report in reports), strict=True):
        judged = Verdict.SKIPPED not in (one.verdict, other.verdict)
        if one.id in found or (judged and one.verdict is not other.verdict):
            groups.append(Group(one.id, one.title, one, other, found.get(one.id, ())))
    if "" in found:
        groups.append(Group("", "No check speaks of these", None, None, found[""]))
    only_left, only_right = len(first) - len(pairs), len(second) - len(pairs)
    return Comparison(*reports, len(pairs), only_left, only_right, tuple(groups))


def _differences(pairs: list[Pair]) -> dict[str, tuple[Difference, ...]]:
    """Return the differences by the id of the check that they concern, the most frequent first."""
    by_kind: dict[tuple[str, str, str, str], list[Exchange]] = defaultdict(list)
    for pair in pairs:
        for part, one, other in _differing(*pair):
            by_kind[_check_of(*pair, part), part, one, other].append(pair[0])
    found: dict[str, tuple[Difference, ...]] = defaultdict(tuple)
    for (name, part, one, other), calls in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        shortest = min(calls, key=lambda call: len(call.body or ""))
        found[name] += (Difference(part, one, other, len(calls), shortest),)
    return found


def _differing(left: Exchange, right: Exchange) -> Iterator[tuple[str, str, str]]:
    if left.status != right.status:
        # The rest follows from that.
        yield ANSWER, outline(left), outline(right)
        return
    one, other = parts(left), parts(right)
    for part in {**one, **other}:
        told = one.get(part, _ABSENT), other.get(part, _ABSENT)
        if told[0] != told[1]:
            yield part, *told


def _check_of(left: Exchange, right: Exchange, part: str) -> str:
    """Return the id of the first check that speaks of a part of an answer; empty if none does."""
    call = right if left.is_error and not right.is_error else left
    return next((c.id for c in catalogue().values() if c.concerns(call, part)), "")


# --- words --------------------------------------------------------------------------------------


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield a comparison as lines of plain text, what concerns a check first."""
    yield f"left:  {found.left.target} (cost at most ${found.left.spent_usd:.2f})"
    yield f"right: {found.right.target} (cost at most ${found.right.spent_usd:.2f})"
    for group in found.groups:
        yield ""
        yield from _group_lines(group)
    for side, only in found.beyond.items():
        if only:
            yield ""
            yield f"Seen beyond the contract on the {side} only (no difference in any check):"
            yield from (f"  {one_line(beyond_line(beyond))}" for beyond in only)
    yield ""
    yield (
        f"{plural(found.same_calls, 'call')} made to both; {found.only_left} made only to the "
        f"left and {found.only_right} only to the right are left out"
    )
    for side, report in (("left", found.left), ("right", found.right)):
        yield from (f"{side}: {remark}" for remark in report.remarks)
    count = len(found.groups)
    yield f"They differ in {plural(count, 'topic')}." if count else "They answer alike."


def _group_lines(group: Group) -> Iterator[str]:
    yield f"{group.check_id or 'beyond the contract'}: {one_line(plain(group.title))}"
    if group.left is not None and group.right is not None:
        yield f"  {source_of(group.left)}"
        yield f"  left:  {_told(group.left)}"
        yield f"  right: {_told(group.right)}"
    told = ""
    for found in group.differences[:_MOST]:
        answers = plural(found.count, "answer")
        yield f"  {found.part}, {answers}: {one_line(found.left)} | {one_line(found.right)}"
        if found.curl != told:
            yield f"    {one_line(found.curl, _LONGEST)}"
        told = found.curl
    rest = group.differences[_MOST:]
    if rest:
        yield f"  … and {len(rest)} more ways, {plural(sum(d.count for d in rest), 'answer')}"


def _told(result: CheckResult) -> str:
    known = "" if result.verdict is Verdict.SKIPPED else f"{result.verdict.value}, "
    return f"{known}{one_line(result.summary)}"
