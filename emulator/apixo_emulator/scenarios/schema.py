"""The JSON Schema of a scenario file, built from the contract and the vocabulary.

The ``title`` of each part says what is expected; error messages quote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.effects import Quirk
from apixo_emulator.domain.tasks import LONGEST_MS
from apixo_emulator.domain.wire import WireFault
from apixo_emulator.scenarios.vocabulary import (
    LONGEST_NAME,
    POLL_COUNTS,
    meanings,
    poll_faults,
    submit_faults,
    vocabulary,
)
from apixo_schemas import contract

_MOST = 1_000_000
_MOST_LISTED = 50
_WIDEST_SIGMA = 3
_LONGEST_TEXT = 500

Schema = dict[str, Any]


def _integer(least: int, most: int, unit: str = "") -> Schema:
    title = f"{unit}an integer from {least} to {most}"
    return {"title": title, "type": "integer", "minimum": least, "maximum": most}


def _number(title: str, most: float, **least: float) -> Schema:
    return {"title": title, "type": "number", **least, "maximum": most}


def _text(title: str = "a text") -> Schema:
    title = f"{title} of 1 to {_LONGEST_TEXT} characters"
    return {"title": title, "type": "string", "minLength": 1, "maxLength": _LONGEST_TEXT}


def _choice(names: Iterable[str | int]) -> Schema:
    names = list(names)
    return {"title": f"one of {', '.join(map(str, names))}", "enum": names}


def _list(one: Schema, title: str) -> Schema:
    several = {"items": one, "minItems": 1, "maxItems": _MOST_LISTED, "uniqueItems": True}
    return {"title": title, "type": "array", **several}


def _one_or_more(one: Schema, title: str) -> Schema:
    """Accept a value or a list of such values. Keywords concern only the type that they are for."""
    return {**one, **_list(one, title), "type": [one["type"], "array"]}


def _table(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {
        "title": f"a table with at least one of {', '.join(properties)}",
        "type": "object",
        "minProperties": 1,
        "properties": properties,
        "additionalProperties": False,
        **more,
    }


_MS = _integer(0, LONGEST_MS, "milliseconds, ")
_TIMES = _integer(1, _MOST)
_RETRY_AFTER = _integer(0, _MOST, "seconds, ")
_PATTERN = _text("a text, in which * stands for anything,")
_FLAG = {"title": "true or false", "type": "boolean"}


def _any_case(name: str) -> str:
    return "".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in name)


def _names() -> str:
    """Return the pattern of all names: JSON Schema has no other way to say "in any case"."""
    seconds = r"[0-9]{1,6}(\.[0-9]{1,3})?"
    codes = [entry.code for entry in contract().failures.values()]
    plain = sorted({name.lower() for name in (*meanings(), *codes)})
    names = [_any_case(name).replace(_any_case("<seconds>"), seconds) for name in plain]
    times = "|".join((*map(_any_case, POLL_COUNTS), f"[1-9][0-9]{{0,5}}-{_any_case('times')}"))
    faults = "|".join(map(_any_case, poll_faults()))
    return f"{'|'.join(names)}|{_any_case('status-')}({faults})(-({times}))?"


def _scenario() -> Schema:
    name = {
        "title": "a scenario",
        "type": "string",
        "maxLength": LONGEST_NAME,
        "pattern": rf"^({_names()})(\+({_names()}))*$",
        "examples": [entry.name for entry in vocabulary() if "<" not in entry.name],
    }
    return _one_or_more(name, "a scenario, or a list of different ones")


def _match() -> Schema:
    call = _one_or_more(_TIMES, "a call's number, counted from 1, or a list of different ones")
    probability = _number("a number above 0 and up to 1", 1, exclusiveMinimum=0)
    headers = {
        "title": "a table of headers and what they are to be",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": _PATTERN,
    }
    return _table(
        {
            "image_url": {**_PATTERN, "description": "The source picture's URL."},
            "resolution": _choice(contract().long_edge_px),
            "output_format": _choice(contract().formats),
            "key": {**_PATTERN, "description": "The API key."},
            "headers": headers,
            "call": {
                **call,
                "description": "Which of the submits that fit all else but the probability.",
            },
            "probability": {**probability, "description": "How often, drawn from the seed."},
        }
    )


def _duration() -> Schema:
    median = f"milliseconds above 0 and up to {LONGEST_MS}"
    sigma = f"a number from 0 to {_WIDEST_SIGMA}"
    shape = _table(
        {
            "median_ms": _number(median, LONGEST_MS, exclusiveMinimum=0),
            "sigma": _number(sigma, _WIDEST_SIGMA, minimum=0),
        },
        required=["median_ms", "sigma"],
    )
    title = f"{_MS['title']}, or a table with median_ms and sigma"
    return {**shape, **_MS, "title": title, "type": ["integer", "object"]}


def _statuses() -> list[int]:
    errors = contract().errors
    found = (errors[fault.error].status for fault in submit_faults().values() if fault.error)
    return list(dict.fromkeys(found))


def _plan() -> Schema:
    callback = {
        "lost": {**_FLAG, "description": "Never sent."},
        "copies": {**_integer(1, 100), "description": "How many times an accepted one is sent."},
        "late_ms": {**_MS, "description": "How long after the end it is sent."},
        "before_done_ms": {**_MS, "description": "How long before polls see the end it is sent."},
        "malformed": {**_FLAG, "description": "Its JSON breaks off in the middle."},
    }
    http = {"status": _choice(_statuses()), "retry_after_s": _RETRY_AFTER}
    status = {
        "fault": _choice(poll_faults()),
        "times": {**_TIMES, "description": "The first so many polls; without it, every one."},
        "retry_after_s": _RETRY_AFTER,
    }
    answers = _list(_choice(map(str, Quirk)), "a list of different answers")
    http_table = _table(http, required=["status"])
    status_table = _table(status, required=["fault"])
    return _table(
        {
            "pending_ms": {**_MS, "description": "How long the task is pending."},
            "processing_ms": {**_MS, "description": "How long it is processing, after that."},
            "duration": {**_duration(), "description": "How long it takes in all."},
            "outcome": _choice(["success", "failed", "stuck"]),
            "fail_code": {
                **_text(),
                "description": "Any code; the documented ones have a message.",
            },
            "fail_msg": _text(),
            "http": {**http_table, "description": "Answers the submit instead."},
            "wire": {
                **_choice(map(str, WireFault)),
                "description": "Damages the submit's answer.",
            },
            "callback": _table(callback),
            "answers": {**answers, "description": "Rare but allowed answers to polls."},
            "status": {**status_table, "description": "What happens to polls."},
        }
    )


def _rule() -> Schema:
    properties = {
        "name": {**_text(), "description": "What the journal calls it."},
        "times": {**_TIMES, "description": "After so many submits it is used up."},
        "scenario": _scenario(),
        "match": {**_match(), "description": "Which submits; without it, every one."},
        "plan": {**_plan(), "description": "What happens, beside or instead of the scenario."},
    }
    return {
        "title": "a rule with a scenario or a plan",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "anyOf": [{"required": ["scenario"]}, {"required": ["plan"]}],
    }


@cache
def scenario_file_schema() -> Mapping[str, Any]:
    """Return the published JSON Schema of a scenario file. It is shared: treat it as read-only."""
    rules = {"title": "a list of rules, in TOML [[rule]]", "type": "array", "items": _rule()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "scenarios.json",
        "title": "a scenario file with a list of rules",
        "description": "Ordered rules; the first that matches a submit decides what happens.",
        "type": "object",
        "properties": {
            "$schema": {"title": "the address of this schema", "type": "string"},
            "rule": rules,
        },
        "additionalProperties": False,
    }


@cache
def rule_schema() -> Mapping[str, Any]:
    """Return the part of it that describes one rule."""
    rule: Mapping[str, Any] = scenario_file_schema()["properties"]["rule"]["items"]
    return rule


@cache
def rule_validator() -> Validator:
    """Return the validator of one rule."""
    return validator_for(dict(rule_schema()))
