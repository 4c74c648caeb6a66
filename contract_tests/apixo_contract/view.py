"""A run, ordered by task, as the checks look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard, TypeVar
from urllib.parse import urlsplit

from apixo_contract.observations import CallbackSeen, Exchange, Purpose, Run
from apixo_contract.text import json_or_none

RUNNING = ("pending", "processing")
ENDED = ("success", "failed")
# The fields that only an ended task has.
END_FIELDS = ("resultJson", "failCode", "failMsg", "completeTime")
# Answers that say "try again later". They show nothing of the contract.
BUSY = frozenset({429, 503})
# The topic of the note on a run that did not come to its end.
STOPPED = "stopped"
# Part of every callback address of a run. With `--callback-url` it is the name of a query parameter.
MARK = "apixo-contract"

# Answers that may pass, but leave open whether a submit was accepted.
TRANSIENT = frozenset({500, 502, 504})

# More calls that failed in passing than these, and this share of all, make a target flaky.
_FLAKY_CALLS = 3
_FLAKY_SHARE = 0.01

T = TypeVar("T")


def is_broken(call: Exchange) -> bool:
    """True if a call got no answer, or an error that may pass."""
    return call.status is None or call.status in TRANSIENT


def carries(value: Any) -> bool:
    """True if a field says something; serializers write null or an empty text for an absent one."""
    return value not in (None, "")


def is_integer(value: Any) -> TypeGuard[int]:
    """True if a JSON value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def answered(exchange: Exchange) -> bool:
    """True if there is an answer that can be judged."""
    return exchange.status is not None and exchange.status not in BUSY


def is_odd_end(poll: Exchange) -> bool:
    """True if an answer shows an end under an undocumented name.

    An undocumented state means "still running" (platform fact P15), as long as no field of an
    ended task stands beside it.
    """
    if poll.state in RUNNING or poll.state in ENDED:
        return False
    return any(carries(poll.task.get(name)) for name in END_FIELDS)


def result_of(task: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `resultJson` holds; an object given directly counts, so that the rest is seen."""
    value = task.get("resultJson")
    found = json_or_none(value) if isinstance(value, str) else value
    return found if isinstance(found, dict) else None


def result_urls(task: Mapping[str, Any]) -> list[str]:
    """Return the absolute URLs in `resultUrls`."""
    found = (result_of(task) or {}).get("resultUrls")
    return [url for url in found if _is_absolute(url)] if isinstance(found, list) else []


def _is_absolute(url: Any) -> bool:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return False
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.netloc)


@dataclass
class TaskView:
    """All that was seen of one accepted task."""

    id: str
    submitted: Exchange
    polls: list[Exchange] = field(default_factory=list)
    result: Exchange | None = None
    callbacks: list[CallbackSeen] = field(default_factory=list)
    # Callbacks for this task that came in at another address.
    astray: list[CallbackSeen] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the name of the planned task."""
        return self.submitted.name

    @cached_property
    def shown(self) -> list[Exchange]:
        """Return the polls that showed the task."""
        return [poll for poll in self.polls if poll.succeeded and poll.task]

    @cached_property
    def final(self) -> Exchange | None:
        """Return the first answer that says how the task ended."""
        return next((poll for poll in self.shown if poll.state in ENDED), None)

    @property
    def after(self) -> list[Exchange]:
        """Return the polls after the first final answer."""
        if self.final is None:
            return []
        return [poll for poll in self.polls if poll.number > self.final.number and answered(poll)]

    @property
    def succeeded(self) -> bool:
        """True if the task ended well."""
        return self.final is not None and self.final.state == "success"

    @property
    def failed(self) -> bool:
        """True if the task ended as failed."""
        return self.final is not None and self.final.state == "failed"

    @property
    def create_ms(self) -> int | None:
        """Return `createTime` as first seen."""
        times = (poll.task.get("createTime") for poll in self.shown)
        return next((time for time in times if is_integer(time)), None)


class View:
    """An index over a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._memo: dict[Callable[[View], Any], Any] = {}
        # A submit that broke off, or got an error of a proxy, tells something only if that happened
        # again when it was repeated.
        broken = Counter(call.body for call in run.exchanges if is_broken(call))
        self.answers = [
            call
            for call in run.exchanges
            if answered(call) and not (call.body and is_broken(call) and broken[call.body] == 1)
        ]
        others = (Purpose.RESULT, Purpose.BUSY)
        self.api = [call for call in self.answers if call.purpose not in others]
        told = {call.number for call in self.answers}
        self.submits = [
            call
            for call in run.of(Purpose.BODY, Purpose.PROBE, Purpose.TASK)
            if call.body is not None
            and (call.number in told or (call.purpose is Purpose.BODY and broken[call.body] > 1))
        ]
        self.tasks = self._tasks()

    def once(self, compute: Callable[[View], T]) -> T:
        """Return what a function makes of this view, computed once for all checks."""
        if compute not in self._memo:
            self._memo[compute] = compute(self)
        found: T = self._memo[compute]
        return found

    def _tasks(self) -> dict[str, TaskView]:
        tasks: dict[str, TaskView] = {}
        for submitted in self.submits:
            task_id = submitted.submitted_id
            # Nothing is promised of a task whose body ought to have been refused.
            if task_id and submitted.is_valid:
                tasks.setdefault(task_id, TaskView(task_id, submitted))
        for poll in self.run.of(Purpose.POLL, Purpose.POLL_AGAIN):
            if poll.task_id in tasks and (answered(poll) or poll.trouble):
                tasks[poll.task_id].polls.append(poll)
        for call in self.run.of(Purpose.RESULT):
            if call.task_id in tasks:
                tasks[call.task_id].result = call
        for callback in self.run.callbacks:
            _assign(callback, tasks)
        return tasks

    @cached_property
    def passing(self) -> list[Exchange]:
        """Return the calls that broke off or failed, and got another answer when repeated."""
        busy = [call for call in self.run.of(Purpose.BUSY) if call.status not in BUSY]
        last = [call for call in self.run.exchanges if call.purpose is not Purpose.BUSY]
        lasting = {(call.url, call.body) for call in last if is_broken(call)}
        return [call for call in busy if (call.url, call.body) not in lasting]

    @property
    def is_unsteady(self) -> bool:
        """True if so many calls failed in passing that the target is flaky."""
        return len(self.passing) > _FLAKY_CALLS + _FLAKY_SHARE * len(self.run.exchanges)

    @cached_property
    def planned(self) -> dict[str, Exchange]:
        """Return the planned tasks' submits by their name, repetitions under names of their own."""
        return {found.probe: found for found in self.submits if found.purpose is Purpose.TASK}

    def of(self, *purposes: Purpose) -> list[Exchange]:
        """Return the answered calls of these purposes."""
        return [call for call in self.answers if call.purpose in purposes]

    def probes(self, name: str) -> list[Exchange]:
        """Return the answered calls that test one assumption or promise."""
        found = self.of(Purpose.PROBE)
        return [call for call in found if call.probe.partition("/")[0] == name]

    def note(self, topic: str, otherwise: str) -> str:
        """Return why something was not done."""
        return self.run.notes.get(topic, otherwise)

    @cached_property
    def no_tasks(self) -> str:
        """Return why there is no task to look at."""
        return self.or_open(self.note("tasks", self.note("budget", "No task was accepted.")))

    def or_open(self, reason: str) -> str:
        """Return why something was not seen: for a reason, unless open answers are the cause."""
        if any(found.is_open for found in self.submits):
            return "A success that names no task leaves open whether the body was accepted."
        return reason


def _assign(callback: CallbackSeen, tasks: Mapping[str, TaskView]) -> None:
    """Add a callback to the task whose address it came in at, else to the task that it names."""
    for task in tasks.values():
        if is_called_at(callback.path, task.submitted.callback_url):
            task.callbacks.append(callback)
            return
    named = tasks.get(callback.task_id or "")
    if named is not None and named.submitted.by_callback:
        # A tunnel may rewrite paths, so that only the payload names the task.
        through_tunnel = f"/{MARK}/" not in named.submitted.callback_url
        (named.callbacks if through_tunnel else named.astray).append(callback)


def is_called_at(path: str, url: str) -> bool:
    """True if a call's path and query are those of a callback address.

    Of an address given with `--callback-url` only the mark in the query counts: what lies between
    may rewrite the path.
    """
    parts = urlsplit(url)
    if not url:
        return False
    if parts.path.startswith(f"/{MARK}/"):
        return path == (f"{parts.path}?{parts.query}" if parts.query else parts.path)
    mark = f"{MARK}="
    return mark in parts.query and parts.query[parts.query.index(mark) :] in path
