"""What a check is: a promise or an assumption with its grade, its source and its judgement.

`check` registers a judgement under its id. A judgement is a pure function of a `View`. One defect
often shows in several checks; `results` attributes it to the closest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from apixo_contract.observations import CallbackSeen, Exchange, PropertySeen
from apixo_contract.oracle import expect_text
from apixo_contract.report.model import CheckResult, Example, Verdict, format_exchange
from apixo_contract.text import clipped
from apixo_contract.view import STOPPED, View
from apixo_schemas import Grade, cited, contract, source


class Rank(IntEnum):
    """Which of two checks explains the same broken answer: the one of the lower rank."""

    # The answer cannot be read; tasks cannot be distinguished.
    ENVELOPE = 0
    IDENTITY = 1
    # The promise of a topic; a callback repeats what a poll says.
    TOPIC = 2
    CALLBACK = 3
    # The form of a readable answer; what is not documented.
    FORM = 4
    ASSUMPTION = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """A call, a callback or a property of the client that was not as it should be.

    Attributes:
        subject: What it is also about, beside the task or the call. Evidence of two checks that
            shares a subject shows one defect.
    """

    call: Exchange | CallbackSeen | PropertySeen
    expected: str
    observed: str
    subject: str = ""

    @property
    def subjects(self) -> frozenset[str]:
        """Return what the evidence is about."""
        if isinstance(self.call, PropertySeen):
            own = self.call.id
        elif isinstance(self.call, CallbackSeen):
            own = f"task {self.call.task_id}"
        else:
            task_id = self.call.task_id or self.call.submitted_id
            own = f"task {task_id}" if task_id else f"call {self.call.number}"
        return frozenset({own, self.subject} - {""})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a judgement found.

    Attributes:
        seen: How often the promise could have been broken; 0 skips the check.
        what: What was counted, as a plural noun.
        broken: Where it was broken.
        unseen: Why it could not be judged, if it could not.
        words: What the target does, as a sentence; replaces the counts.
        observed: What an assumption turned out to be, as a value for a profile.
    """

    seen: int = 0
    what: str = "answers"
    broken: tuple[Evidence, ...] = ()
    unseen: str = ""
    words: str = ""
    observed: Any = None


# The check of a target that answers the same call now rightly, now wrongly.
FLAKY = "errors.flaky"
# What a flaky target gets wrong so often, and in such a share, it does not get wrong by chance.
_MANY = 3
_NEARLY_ALL = 0.8

Judgement = Callable[[View], Outcome]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise or assumption, and how a run is judged by it.

    Attributes:
        rank: Decides which check a broken answer is attributed to.
        after: Checks of the same rank that explain a broken answer better.
        at_the_end: True if it is about what has come by the end of a run, such as callbacks.
    """

    id: str
    title: str
    grade: Grade
    source: str
    judge: Judgement
    rank: Rank = Rank.TOPIC
    after: tuple[str, ...] = ()
    at_the_end: bool = False

    @property
    def can_fail(self) -> bool:
        """True if breaking it is drift; an assumption is refuted instead."""
        return self.grade is not Grade.ASSUMED


_CHECKS: dict[str, Check] = {}
# The order of the report, by the first word of an id.
_TOPICS = (
    *("auth", "envelope", "errors", "submit", "status", "task-id", "balance", "callback"),
    *("result", "client", "assumption"),
)


def catalogue() -> dict[str, Check]:
    """Return every registered check by its id, in the order of the report."""
    ordered = sorted(_CHECKS, key=lambda name: _TOPICS.index(name.partition(".")[0]))
    return {name: _CHECKS[name] for name in ordered}


def page(section: str) -> tuple[Grade, str]:
    """Return grade and source of a sentence in a section of the Image Upscaler page."""
    return _grade_and_title(f"Image Upscaler page, {section}")


def fact(number: int) -> tuple[Grade, str]:
    """Return grade and source of a platform fact."""
    return _grade_and_title(f"P{number}")


def _grade_and_title(name: str) -> tuple[Grade, str]:
    found = source(name)
    return found.grade, found.title


def check(
    check_id: str, grade_and_source: tuple[Grade, str], **more: Any
) -> Callable[[Judgement], Judgement]:
    """Register a judgement; the first line of its docstring says what exactly the check proves.

    Args:
        check_id: Its id, e.g. ``auth.missing``.
        grade_and_source: What `page` or `fact` returns.
        more: ``rank``, ``after`` and ``at_the_end`` of `Check`.
    """

    def register(judge: Judgement) -> Judgement:
        title = (judge.__doc__ or "").partition("\n")[0].removesuffix(".")
        add(Check(check_id, title, *grade_and_source, judge, **more))
        return judge

    return register


def assumption(name: str, **more: Any) -> Callable[[Judgement], Judgement]:
    """Register the judgement of an assumption; its question and choice stand in the contract."""

    def register(judge: Judgement) -> Judgement:
        found = contract().assumptions[name]
        title = f"{found.question} Assumed: {found.choice}"
        options = {"rank": Rank.ASSUMPTION, **more}
        add(Check(f"assumption.{name}", title, *_grade_and_title(name), judge, **options))
        return judge

    return register


def add(made: Check) -> None:
    """Register a check."""
    _CHECKS[made.id] = made


# --- outcomes ---------------------------------------------------------------------------------


def skipped(reason: str) -> Outcome:
    """Return that nothing could be judged, and why."""
    return Outcome(unseen=reason)


def outcome_for(
    seen: int, broken: Iterable[Evidence | None], *, unseen: str, what: str = "answers"
) -> Outcome:
    """Return the outcome of a promise: broken once is broken, never seen is skipped."""
    found = tuple(evidence for evidence in broken if evidence is not None)
    return Outcome(max(seen, len(found)), what, found, unseen)


def judged(
    items: Iterable[Any],
    fault: Callable[..., str | bool | None],
    expected: str,
    *,
    unseen: str,
    what: str = "answers",
    subject: Callable[[Any], str] = lambda _call: "",
) -> Outcome:
    """Return the outcome of a promise about each of some calls.

    Args:
        items: The calls, or tuples that end in one.
        fault: Gets one of them, a tuple in its parts; returns what is wrong, True for all of the
            answer, and nothing if it is right.
        expected: What is right.
        unseen: Why there is none.
        what: What they are, as a plural noun.
        subject: Returns what a wrong one is also about, see `Evidence`.
    """
    seen = [item if isinstance(item, tuple) else (item,) for item in items]
    found = ((item[-1], fault(*item)) for item in seen)
    broken = (
        Evidence(call, expected, answer_of(call) if told is True else str(told), subject(call))
        for call, told in found
        if told
    )
    return outcome_for(len(seen), broken, unseen=unseen, what=what)


def assumed(words: str, *contrary: Evidence, holds: bool = False, observed: Any = None) -> Outcome:
    """Return the outcome of an assumption.

    Args:
        words: What the target does.
        contrary: Where the target differs, if it does.
        holds: The target does not differ.
        observed: What the target does, as a value of a profile if it can be one.
    """
    return Outcome(1, "", () if holds else contrary, words=words, observed=observed)


def as_assumed(what: str) -> Outcome:
    """Return that an assumption holds for what was seen."""
    return assumed(f"As assumed: {what}.")


def refusal_of(call: Exchange) -> dict[str, Any] | None:
    """Return status and message of an error as a profile has them; None if it has no message."""
    return {"status": call.status, "message": call.message} if call.message else None


def wording_of(call: Exchange) -> dict[str, Any] | None:
    """Return the message of an error as a profile has it; None if there is none."""
    return {"message": call.message} if call.message else None


def answer_of(call: Exchange) -> str:
    """Return an answer in one line: status and body."""
    if call.status is None:
        return f"no answer: {call.trouble}"
    limits = f" ({call.trouble})" if call.trouble else ""
    return f"HTTP {call.status} {clipped(call.text)}".rstrip() + limits


def simplest(broken: Iterable[Evidence]) -> Evidence:
    """Return the evidence that shows the least else: fewest broken rules, then the shortest body."""

    def size(evidence: Evidence) -> tuple[int, int]:
        call = evidence.call
        if not isinstance(call, Exchange):
            return 0, len(evidence.observed)
        return _rules_broken(call.body), len(call.body or "")

    return min(broken, key=size)


def _rules_broken(body: str | None) -> int:
    try:
        return 0 if body is None else len(expect_text(body).broken)
    except ValueError:
        return 0


# --- from outcomes to results -----------------------------------------------------------------


def results(view: View) -> Iterator[CheckResult]:
    """Judge a run: yield one result for each check, each defect attributed to its closest check."""
    checks = catalogue()
    stopped = view.run.notes.get(STOPPED)
    outcomes = {
        name: skipped(stopped) if stopped and found.at_the_end else found.judge(view)
        for name, found in checks.items()
    }
    if outcomes[FLAKY].broken:
        outcomes = {name: _steady(name, outcome) for name, outcome in outcomes.items()}
    subjects = {
        name: frozenset(s for evidence in outcome.broken for s in evidence.subjects)
        for name, outcome in outcomes.items()
    }
    for name, outcome in outcomes.items():
        closer = {other: subjects[other] for other in _closer(checks[name], checks)}
        yield _result(checks[name], outcome, closer)


def _steady(name: str, outcome: Outcome) -> Outcome:
    """Return an outcome on a flaky target: a promise is broken if nearly every answer breaks it."""
    count = len(outcome.broken)
    if name == FLAKY or not count or (count >= _MANY and count >= _NEARLY_ALL * outcome.seen):
        return outcome
    words = f"The target is flaky, see {FLAKY}. Wrong: {count} of {outcome.seen} {outcome.what}."
    return skipped(words)


def broken_calls(view: View) -> list[Exchange]:
    """Return the calls that broke promises."""
    outcomes = (c.judge(view) for c in catalogue().values() if c.can_fail)
    calls = (evidence.call for outcome in outcomes for evidence in outcome.broken)
    return [call for call in calls if isinstance(call, Exchange)]


def _closer(found: Check, checks: Mapping[str, Check]) -> list[str]:
    """Return the checks that a broken answer is attributed to rather than to this one."""
    lower = [other.id for other in checks.values() if other.rank < found.rank and other.can_fail]
    return [*lower, *found.after]


def _result(found: Check, outcome: Outcome, closer: Mapping[str, frozenset[str]]) -> CheckResult:
    causes = [name for name, about in closer.items() for e in outcome.broken if e.subjects & about]
    explained = frozenset(subject for about in closer.values() for subject in about)
    broken = [evidence for evidence in outcome.broken if not evidence.subjects & explained]
    examples: tuple[Example, ...] = ()
    if broken:
        verdict = Verdict.FAIL if found.can_fail else Verdict.REFUTED
        shown = [simplest(broken)] if found.can_fail else broken
        examples = tuple(_example(evidence) for evidence in shown)
        words = outcome.words or f"Wrong: {len(broken)} of {outcome.seen} {outcome.what}."
    elif outcome.broken:
        verdict = Verdict.SKIPPED
        words = f"The same answers break {causes[0]}, which must be repaired first."
    elif not outcome.seen:
        verdict, words = Verdict.SKIPPED, outcome.unseen
    else:
        verdict = Verdict.PASS if found.can_fail else Verdict.CONFIRMED
        words = outcome.words or f"{outcome.what.capitalize()} judged: {outcome.seen}."
    return CheckResult(
        id=found.id,
        title=found.title,
        grade=found.grade,
        source=found.source,
        statement=" ".join(entry.sentence for entry in cited(found.source))
        if found.can_fail
        else "",
        verdict=verdict,
        evidence=words,
        observed=outcome.observed,
        examples=examples,
        calls=outcome.seen,
    )


def _example(evidence: Evidence) -> Example:
    if isinstance(evidence.call, PropertySeen):
        return Example(evidence.call.id, evidence.expected, evidence.observed)
    call = format_exchange(evidence.call)
    return Example(f"{call.method} {call.url}", evidence.expected, evidence.observed, (call,))
