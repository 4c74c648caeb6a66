"""The operations of the control API, each declared once: path, method, what it takes, what it does.

Its routes and its OpenAPI document are made from this table. What an operation does is a method of
`WorldControl`, which Python programs call directly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.clock import FASTEST, LATEST_MS
from apixo_emulator.domain.problems import fitting
from apixo_emulator.domain.randomness import seed_schema
from apixo_emulator.domain.tasks import TaskState
from apixo_emulator.domain.text import shown
from apixo_emulator.http.control_types import list_of, record, ref
from apixo_emulator.journal.verify import expectation_schema, filter_names
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.service.control import MOST_LISTED, WorldControl

# Longer ones are beyond all that is asked for, and of very many digits Python reads none.
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)


def _integer(what: str, least: int, most: int) -> Mapping[str, Any]:
    title = f"{what}an integer from {least} to {most}"
    return {"title": title, "type": "integer", "minimum": least, "maximum": most}


_COUNT = _integer("", 0, 2**31 - 1)
_TEXT: Mapping[str, Any] = {"title": "a text", "type": "string"}
_NAME: Mapping[str, Any] = {"title": "a text that is not empty", "type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a request gives: parts of its path, its query, and its body, all checked."""

    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A result that is no JSON."""

    text: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        id: Its name in the OpenAPI document.
        returns: The schema of its result; None for a text.
        query: The schemas of its query parameters, by name.
        body: The schema of its body, or the name of a component that ``run`` itself checks.
        page: The dashboard's page that shows the same.
    """

    id: str
    method: str
    path: str
    summary: str
    run: Callable[[WorldControl, Arguments], Any]
    returns: Mapping[str, Any] | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body: Mapping[str, Any] | str | None = None
    page: str | None = None

    def read(self, path: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Arguments:
        """Return the arguments of a request.

        Raises:
            ValueError: They are not what the operation takes; the message says what was expected.
        """
        found = {
            name: _query_value(name, self.query, text)
            for name, text in query.items()
            if name != "world"
        }
        return Arguments(path, found, self._read_body(body))

    def _read_body(self, body: bytes) -> Mapping[str, Any]:
        schema = (
            {"title": "an object", "type": "object"} if isinstance(self.body, str) else self.body
        )
        if schema is None or (not body.strip() and not schema.get("required")):
            return {}
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the body: expected JSON, found something else: {error}") from None
        found: Mapping[str, Any] = fitting(_validator(json.dumps(schema)), schema, parsed)
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
_STATE = {"title": f"one of {', '.join(TaskState)}", "type": "string", "enum": [*TaskState]}
_AMOUNT = {
    "title": "an amount in USD such as 5.00, at most 1000000000, six decimals",
    "type": "string",
    "pattern": r"^([0-9]{1,9}(\.[0-9]{1,6})?|1000000000(\.0{1,6})?)$",
}


def _filters() -> Mapping[str, Mapping[str, Any]]:
    """Return the query parameters that pick calls, as an expectation describes them."""
    return {name: _required(expectation_schema()["properties"][name]) for name in filter_names()}


def _required(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without null."""
    kinds = schema.get("type", ["string"])
    found = {**schema, "type": kinds[0], "title": schema["title"].removesuffix(", or null")}
    if "enum" in found:
        found["enum"] = [name for name in found["enum"] if name is not None]
    return found


_REMOVED = record("How many rules were removed.", removed={"type": "integer"})


def _list(name: str, component: str) -> Mapping[str, Any]:
    return record(f"A list of {name}.", **{name: list_of(ref(component))})


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "getConfig",
        "GET",
        "config",
        "How the emulator behaves",
        lambda control, _: control.config(),
        returns=ref("Config"),
    ),
    Operation(
        "listWorlds",
        "GET",
        "worlds",
        "The worlds (tenants) that were used",
        lambda control, _: {"worlds": control.worlds()},
        returns=_list("worlds", "World"),
    ),
    Operation(
        "reset",
        "POST",
        "reset",
        "Begin anew: no tasks, accounts, scenarios or journal; clock and seed as at the start",
        lambda control, given: control.reset(given.body.get("seed")),
        body=_object(seed=seed_schema()),
        returns=ref("Reset"),
    ),
    Operation(
        "getClock",
        "GET",
        "clock",
        "The instant now, and how fast time runs",
        lambda control, _: control.clock(),
        page="ui/clock",
        returns=ref("Clock"),
    ),
    Operation(
        "setClock",
        "POST",
        "clock",
        "Set the instant (Unix ms) or the rate, freeze or resume",
        lambda control, given: control.set_clock(**given.body),
        body=_object(
            now=_INSTANT, rate=_RATE, frozen={"title": "true or false", "type": "boolean"}
        ),
        returns=ref("Clock"),
    ),
    Operation(
        "advanceClock",
        "POST",
        "clock/advance",
        "Move the clock on by so many ms",
        lambda control, given: control.advance(given.body["ms"]),
        body=_object(("ms",), ms=_integer("milliseconds to advance, ", 0, LATEST_MS)),
        returns=ref("Clock"),
    ),
    Operation(
        "listScenarios",
        "GET",
        "scenarios",
        "The active rules in their order, and the vocabulary",
        lambda control, _: {
            "rules": control.scenarios(),
            "vocabulary": [
                {"name": entry.name, "effect": entry.effect, "group": entry.group}
                for entry in vocabulary()
            ],
        },
        page="ui/scenarios",
        returns=record(
            "Rules and vocabulary.",
            rules=list_of(ref("ActiveRule")),
            vocabulary=list_of(ref("ScenarioName")),
        ),
    ),
    Operation(
        "addScenario",
        "POST",
        "scenarios",
        "Add a rule: a scenario by name, for which calls, how many times",
        lambda control, given: control.add_scenario(given.body),
        body="Rule",
        returns=ref("ActiveRule"),
    ),
    Operation(
        "clearScenarios",
        "DELETE",
        "scenarios",
        "Remove all rules but the scenario file's",
        lambda control, _: {"removed": control.clear_scenarios()},
        returns=_REMOVED,
    ),
    Operation(
        "removeScenario",
        "DELETE",
        "scenarios/{rule_id}",
        "Remove a rule",
        lambda control, given: {"removed": control.remove_scenario(given.path["rule_id"])},
        returns=_REMOVED,
    ),
    Operation(
        "listTasks",
        "GET",
        "tasks",
        "Tasks, the newest first",
        lambda control, given: {"tasks": control.tasks(**given.query)},
        query={**_PAGE, "before": _COUNT, "state": _STATE, "account": _TEXT, "text": _TEXT},
        page="",
        returns=_list("tasks", "ListedTask"),
    ),
    Operation(
        "getTask",
        "GET",
        "tasks/{task_id}",
        "A task with its plan and its callback",
        lambda control, given: control.task(given.path["task_id"]),
        page="ui/tasks/{task_id}",
        returns=ref("Task"),
    ),
    Operation(
        "finishTask",
        "POST",
        "tasks/{task_id}/finish",
        "End a task now, with success or with a failure code",
        lambda control, given: control.finish(
            given.path["task_id"],
            fail_code=given.body.get("failCode"),
            fail_msg=given.body.get("failMsg"),
        ),
        body=_object(failCode=_NAME, failMsg=_TEXT),
        returns=ref("Task"),
    ),
    Operation(
        "listRequests",
        "GET",
        "requests",
        "The journal: calls with what decided them, the oldest first",
        lambda control, given: {
            "requests": [entry.to_json() for entry in control.requests(**given.query)]
        },
        query={**_PAGE, "after": _COUNT, **_filters()},
        page="ui/requests",
        returns=_list("requests", "JournalEntry"),
    ),
    Operation(
        "getRequest",
        "GET",
        "requests/{number}",
        "One call of the journal",
        lambda control, given: control.request(given.path["number"]),
        page="ui/requests/{number}",
        returns=ref("JournalEntry"),
    ),
    Operation(
        "verifyRequests",
        "POST",
        "requests/verify",
        "Hold the journal against an expectation",
        lambda control, given: control.verify(given.body).to_json(),
        body="Expectation",
        returns=ref("Verification"),
    ),
    Operation(
        "exportHar",
        "GET",
        "requests.har",
        "The journal as HAR 1.2",
        lambda control, _: control.har(),
        returns=ref("Har"),
    ),
    Operation(
        "listDeliveries",
        "GET",
        "deliveries",
        "Callbacks, the newest first",
        lambda control, given: {"deliveries": control.deliveries(**given.query)},
        query={**_PAGE, "offset": _COUNT},
        page="ui/callbacks",
        returns=_list("deliveries", "Delivery"),
    ),
    Operation(
        "getDelivery",
        "GET",
        "deliveries/{task_id}",
        "A task's callback with every attempt",
        lambda control, given: control.delivery(given.path["task_id"]),
        page="ui/tasks/{task_id}",
        returns=ref("DeliveryLog"),
    ),
    Operation(
        "redeliver",
        "POST",
        "deliveries/{task_id}/redeliver",
        "Send a callback again, now",
        lambda control, given: control.redeliver(given.path["task_id"]),
        returns=ref("DeliveryLog"),
    ),
    Operation(
        "listAccounts",
        "GET",
        "accounts",
        "Accounts with balance (USD) and limits",
        lambda control, _: {"accounts": control.accounts()},
        page="ui/clock",
        returns=_list("accounts", "Account"),
    ),
    Operation(
        "topUp",
        "POST",
        "accounts/top-up",
        "Add USD to the balance of a key, or of an account by its id",
        lambda control, given: control.top_up(given.body["key"], given.body["amount"]),
        body=_object(("key", "amount"), key=_NAME, amount=_AMOUNT),
        returns=ref("Balance"),
    ),
    Operation(
        "getMetrics",
        "GET",
        "metrics",
        "Counters in Prometheus' text format",
        lambda control, _: Text(metrics(control), "text/plain; version=0.0.4"),
    ),
)


# Metrics


def metrics(control: WorldControl) -> str:
    """Return a world's counters in the text format of Prometheus."""
    counts = control.counts()
    requests = (
        ({"endpoint": name, "status": str(status)}, count)
        for (name, status), count in sorted(counts.requests.items())
    )
    tasks = (({"state": name}, count) for name, count in counts.tasks.items())
    deliveries = (({"state": name}, count) for name, count in counts.deliveries.items())
    lines = [
        *_family(
            "apixo_requests_total",
            "counter",
            "Requests answered by this process since its start",
            requests,
        ),
        *_family("apixo_tasks", "gauge", "Tasks by state", tasks),
        *_family("apixo_deliveries", "gauge", "Callbacks by state", deliveries),
        *_family("apixo_clock_seconds", "gauge", "The instant now", [({}, control.now() / 1000)]),
    ]
    return "\n".join(lines) + "\n"


def _family(
    name: str, kind: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterable[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
