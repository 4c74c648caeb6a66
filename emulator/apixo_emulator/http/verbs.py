"""The control API's verbs, each declared once: path, method, what it takes, what it does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.clock import FASTEST, LATEST_MS
from apixo_emulator.domain.nearest import shown
from apixo_emulator.domain.problems import fitting
from apixo_emulator.domain.seeds import seed_schema
from apixo_emulator.http.metrics import metrics
from apixo_emulator.http.published import published, published_names
from apixo_emulator.journal.expectation import filter_names
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.service.operator import MOST_LISTED, Operator

# Longer ones are beyond all that is asked for, and of very many digits Python reads none.
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)


def _integer(what: str, least: int, most: int) -> Mapping[str, Any]:
    title = f"{what}an integer from {least} to {most}"
    return {"title": title, "type": "integer", "minimum": least, "maximum": most}


_COUNT = _integer("", 0, 2**31 - 1)
_TEXT: Mapping[str, Any] = {"title": "a text", "type": "string"}
_NAME: Mapping[str, Any] = {"title": "a text that is not empty", "type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for: parts of its path, its query, and its body, all checked."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that is no JSON."""

    text: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Verb:
    """One operation. ``query`` and ``body`` are JSON Schemas of the parameters by name."""

    method: str
    path: str
    summary: str
    act: Callable[[Operator, Asked], Any]
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    def read(self, path: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Asked:
        """Check what came.

        Raises:
            ValueError: It is not what the verb takes; the message says what was expected.
        """
        found = {
            name: _query_value(name, self.query, text)
            for name, text in query.items()
            if name != "world"
        }
        return Asked(path, found, self._read_body(body))

    def _read_body(self, body: bytes) -> Mapping[str, Any]:
        if self.body is None or (not body.strip() and not self.body.get("required")):
            return {}
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the body: expected JSON, found something else: {error}") from None
        found: Mapping[str, Any] = fitting(_validator(json.dumps(self.body)), self.body, parsed)
        return found


@cache
def _validator(schema: str) -> Validator:
    return validator_for(schema)


def _query_value(name: str, known: Mapping[str, Mapping[str, Any]], text: str) -> Any:
    if name not in known:
        expected = ", ".join(["world", *known])
        raise ValueError(f"query parameter {shown(name)} is unknown here; expected: {expected}")
    schema = known[name]
    is_number = schema["type"] == "integer" and _INTEGER.fullmatch(text)
    try:
        return fitting(_validator(json.dumps(schema)), schema, int(text) if is_number else text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _object(required: tuple[str, ...] = (), **properties: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "title": f"an object with {', '.join(properties)}",
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_PAGE = {"limit": _integer("", 1, MOST_LISTED)}
_INSTANT = _integer("an instant in Unix ms, ", 0, LATEST_MS)
_RATE = {
    "title": f"a number from 0 to {FASTEST:g}",
    "type": "number",
    "minimum": 0,
    "maximum": FASTEST,
}
# Their verbs hold them against schemas of their own, which are published, too.
_RULE = {"title": "an object, a rule of schemas/scenarios.json", "type": "object"}
_EXPECTATION = {"title": "an object, an expectation of schemas/expectation.json", "type": "object"}

VERBS: tuple[Verb, ...] = (
    Verb("GET", "config", "How the emulator behaves", lambda desk, _: desk.config()),
    Verb("GET", "worlds", "The worlds that were used", lambda desk, _: {"worlds": desk.worlds()}),
    Verb(
        "POST",
        "reset",
        "Begin anew: no tasks, accounts, scenarios or journal; clock and seed as at the start",
        lambda desk, asked: desk.reset(asked.body.get("seed")),
        body=_object(seed=seed_schema()),
    ),
    Verb("GET", "clock", "The instant now, and how fast time runs", lambda desk, _: desk.clock()),
    Verb(
        "POST",
        "clock",
        "Set the instant (Unix ms) or the rate, freeze or resume",
        lambda desk, asked: desk.set_clock(**asked.body),
        body=_object(
            now=_INSTANT, rate=_RATE, frozen={"title": "true or false", "type": "boolean"}
        ),
    ),
    Verb(
        "POST",
        "clock/advance",
        "Move the clock on by so many ms",
        lambda desk, asked: desk.advance(asked.body["ms"]),
        body=_object(("ms",), ms=_integer("milliseconds to advance, ", 0, LATEST_MS)),
    ),
    Verb(
        "GET",
        "scenarios",
        "The active rules in their order, and the vocabulary",
        lambda desk, _: {
            "rules": desk.scenarios(),
            "vocabulary": [
                {"name": entry.name, "effect": entry.effect, "group": entry.group}
                for entry in vocabulary()
            ],
        },
    ),
    Verb(
        "POST",
        "scenarios",
        "Add a rule: a scenario by name, for which calls, how many times",
        lambda desk, asked: desk.add_scenario(asked.body),
        body=_RULE,
    ),
    Verb(
        "DELETE",
        "scenarios",
        "Remove all rules but the scenario file's",
        lambda desk, _: {"removed": desk.clear_scenarios()},
    ),
    Verb(
        "DELETE",
        "scenarios/{rule_id}",
        "Remove a rule",
        lambda desk, asked: {"removed": desk.remove_scenario(asked.path["rule_id"])},
    ),
    Verb(
        "GET",
        "tasks",
        "Tasks, the newest first",
        lambda desk, asked: {"tasks": desk.tasks(**asked.query)},
        query={**_PAGE, "before": _COUNT, "state": _TEXT, "account": _TEXT, "text": _TEXT},
    ),
    Verb(
        "GET",
        "tasks/{task_id}",
        "A task with its plan and its callback",
        lambda desk, asked: desk.task(asked.path["task_id"]),
    ),
    Verb(
        "POST",
        "tasks/{task_id}/finish",
        "End a task now, with success or with a failure code",
        lambda desk, asked: desk.finish(
            asked.path["task_id"],
            fail_code=asked.body.get("failCode"),
            fail_msg=asked.body.get("failMsg"),
        ),
        body=_object(failCode=_NAME, failMsg=_TEXT),
    ),
    Verb(
        "GET",
        "requests",
        "The journal: calls with what decided them, the oldest first",
        lambda desk, asked: {
            "requests": [entry.to_json() for entry in desk.requests(**asked.query)]
        },
        query={**_PAGE, "after": _COUNT, **dict.fromkeys(filter_names(), _TEXT)},
    ),
    Verb(
        "GET",
        "requests/{number}",
        "One call of the journal",
        lambda desk, asked: desk.request(asked.path["number"]),
    ),
    Verb(
        "POST",
        "requests/verify",
        "Hold the journal against an expectation",
        lambda desk, asked: desk.verify(asked.body).to_json(),
        body=_EXPECTATION,
    ),
    Verb(
        "GET",
        "requests.har",
        "The journal as HAR 1.2",
        lambda desk, _: desk.har(),
    ),
    Verb(
        "GET",
        "deliveries",
        "Callbacks, the newest first",
        lambda desk, asked: {"deliveries": desk.deliveries(**asked.query)},
        query={**_PAGE, "offset": _COUNT},
    ),
    Verb(
        "GET",
        "deliveries/{task_id}",
        "A task's callback with every attempt",
        lambda desk, asked: desk.delivery(asked.path["task_id"]),
    ),
    Verb(
        "POST",
        "deliveries/{task_id}/redeliver",
        "Send a callback again, now",
        lambda desk, asked: desk.redeliver(asked.path["task_id"]),
    ),
    Verb(
        "GET",
        "accounts",
        "Accounts with balance (USD) and limits",
        lambda desk, _: {"accounts": desk.accounts()},
    ),
    Verb(
        "POST",
        "accounts/top-up",
        "Add USD to the balance of a key, or of an account by its id",
        lambda desk, asked: desk.top_up(asked.body["key"], asked.body["amount"]),
        body=_object(("key", "amount"), key=_NAME, amount=_TEXT),
    ),
    Verb(
        "GET",
        "metrics",
        "Counters in Prometheus' text format",
        lambda desk, _: Plain(metrics(desk), "text/plain; version=0.0.4"),
    ),
    Verb(
        "GET",
        "schemas",
        "The names of the published JSON Schemas",
        lambda _desk, _asked: {"schemas": published_names()},
    ),
    Verb(
        "GET",
        "schemas/{name}",
        "A published JSON Schema",
        lambda _desk, asked: Plain(published(asked.path["name"]), "application/schema+json"),
    ),
)
