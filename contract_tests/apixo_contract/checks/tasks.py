"""Checks of accepted tasks: every supported value, default and alias is accepted and followed to the end.

The run pays once for every supported value, in each of its spellings, and once more in callback mode
if the budget allows it. A task that fails is repeated, and the value that no successful task shares
is blamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from apixo_contract.bodies import PUBLIC_HOOK, Body, body, example, in_callback_mode
from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    Rank,
    check,
    fact,
    judged,
    outcome_for,
    page,
    skipped,
)
from apixo_contract.checks.money import FAILED, TASKS, Meter
from apixo_contract.checks.pictures import format_of, same_as
from apixo_contract.checks.submit import faults
from apixo_contract.checks.values import (
    FAILING,
    NOT_A_URL,
    TOLERANT,
    attempts,
    features,
    refused_or_failed,
    untaken,
)
from apixo_contract.observations import Exchange, Purpose
from apixo_contract.options import Unreachable
from apixo_contract.oracle import rule_of_message
from apixo_contract.session import Session
from apixo_contract.view import BUSY, View

# Seconds for submitting tasks: a limit on how many run at once can delay them.
_PAYING_S = 90.0
_PAYMENT_REQUIRED = 402
_APART_S = 1.0
# Seconds that a task may go on after it was called back.
_CALLED_BACK_S = 8.0
# Tasks that are paid in callback mode, too, and what the budget must keep for all that comes later.
_IN_BOTH_MODES = ("8k-webp", "minimal", "2k-png", "example")
_KEPT_TASKS = 10
_MINIMAL = ("minimal", "callback-minimal")
_NOT_A_URL = "not a url"


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that the run pays for."""

    name: str
    body: Body
    by_callback: bool = False


def _plan(url: str) -> Iterator[Planned]:
    """Yield the tasks that ought to succeed, in the order of what they show.

    A small budget pays for the first ones.
    """
    mode = "image-to-image"
    yield Planned("example", example(url))
    aliases = body(url, resolution="2K", output_format="jpeg")
    yield Planned("callback", aliases, by_callback=True)
    yield Planned("8k-webp", body(url, mode=mode, resolution="8k", output_format="webp"))
    yield Planned("minimal", body(url))
    yield Planned("2k-png", body(url, mode=mode, resolution="2k", output_format="png"))
    yield Planned("4K-jpeg", body(url, resolution="4K", output_format="jpeg"))
    yield Planned("repeat", example(url))
    nulls = body(url, request_type=None, mode=None, output_format=None, resolution="8K", prompt="a")
    yield Planned(TOLERANT, {"provider": "auto", "trace": {"id": 1}, **nulls})


def _again_by_callback(url: str) -> Iterator[Planned]:
    """Yield tasks in callback mode with the values that `callback` lacks."""
    planned = {task.name: task for task in _plan(url)}
    for name in _IN_BOTH_MODES:
        yield replace(planned[name], name=f"callback-{name}", by_callback=True)


def _tolerances(url: str) -> Iterator[Planned]:
    """Yield what the tolerant task holds, each alone, what must be accepted first."""
    yield Planned("provider", {"provider": "auto", **body(url)})
    yield Planned("no-request-type", body(url, request_type=None))
    yield Planned("nulls", body(url, resolution=None, mode=None, output_format=None))
    yield Planned("unknown-parameters", {"trace": {"id": 1}, **body(url, prompt="a cat")})


# --- what is sent -----------------------------------------------------------------------------


class Tasks:
    """Submits the tasks that a run pays for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._url = session.settings.image_url
        self._meter = Meter(session)
        self._planned: dict[str, Planned] = {}

    def pay(self) -> None:
        """Submit the planned tasks; keep the price of one for surprises.

        Raises:
            Unreachable: The target was too busy for every one of them.
        """
        session = self._session
        self._note_callbacks()
        session.read_balance(TASKS)
        until = session.clock() + _PAYING_S
        for task in _plan(self._url):
            reason = None if session.clock() < until else "The target accepted tasks too slowly."
            if session.budget.left < 2:  # noqa: PLR2004 - this one and the one for surprises
                reason = session.over_budget
            if reason is None:
                reason = self._pay_for(task)
            if reason is not None:
                session.notes.setdefault("tasks", reason)
                break
        else:
            for task in _again_by_callback(self._url):
                if self._takes_callbacks and session.budget.left > _KEPT_TASKS:
                    self._submit(task)
        sent = [call for call in session.calls.exchanges if call.purpose is Purpose.TASK]
        if sent and all(call.status in BUSY for call in sent):
            raise Unreachable(
                f"{session.settings.base_url} was too busy for every task (HTTP {sent[-1].status}, "
                f"{len(sent)} submits that were not repeated any more): nothing can be judged. "
                "Try again later"
            )

    def _note_callbacks(self) -> None:
        session = self._session
        if session.receiver is None:
            reason = "No address for callbacks is known: give --callback-host or --callback-url."
            session.notes["callbacks"] = reason
        elif not session.settings.waits_for_retries:
            reason = "The first retry comes after 30 s: give --max-wait 60 to wait for it."
            session.notes["callback-retry"] = reason

    def _pay_for(self, task: Planned) -> str | None:
        """Submit one task; return the reason if there can be no more."""
        if task.name == "repeat":
            # A second later: by then a clock that runs faster has shown it.
            self._session.idle(_APART_S)
        called_back = task.by_callback and self._takes_callbacks
        found = self._submit(task)
        if found is None or found.succeeded:
            return None
        if found.status == _PAYMENT_REQUIRED:
            return "The account has no money left."
        if called_back:
            self._call_back_otherwise(task, found)
        if task.name == TOLERANT:
            self._submit_all(_tolerances(self._url))
        return None

    def _submit_all(self, tasks: Iterable[Planned]) -> None:
        for task in tasks:
            self._submit(task)

    @property
    def _takes_callbacks(self) -> bool:
        return self._session.receiver is not None and "callbacks" not in self._session.notes

    def _call_back_otherwise(self, task: Planned, refused: Exchange) -> None:
        """Submit a task in callback mode again: without aliases, or with a public HTTPS address."""
        if rule_of_message(refused.message) is not None:
            plain = body(self._url, mode="image-to-image", resolution="2k", output_format="png")
            found = self._submit(Planned("callback-plain", plain, by_callback=True))
            if found is not None and found.succeeded:
                return
        words = f"The target refused the callback URL: {refused.message}"
        self._session.notes["callbacks"] = words
        hook = self._meter.submit("callback-https", in_callback_mode(task.body, PUBLIC_HOOK))
        if hook is not None and not hook.succeeded:
            self._submit(replace(task, name="2K-jpeg", by_callback=False))

    def _submit(self, task: Planned, suffix: str = "") -> Exchange | None:
        receiver = self._session.receiver
        name = task.name + suffix
        if not task.by_callback or receiver is None or not self._takes_callbacks:
            found = self._meter.submit(name, task.body)
        else:
            url = receiver.url(task.name)
            if self._session.settings.waits_for_retries and task.name == "callback":
                receiver.refuse_first(url)
            found = self._meter.submit(name, in_callback_mode(task.body, url), url)
        if found is not None and found.succeeded:
            self._planned[name] = task
        return found

    def finish(self) -> None:
        """Wait until every task has ended, or has had its time."""
        session = self._session
        while session.poller.open:
            session.idle(max(session.poller.next_s, 0.01))
            for task in session.poller.open:
                # A task that was called back has ended: polls must say so soon.
                if session.receiver is not None and session.receiver.count(task):
                    session.poller.no_longer_than(task, _CALLED_BACK_S)

    def follow(self) -> None:
        """Repeat tasks that failed, and find out which value makes them fail."""
        self.finish()
        self._meter.settle()
        if not self._planned:
            return
        if not self._ended("success"):
            self._again(next(iter(self._planned)))
            return
        for name in self._ended("failed"):
            if self._again(name) != "failed":
                continue
            if name == TOLERANT:
                self._submit_all(_tolerances(self._url))
                self.finish()
            else:
                self._isolate(name)
        odd = [name for name in self._meter.odd if name in self._planned]
        if odd and len(odd) < len(self._meter.exact):
            # Somebody else may use the account: the same price twice is the target's doing.
            self._submit(self._planned[odd[0]], "/price")

    def _ended(self, state: str) -> list[str]:
        final = {task.name: task.final for task in self._session.poller.tasks.values()}
        return [n for n in self._planned if (f := final.get(n)) is not None and f.state == state]

    def _again(self, name: str) -> str | None:
        """Repeat a task; return the state in which it ended."""
        found = self._submit(self._planned[name], "/again")
        self.finish()
        tracked = self._session.poller.tasks.get((found and found.submitted_id) or "")
        return tracked.final.state if tracked is not None and tracked.final is not None else None

    def _isolate(self, name: str) -> None:
        """Submit a failed task with all but one of its suspects replaced by proven values."""
        failed = self._planned[name]
        proven = {f for n in self._ended("success") for f in features(self._planned[n].body)}
        suspects = [f for f in features(failed.body) if f not in proven]
        model = example(self._url)["input"]
        for feature in suspects[1:]:
            if feature.parameter in model:
                asked = {**failed.body["input"], feature.parameter: model[feature.parameter]}
                body_ = {**failed.body, "input": asked}
                self._submit(replace(failed, body=body_), f"/with-{feature.parameter}")
        self.finish()

    def fail(self) -> None:
        """Submit a task that ought to fail, after all others, so that its charge is seen alone."""
        failing = self._session.settings.failing_image_url
        if not self._planned:
            return
        if failing:
            self._submit(Planned(FAILING, body(failing), by_callback=True))
        else:
            self._submit(self._not_a_url)
        self.finish()
        self._session.read_balance(FAILED)

    def last(self) -> None:
        """Submit what the budget still pays for: a source that is no URL."""
        if self._planned and self._session.settings.failing_image_url:
            self._submit(self._not_a_url)
        self.finish()

    @property
    def _not_a_url(self) -> Planned:
        return Planned(NOT_A_URL, body(_NOT_A_URL, resolution="4K"))


# --- how it is judged --------------------------------------------------------------------------


def _broken_off(view: View) -> list[tuple[str, Evidence]]:
    """Return the tasks that the target hung up on, if it answered none: one may be bad luck."""
    calls = [call for call in view.run.of(Purpose.TASK) if call.status is None]
    return [] if view.planned else [("submit.accepts", untaken(call)) for call in calls]


def _accepts(view: View) -> list[tuple[str, Evidence]]:
    blamed = [(n, e) for n, found in view.once(faults).items() for e in found]
    return [*blamed, *view.once(refused_or_failed), *_broken_off(view)]


def _outcome(view: View, check_id: str, *more: Evidence | None) -> Outcome:
    """Return the outcome of a promise about a value, by the tasks that have this value."""
    seen = [
        found
        for found in view.planned.values()
        if found.succeeded and not found.is_open
        if any(f.check_id == check_id for f in features(found.sent))
    ]
    broken = [evidence for name, evidence in _accepts(view) if name == check_id]
    once = {
        tasks[0].name for tasks in attempts(view).values() if len(tasks) == 1 and tasks[0].failed
    }
    others = any(task.succeeded for task in view.tasks.values())
    if seen and others and not broken and all(found.name in once for found in seen):
        return skipped(
            "The only task with it failed, and the budget does not pay for another: give a higher "
            "--budget-usd."
        )
    return outcome_for(len(seen), (*broken, *more), unseen=view.no_tasks, what="accepted tasks")


@check("submit.accepts", page("Request body"))
def accepts(view: View) -> Outcome:
    """The page's bodies and every supported value are accepted, and their tasks do not all fail."""
    return _outcome(view, "submit.accepts")


@check("submit.default.mode", page("Parameters"))
def default_mode(view: View) -> Outcome:
    """`mode` may be omitted."""
    return _outcome(view, "submit.default.mode")


@check("submit.default.resolution", page("Parameters"))
def default_resolution(view: View) -> Outcome:
    """`resolution` may be omitted, and the result is then as large as with 4k."""
    sizes = [same_as(view, name, "example") for name in _MINIMAL]
    return _outcome(view, "submit.default.resolution", *sizes)


@check("submit.default.output_format", page("Parameters"))
def default_format(view: View) -> Outcome:
    """`output_format` may be omitted, and the result is then of the same format as with jpg."""
    formats = [format_of(view, name, "example") for name in _MINIMAL]
    return _outcome(view, "submit.default.output_format", *formats)


@check("submit.resolution-case", page("Parameters"))
def resolution_case(view: View) -> Outcome:
    """`resolution` in capitals is accepted, and means the same tier."""
    pairs = (("callback", "2k-png"), ("4K-jpeg", "example"), (TOLERANT, "8k-webp"))
    sizes = [same_as(view, name, model) for name, model in pairs]
    return _outcome(view, "submit.resolution-case", *sizes)


@check("submit.jpeg-alias", page("Parameters"))
def jpeg_alias(view: View) -> Outcome:
    """`jpeg` is accepted, and the result is of the same format as with jpg."""
    formats = [format_of(view, name, "example") for name in ("callback", "4K-jpeg")]
    return _outcome(view, "submit.jpeg-alias", *formats)


@check("submit.provider", fact(7))
def provider(view: View) -> Outcome:
    """A top-level `provider`, as older examples have it, is accepted."""
    return _outcome(view, "submit.provider")


# --- answers ----------------------------------------------------------------------------------


@check("submit.response", page("Submit task response"), rank=Rank.IDENTITY)
def response(view: View) -> Outcome:
    """An accepted submit answers a non-empty text as `data.taskId`."""
    calls = [found for found in view.submits if found.succeeded]
    expected, unseen = "a text as `data.taskId`", view.no_tasks
    return judged(calls, lambda c: c.submitted_id is None, expected, unseen=unseen, what="submits")


@check("task-id.unique", page("Submit task response"), rank=Rank.IDENTITY)
def unique_ids(view: View) -> Outcome:
    """Every accepted submit gets a task id that no earlier one got."""
    accepted = [found for found in view.submits if found.submitted_id]
    if len(accepted) < 2:  # noqa: PLR2004 - one id cannot repeat
        return skipped(view.note("tasks", "Fewer than two tasks were accepted."))
    first: dict[str | None, int] = {}
    for call in accepted:
        first.setdefault(call.submitted_id, call.number)
    expected = "an id that was not given before"
    return judged(
        accepted, lambda c: first[c.submitted_id] != c.number, expected, unseen="", what="ids"
    )
