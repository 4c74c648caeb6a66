"""The same calls of two runs, side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apixo_contract._observations import Exchange, Purpose, Run
from apixo_contract._view import ENDED, View

# Calls of these kinds are told apart by what was asked, of the others by their turn.
_BY_BODY = frozenset({Purpose.BODY, Purpose.PROBE, Purpose.TASK})
_LEFT_OUT = frozenset({Purpose.BUSY, Purpose.POLL, Purpose.POLL_AGAIN})
_FINAL = "final answer"

Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One call as each of the two answered it; ``name`` is the same in both runs."""

    name: Name
    left: Exchange
    right: Exchange

    @property
    def purpose(self) -> Purpose:
        """Give what the call was made for."""
        return self.left.purpose


@dataclass(frozen=True, slots=True)
class Aligned:
    """The calls that both runs made, and how many only one of them did."""

    pairs: tuple[Pair, ...]
    only_left: int
    only_right: int


def align(left: Run, right: Run) -> Aligned:
    """Find the same calls of two runs, by what was asked; polls by the task's final answer."""
    first, second = dict(_named(left)), dict(_named(right))
    shared = [name for name in first if name in second]
    pairs = tuple(Pair(name, first[name], second[name]) for name in shared)
    return Aligned(pairs, len(first) - len(shared), len(second) - len(shared))


def _named(run: Run) -> Iterator[tuple[Name, Exchange]]:
    turns: Counter[Name] = Counter()
    tasks = View(run).tasks
    names = {task.id: task.name for task in tasks.values()}
    for call in run.exchanges:
        if call.purpose in _LEFT_OUT or call.status is None:
            continue
        name = (*_name(call), names.get(call.task_id or "", ""))
        turns[name] += 1
        yield (*name, str(turns[name])), call
    for task in tasks.values():
        if task.final is not None and task.final.state in ENDED:
            yield (_FINAL, task.name, _comparable(task.submitted.exchange.body or "")), task.final


def _name(call: Exchange) -> Name:
    if call.purpose in _BY_BODY:
        return (call.purpose.value, call.probe, _comparable(call.body or ""))
    return (call.purpose.value, call.key.value, call.method, call.probe)


def _comparable(text: str) -> str:
    """Give a body without the address of our receiver, which each run has its own of."""
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(body, dict) and "/apixo-contract/" in str(body.get("callback_url")):
        return json.dumps({**body, "callback_url": "our receiver"})
    return text
