"""A run, ordered by task, as the judges look at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

from apixo_contract._observations import CallbackSeen, Exchange, Purpose, Run
from apixo_contract._oracle import Expectation, expect_text
from apixo_contract._reading import parsed
from apixo_schemas import contract

RUNNING = ("pending", "processing")
ENDED = ("success", "failed")
# The fields that only an ended task has.
END_FIELDS = ("resultJson", "failCode", "failMsg", "completeTime")
# An answer to come again later; it says nothing of the contract.
_BUSY = frozenset({429, 503})

# Stands in every callback address of ours, before the mark of the task.
MARK = "apixo-contract"
_MARKED = re.compile(rf"{MARK}[/=]([0-9a-zA-Z-]+)")


def carries(value: Any) -> bool:
    """Whether a field says something; serializers write null, or nothing in quotes, for absent."""
    return value not in (None, "")


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def answered(exchange: Exchange) -> bool:
    """Whether there is an answer that can be judged."""
    return exchange.status is not None and exchange.status not in _BUSY


@dataclass(frozen=True)
class Submitted:
    """A submit that was answered, and what the oracle says of its body."""

    exchange: Exchange

    @cached_property
    def expected(self) -> Expectation | None:
        """Give what the contract says of the body; None where it is no JSON."""
        try:
            return expect_text(self.exchange.body or "")
        except ValueError:
            return None

    @cached_property
    def body(self) -> Mapping[str, Any]:
        """Give the body as an object, an empty one where it is none."""
        try:
            found = parsed(self.exchange.body or "")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def asked(self) -> Mapping[str, Any]:
        """Give the body's ``input`` as an object."""
        found = self.body.get("input")
        return found if isinstance(found, dict) else {}

    @property
    def has_input(self) -> bool:
        """Whether the body has an ``input`` to speak of."""
        return isinstance(self.body.get("input"), dict)

    def value(self, name: str) -> Any:
        """Give a parameter of ``input`` with its default, or its normal form."""
        given = self.asked.get(name)
        given = contract().defaults.get(name) if given is None else given
        if name == "resolution" and isinstance(given, str):
            return given.lower()
        if name == "output_format" and isinstance(given, str):
            return contract().format_aliases.get(given, given)
        return given

    @property
    def by_callback(self) -> bool:
        """Whether the final answer was to be called back."""
        return self.body.get("request_type") == "callback"


@dataclass
class TaskView:
    """All that was seen of one accepted task."""

    id: str
    submitted: Submitted
    polls: list[Exchange] = field(default_factory=list)
    result: Exchange | None = None
    callbacks: list[CallbackSeen] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Give which planned task this is."""
        return self.submitted.exchange.probe

    @cached_property
    def shown(self) -> list[Exchange]:
        """Give the polls that showed the task."""
        return [poll for poll in self.polls if poll.succeeded and poll.task]

    @cached_property
    def final(self) -> Exchange | None:
        """Give the first answer that says how the task ended."""
        return next((poll for poll in self.shown if poll.state in ENDED), None)

    @property
    def after(self) -> list[Exchange]:
        """Give the polls after the first final answer."""
        if self.final is None:
            return []
        return [poll for poll in self.polls if poll.number > self.final.number and answered(poll)]

    @property
    def succeeded(self) -> bool:
        """Whether the task ended well."""
        return self.final is not None and self.final.state == "success"

    @property
    def failed(self) -> bool:
        """Whether the task ended as failed."""
        return self.final is not None and self.final.state == "failed"

    @property
    def create_ms(self) -> int | None:
        """Give `createTime` as first seen."""
        times = (poll.task.get("createTime") for poll in self.shown)
        return next((time for time in times if is_integer(time)), None)


class View:
    """An index over a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.answers = [call for call in run.exchanges if answered(call)]
        self.api = [
            call for call in self.answers if call.purpose not in (Purpose.RESULT, Purpose.BUSY)
        ]
        # A target that breaks off at a body has an answer to give, and does not give it.
        self.submits = [
            Submitted(call) for call in run.submits if answered(call) or _broke_off(call)
        ]
        self.tasks = self._tasks()

    def _tasks(self) -> dict[str, TaskView]:
        tasks: dict[str, TaskView] = {}
        for submitted in self.submits:
            task_id = submitted.exchange.submitted_id
            said = submitted.expected
            # What a target makes of a body that it ought to refuse is nobody's promise.
            if submitted.exchange.accepted and task_id and said is not None and said.accepted:
                tasks.setdefault(task_id, TaskView(task_id, submitted))
        for poll in self.run.of(Purpose.POLL, Purpose.POLL_AGAIN):
            if poll.task_id in tasks and (answered(poll) or poll.trouble):
                tasks[poll.task_id].polls.append(poll)
        for call in self.run.of(Purpose.RESULT):
            if call.task_id in tasks:
                tasks[call.task_id].result = call
        for callback in self.run.callbacks:
            owner = next((task for task in tasks.values() if _is_for(callback, task)), None)
            if owner is not None:
                owner.callbacks.append(callback)
        return tasks

    @cached_property
    def planned(self) -> dict[str, Submitted]:
        """Give the planned tasks' submits by their name."""
        return {
            found.exchange.probe: found
            for found in self.submits
            if found.exchange.purpose is Purpose.TASK
        }

    def of(self, *purposes: Purpose) -> list[Exchange]:
        """Give the answered calls of these purposes."""
        return [call for call in self.answers if call.purpose in purposes]

    def note(self, topic: str, otherwise: str) -> str:
        """Give why something was not done."""
        return self.run.notes.get(topic, otherwise)

    @cached_property
    def no_tasks(self) -> str:
        """Give why there is no task to look at."""
        return self.note("tasks", self.note("budget", "no task was accepted"))


def _broke_off(call: Exchange) -> bool:
    return call.purpose is Purpose.BODY and call.trouble is not None


def mark_of(url: str) -> str:
    """Give the mark by which a callback address belongs to one task; empty if there is none."""
    found = _MARKED.search(url)
    return found[1] if found else ""


def _is_for(callback: CallbackSeen, task: TaskView) -> bool:
    """Match by the mark in the address, or by the id in the payload where none came through."""
    mark = mark_of(callback.path)
    if mark:
        return mark == mark_of(str(task.submitted.body.get("callback_url")))
    return task.submitted.by_callback and callback.task_id == task.id
