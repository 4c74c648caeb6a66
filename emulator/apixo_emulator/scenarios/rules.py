"""A rule: which submits it is about, and what is to happen to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.problems import DocumentError, Problem, violations
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.scenarios.catalogue import UnknownScenarioError, joined, scenario
from apixo_emulator.scenarios.plans import plan_of, plan_to_json
from apixo_emulator.scenarios.rule_schema import rule_schema, rule_validator


@dataclass(frozen=True, slots=True)
class Match:
    """Which submits a rule is about; what is left out does not matter.

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
    """A rule. ``effects`` are what ``scenarios`` and ``plan`` ask for together.

    After ``times`` decisions it is used up; None is never.
    """

    id: str
    name: str
    effects: Effects
    match: Match = Match()
    times: int | None = None
    scenarios: tuple[str, ...] = ()
    plan: Effects | None = None


def rule_of(document: Mapping[str, Any], rule_id: str) -> Rule:
    """Read a rule from its JSON form, the same in scenario files, the control API and Python.

    Raises:
        DocumentError: It breaks the schema, or asks for what cannot happen; it says all of it.
    """
    broken = violations(rule_validator(), rule_schema(), document)
    if broken:
        raise DocumentError(_advised(problem, document) for problem in broken)
    parts = list(_scenarios(document.get("scenario", ())))
    plan = _plan(document["plan"]) if "plan" in document else None
    effects = _together(parts, plan)
    name = document.get("name", effects.name)
    return Rule(
        id=rule_id,
        name=name,
        effects=replace(effects, name=effects.name if plan is None else name),
        match=_match(document.get("match", {})),
        times=int(document["times"]) if "times" in document else None,
        scenarios=tuple(part.name for part in parts),
        plan=plan,
    )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _advised(problem: Problem, document: Mapping[str, Any]) -> Problem:
    """Say of a misspelt scenario what is said everywhere, with the nearest name."""
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


def _plan(document: Mapping[str, Any]) -> Effects:
    try:
        return plan_of(document)
    except DocumentError as error:
        raise DocumentError(problem.below("plan") for problem in error.problems) from None


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
    calls = sorted(map(int, _listed(document.get("call", []))))
    return Match(
        image_url=document.get("image_url"),
        resolution=document.get("resolution"),
        output_format=document.get("output_format"),
        key=document.get("key"),
        headers=tuple(sorted(headers)),
        calls=tuple(calls),
        probability=document.get("probability"),
    )


def rule_to_json(rule: Rule, *, masked: bool = False) -> dict[str, Any]:
    """Write a rule, without its id; `rule_of` reads it back to the same one.

    ``masked`` is how it may be shown: without keys and other secrets.
    """
    document: dict[str, Any] = {
        "name": rule.name,
        "times": rule.times,
        "scenario": _one_or_list(rule.scenarios),
        "match": _written_match(rule.match, masked=masked),
        "plan": plan_to_json(rule.plan) if rule.plan else None,
    }
    return {key: value for key, value in document.items() if value not in (None, {}, [])}


def _one_or_list(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _written_match(match: Match, *, masked: bool) -> dict[str, Any]:
    if masked:
        match = shown_match(match)
    document: dict[str, Any] = {
        "image_url": match.image_url,
        "resolution": match.resolution,
        "output_format": match.output_format,
        "key": match.key,
        "headers": dict(match.headers),
        "call": _one_or_list(match.calls),
        "probability": match.probability,
    }
    return {name: value for name, value in document.items() if value not in (None, {}, [])}


def shown_match(match: Match) -> Match:
    """Give it as it may be shown: without keys and other secrets, wherever they stand."""
    secret = [(name.encode(), pattern.encode()) for name, pattern in match.headers]
    hides = mask_of(secret, [] if match.key is None else [match.key])
    return replace(
        match,
        image_url=None if match.image_url is None else hides.text(match.image_url),
        key=None if match.key is None else mask(match.key),
        headers=tuple((name, hides.text(pattern)) for name, pattern in match.headers),
    )


def shown_header(name: str, value: str) -> str:
    """Give a header's value, or a pattern of it, as it may be shown."""
    return mask_of([(name.encode(), value.encode())]).text(value)
