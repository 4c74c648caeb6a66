"""A rule: which submits it is about, and what is to happen to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.effects import CallbackEffects, Duration, Effects, Fault, Quirk
from apixo_emulator.domain.problems import (
    ContradictoryError,
    DocumentError,
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

# The code of a failure that says no other: the page's own example.
_DEFAULT_CODE = "Unknown error"


@dataclass(frozen=True, slots=True)
class Match:
    """Which submits a rule is about; what is left out is not compared.

    ``image_url``, ``key`` and the values of ``headers`` are patterns with ``*``; header names are in
    lower case. ``calls`` are the numbers, from 1, of the submits that fit all else but the
    probability. Of those that fit, ``probability`` of them are taken.
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
    """A rule. ``effects`` are what its scenarios and its plan ask for together.

    After ``times`` decisions it is used up; None is never. ``document`` is its JSON form.
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
        DocumentError: It breaks the schema; the message says all of it.
        ContradictoryError: It asks for what cannot happen.
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
    parts = list(_scenarios(read.get("scenario", ())))
    plan = _plan(read["plan"]) if "plan" in read else None
    effects = _together(parts, plan)
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
    """Return the JSON form of a rule, without its id; `rule_of` reads it back to the same one.

    ``masked`` is how it may be shown: without keys and other secrets.
    """
    document = dict(rule.document)
    if masked and "match" in document:
        shown = shown_match(rule.match)
        secrets = {"image_url": shown.image_url, "key": shown.key, "headers": dict(shown.headers)}
        match = document["match"]
        document["match"] = {name: secrets.get(name, value) for name, value in match.items()}
    return document


def shown_match(match: Match) -> Match:
    """Return it as it may be shown: without keys and other secrets, wherever they are."""
    secret = [(name.encode(), pattern.encode()) for name, pattern in match.headers]
    hides = mask_of(secret, [] if match.key is None else [match.key])
    return replace(
        match,
        image_url=None if match.image_url is None else hides.text(match.image_url),
        key=None if match.key is None else mask(match.key),
        headers=tuple((name, hides.text(pattern)) for name, pattern in match.headers),
    )


def shown_header(name: str, value: str) -> str:
    """Return the value of a header, or a pattern of it, as it may be shown."""
    return mask_of([(name.encode(), value.encode())]).text(value)


def _with_nearest_name(problem: Problem, document: Mapping[str, Any]) -> Problem:
    """Return the problem of a misspelt scenario with the words that are used everywhere."""
    if problem.path[:1] != ("scenario",):
        return problem
    value = document["scenario"]
    for part in problem.path[1:]:
        value = value[part]
    if isinstance(value, str):
        try:
            scenario(value)
        except UnknownScenarioError as error:
            return replace(problem, message=str(error))
    return problem


def _scenarios(names: str | Sequence[str]) -> Iterator[Effects]:
    given = [((), names)] if isinstance(names, str) else [((i,), n) for i, n in enumerate(names)]
    for place, name in given:
        try:
            yield scenario(name)
        except UnknownScenarioError as error:
            raise DocumentError([Problem(("scenario", *place), str(error))]) from None


def _together(parts: Sequence[Effects], plan: Effects | None) -> Effects:
    try:
        return joined(*parts) if plan is None else joined(*parts, plan)
    except UnknownScenarioError as error:
        path = "scenario" if plan is None else "plan"
        raise DocumentError([Problem((path,), str(error))]) from None


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
    return Effects(
        "plan",
        failure=_failure(document) if outcome == "failed" else None,
        succeed=outcome == "success",
        duration=_duration(document),
        stuck=outcome == "stuck",
        submit_fault=_submit_fault(document),
        status_fault=_with_retry_after(poll_faults()[status["fault"]], status) if status else None,
        status_fault_times=status.get("times"),
        callback=_callback(document.get("callback", {})),
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
    return replace(_with_retry_after(submit_faults()[f"http-{http['status']}"], http), wire=wire)


def _with_retry_after(fault: Fault, document: Mapping[str, Any]) -> Fault:
    if "retry_after_s" not in document:
        return fault
    return replace(fault, retry_after_s=document["retry_after_s"])


def _callback(document: Mapping[str, Any]) -> CallbackEffects:
    given = dict(document)
    lag_ms = given.pop("before_done_ms", 0)
    return CallbackEffects(poll_lag_ms=lag_ms, **given)
