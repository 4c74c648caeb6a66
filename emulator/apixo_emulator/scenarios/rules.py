"""Rules: which submits a rule matches, and the effects that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.problems import (
    ContradictoryError,
    DocumentError,
    Path,
    Problem,
    fitting,
    found,
)
from apixo_emulator.domain.tasks import LONGEST_MS
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.scenarios.schema import rule_schema, rule_validator
from apixo_emulator.scenarios.vocabulary import (
    UnknownScenarioError,
    joined,
    poll_faults,
    scenario,
    submit_faults,
)
from apixo_schemas import contract

# The default failure code: the page's example.
_DEFAULT_CODE = "Unknown error"


@dataclass(frozen=True, slots=True)
class Match:
    """The conditions of a rule; None, or an empty tuple, is no condition.

    ``image_url``, ``key`` and the values of ``headers`` are patterns with ``*``; header names are in
    lower case. ``calls`` are numbers, from 1, of the submits that fit these conditions. Of the submits
    that fit all conditions, the share ``probability`` is taken.
    """

    image_url: str | None = None
    resolution: str | None = None
    output_format: str | None = None
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    calls: tuple[int, ...] = ()
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. Its ``effects`` are those of its scenarios and its plan together.

    It is used up after ``times`` decisions; None means never. ``document`` is its JSON form.
    """

    id: str
    name: str
    effects: Effects
    match: Match = Match()
    times: int | None = None
    document: Mapping[str, Any] = field(default_factory=dict, compare=False)


def rule_of(document: Mapping[str, Any], rule_id: str) -> Rule:
    """Read a rule from its JSON form, the same in scenario files, the control API and Python.

    Raises:
        DocumentError: It breaks the schema; the message lists all mistakes.
        ContradictoryError: Its effects contradict each other.
    """
    try:
        read: dict[str, Any] = fitting(rule_validator(), rule_schema(), document)
    except DocumentError as error:
        problems = [_with_nearest_name(problem, document) for problem in error.problems]
        raise DocumentError(problems) from None
    try:
        return _rule_of(read, rule_id)
    except DocumentError as error:
        raise ContradictoryError(error.problems) from None


def _rule_of(read: Mapping[str, Any], rule_id: str) -> Rule:
    plan = _plan(read["plan"]) if "plan" in read else None
    effects = _effects(read, plan)
    name = read.get("name", effects.name)
    return Rule(
        id=rule_id,
        name=name,
        effects=effects if plan is None else replace(effects, name=name),
        match=_match(read.get("match", {})),
        times=read.get("times"),
        document={"name": name, **read},
    )


def rule_to_json(rule: Rule, *, masked: bool = False) -> dict[str, Any]:
    """Return the JSON form of a rule, without its id; `rule_of` returns the same rule from it.

    With ``masked``, keys and other secrets are masked.
    """
    document = dict(rule.document)
    if masked and "match" in document:
        shown = shown_match(rule.match)
        secrets = {"image_url": shown.image_url, "key": shown.key, "headers": dict(shown.headers)}
        match = document["match"]
        document["match"] = {name: secrets.get(name, value) for name, value in match.items()}
    return document


def shown_match(match: Match) -> Match:
    """Return the conditions with all keys and other secrets masked."""
    secret = [(name.encode(), pattern.encode()) for name, pattern in match.headers]
    hides = mask_of(secret, [] if match.key is None else [match.key])
    return replace(
        match,
        image_url=None if match.image_url is None else hides.text(match.image_url),
        key=None if match.key is None else mask(match.key),
        headers=tuple((name, hides.text(pattern)) for name, pattern in match.headers),
    )


def shown_header(name: str, value: str) -> str:
    """Return the value of a header, or a pattern of it, with secrets masked."""
    return mask_of([(name.encode(), value.encode())]).text(value)


def _with_nearest_name(problem: Problem, document: Mapping[str, Any]) -> Problem:
    """Return the problem of a misspelt scenario with the nearest name in its message."""
    if problem.path[:1] != ("scenario",):
        return problem
    value: Any = document
    for part in problem.path:
        value = value[part]
    if isinstance(value, str):
        try:
            scenario(value)
        except UnknownScenarioError as error:
            return replace(problem, message=str(error))
    return problem


def _effects(read: Mapping[str, Any], plan: Effects | None) -> Effects:
    """Return what the scenarios and the plan of a rule ask for together."""
    parts: list[Effects] = []
    names = read.get("scenario", ())
    place: Path = ("scenario",)
    try:
        for index, name in enumerate([names] if isinstance(names, str) else names):
            place = ("scenario",) if isinstance(names, str) else ("scenario", index)
            parts.append(scenario(name))
        place = ("scenario",) if plan is None else ("plan",)
        return joined(*parts, *([] if plan is None else [plan]))
    except UnknownScenarioError as error:
        raise DocumentError([Problem(place, str(error))]) from None


def _match(document: Mapping[str, Any]) -> Match:
    headers = [(name.lower(), text) for name, text in document.get("headers", {}).items()]
    if len(dict(headers)) < len(headers):
        message = "expected each header once; found one in two spellings."
        raise DocumentError([Problem(("match", "headers"), message)])
    plain = {name: value for name, value in document.items() if name not in {"headers", "call"}}
    call = document.get("call", [])
    calls = sorted(call if isinstance(call, list) else [call])
    return Match(headers=tuple(sorted(headers)), calls=tuple(calls), **plain)


# Plans


def _plan(document: Mapping[str, Any]) -> Effects:
    """Return the effects of a plan that satisfies the schema."""
    outcome, status = _outcome(document), document.get("status", {})
    callback = dict(document.get("callback", {}))
    return Effects(
        "plan",
        failure=_failure(document) if outcome == "failed" else None,
        succeed=outcome == "success",
        duration=_duration(document),
        stuck=outcome == "stuck",
        submit_fault=_submit_fault(document),
        status_fault=_fault(poll_faults()[status["fault"]], status) if status else None,
        status_fault_times=status.get("times"),
        callback=CallbackEffects(poll_lag_ms=callback.pop("before_done_ms", 0), **callback),
        quirks=frozenset(map(Quirk, document.get("answers", ()))),
    )


def _wrong(key: str, message: str) -> DocumentError:
    return DocumentError([Problem(("plan", key), message)])


def _outcome(document: Mapping[str, Any]) -> str | None:
    outcome: str | None = document.get("outcome")
    for key in ("fail_code", "fail_msg"):
        if key in document and outcome not in {None, "failed"}:
            raise _wrong(key, f'expected outcome = "failed" beside it, found {found(outcome)}.')
    if outcome is None and ("fail_code" in document or "fail_msg" in document):
        return "failed"
    return outcome


def _failure(document: Mapping[str, Any]) -> tuple[str, str]:
    code: str = document.get("fail_code", _DEFAULT_CODE)
    known = contract().failures.get(code)
    message: str | None = document.get("fail_msg", known.message if known else None)
    if message is None:
        expected = f"expected fail_msg beside it, as {found(code)} is none of the documented codes"
        raise _wrong("fail_code", f"{expected}: {', '.join(contract().failures)}.")
    return code, message


def _duration(document: Mapping[str, Any]) -> Duration | None:
    pending_ms, processing_ms = document.get("pending_ms"), document.get("processing_ms")
    taken = document.get("duration")
    if processing_ms is not None:
        if taken is not None:
            raise _wrong("duration", "expected either duration or processing_ms, found both.")
        taken = processing_ms + (pending_ms or 0)
        if taken > LONGEST_MS:
            expected = f"expected at most {LONGEST_MS} with pending_ms"
            raise _wrong("processing_ms", f"{expected}, found {taken}.")
        return Duration(total_ms=taken, pending_ms=pending_ms or 0)
    if isinstance(taken, Mapping):
        median_ms, sigma = float(taken["median_ms"]), float(taken["sigma"])
        return Duration(median_ms=median_ms, sigma=sigma, pending_ms=pending_ms)
    if taken is None and pending_ms is None:
        return None
    return Duration(total_ms=taken, pending_ms=pending_ms)


def _submit_fault(document: Mapping[str, Any]) -> Fault | None:
    http = document.get("http")
    wire = WireFault(document["wire"]) if "wire" in document else None
    if http is None:
        return None if wire is None else Fault(wire=wire)
    return replace(_fault(submit_faults()[f"http-{http['status']}"], http), wire=wire)


def _fault(fault: Fault, document: Mapping[str, Any]) -> Fault:
    return replace(fault, retry_after_s=document.get("retry_after_s", fault.retry_after_s))
