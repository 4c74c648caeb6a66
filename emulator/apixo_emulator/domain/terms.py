"""Accounts as the config file writes them, each a table with its key and its terms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.limits import LONGEST_S, MOST_CALLS, AccountTerms, Rate
from apixo_emulator.domain.money import micros
from apixo_emulator.domain.nearest import did_you_mean, shown
from apixo_emulator.domain.problems import DocumentError, Problem, violations
from apixo_schemas import contract

KEY = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
KEY_EXPECTED = "expected an API key: a text of printable ASCII without spaces around it."


def _number(most: int) -> dict[str, Any]:
    title = f"an integer from 1 to {most}"
    return {"title": title, "type": "integer", "minimum": 1, "maximum": most}


@cache
def account_schema() -> Mapping[str, Any]:
    """Give the JSON Schema of an account. It is shared: treat it as read-only."""
    seconds = {
        "title": f"seconds above 0 and up to {LONGEST_S:g}",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": LONGEST_S,
    }
    rate = {
        "title": "a table with calls, and where they matter per_s (seconds) and burst",
        "type": "object",
        "required": ["calls"],
        "properties": {
            "calls": _number(MOST_CALLS),
            "per_s": seconds,
            "burst": _number(MOST_CALLS),
        },
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a table with a key, and what is said of it",
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": {"title": "an API key", "type": "string"},
            "balance": {"title": 'an amount in USD such as "5.00"', "type": ["string", "number"]},
            "models": {
                "title": "a list of the models that it may use, none in an empty one",
                "type": "array",
                "items": {"title": "a model's name", "type": "string"},
            },
            "rate": rate,
            "concurrency": _number(MOST_CALLS),
        },
        "additionalProperties": False,
    }


@cache
def _validator() -> Validator:
    return validator_for(dict(account_schema()))


def account_terms(document: Any) -> tuple[str, AccountTerms]:
    """Read an account: its key, and what it may do.

    Raises:
        DocumentError: Something is wrong with it; the message never shows the key.
    """
    problems = [_discreet(one) for one in violations(_validator(), account_schema(), document)]
    if problems:
        raise DocumentError(problems)
    problems += [*_bad_key(document["key"]), *_misspelt(document.get("models", ()))]
    balance = None
    try:
        balance = _balance(document)
    except ValueError as error:
        problems.append(Problem(("balance",), f"{error}."))
    if problems:
        raise DocumentError(problems)
    models, concurrency = document.get("models"), document.get("concurrency")
    return document["key"], AccountTerms(
        balance_micros=balance,
        models=None if models is None else frozenset(models),
        rate=_rate(document["rate"]) if "rate" in document else None,
        concurrency=None if concurrency is None else int(concurrency),
    )


def _rate(document: Mapping[str, Any]) -> Rate:
    # JSON Schema counts 5.0 among the integers.
    burst = document.get("burst", document["calls"])
    return Rate(int(document["calls"]), float(document.get("per_s", 1)), int(burst))


def _discreet(problem: Problem) -> Problem:
    return Problem(problem.path, KEY_EXPECTED) if problem.path == ("key",) else problem


def _bad_key(key: str) -> list[Problem]:
    return [] if KEY.fullmatch(key) else [Problem(("key",), KEY_EXPECTED)]


def _misspelt(models: list[str]) -> list[Problem]:
    """Find names of models that are not served: an account of such a model could do nothing."""
    model = contract().model
    expected = f"expected {model}, the model that is served, or an empty list for none"
    return [
        Problem(("models", at), f"{expected}; found {shown(name)}.{did_you_mean(name, [model])}")
        for at, name in enumerate(models)
        if name != model
    ]


def _balance(document: Mapping[str, Any]) -> int | None:
    balance = document.get("balance")
    # A TOML float is read as the nearest binary one, whose shortest form is what was written.
    return None if balance is None else micros(str(balance))
