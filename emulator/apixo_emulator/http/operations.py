"""The operations of the control API, each declared once: path, what it takes, what it does and returns.

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
from apixo_emulator.journal.filters import filter_names
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.service.control import MOST_LISTED, WorldControl

Schema = Mapping[str, Any]

# Longer ones are beyond all that is asked for, and of very many digits Python reads none.
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        id: Its name in the OpenAPI document.
        call: Method and path below the control prefix.
        run: A method of `WorldControl`. Parts of the path, of the query and of the body are its
            keyword arguments, with names as Python writes them.
        returns: The component that describes its result; None for a text.
        many: The result is a list, and stands under this name.
        query: The schemas of its query parameters, by name.
        body: The schema of its body, or the name of a component: ``run`` checks such a body, which
            is its one positional argument.
        page: The dashboard's page that shows the same.
    """

    id: str
    call: str
    summary: str
    run: Callable[..., Any]
    returns: str | None = None
    many: str = ""
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | str | None = None
    page: str | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.call.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path below the control prefix."""
        return self.call.partition(" ")[2]

    def bound(
        self, path: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> Callable[[WorldControl], Any]:
        """Return the operation with the arguments of a request, all checked.

        Raises:
            ValueError: They are not what the operation takes; the message says what was expected.
        """
        asked = {
            name: _query_value(name, self.query, text)
            for name, text in query.items()
            if name != "world"
        }
        document = self._read_body(body)
        given = {name: path[name] for name in re.findall(r"{(\w+)}", self.path)} | asked
        if isinstance(self.body, str):
            return lambda control: self._answer(self.run(control, document, **given))
        given |= {_python_name(name): value for name, value in document.items()}
        return lambda control: self._answer(self.run(control, **given))

    def _answer(self, found: Any) -> Any:
        return {self.many: found} if self.many else found

    def _read_body(self, body: bytes) -> Schema:
        schema = _OBJECT if isinstance(self.body, str) else self.body
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


def _query_value(name: str, known: Mapping[str, Schema], text: str) -> Any:
    if name not in known:
        expected = ", ".join(["world", *known])
        raise ValueError(f"query parameter {shown(name)} is unknown here; expected: {expected}")
    schema = known[name]
    is_number = schema["type"] == "integer" and _INTEGER.fullmatch(text)
    try:
        return fitting(_validator(json.dumps(schema)), schema, int(text) if is_number else text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _python_name(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


# What operations take


def _integer(what: str, least: int, most: int) -> Schema:
    title = f"{what}an integer from {least} to {most}"
    return {"title": title, "type": "integer", "minimum": least, "maximum": most}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "title": f"an object with {', '.join(properties)}",
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _filters() -> Mapping[str, Schema]:
    """Return the query parameters that pick calls: those of an expectation, without null."""
    found = {}
    for name in filter_names():
        schema = dict(expectation_schema()["properties"][name])
        schema["type"] = schema.get("type", ["string"])[0]
        schema["title"] = schema["title"].removesuffix(", or null")
        if "enum" in schema:
            schema["enum"] = [choice for choice in schema["enum"] if choice is not None]
        found[name] = schema
    return found


_OBJECT: Schema = {"title": "an object", "type": "object"}
_TEXT: Schema = {"title": "a text", "type": "string"}
_NAME: Schema = {"title": "a text that is not empty", "type": "string", "minLength": 1}
_FLAG: Schema = {"title": "true or false", "type": "boolean"}
_COUNT = _integer("", 0, 2**31 - 1)
_PAGE = {"limit": _integer("", 1, MOST_LISTED)}
_STATE = {"title": f"one of {', '.join(TaskState)}", "type": "string", "enum": [*TaskState]}
_CLOCK = _object(
    now=_integer("an instant in Unix ms, ", 0, LATEST_MS),
    rate={
        "title": f"a number from 0 to {FASTEST:g}",
        "type": "number",
        "minimum": 0,
        "maximum": FASTEST,
    },
    frozen=_FLAG,
)
_AMOUNT = {
    "title": "an amount in USD such as 5.00, at most 1000000000, six decimals",
    "type": "string",
    "pattern": r"^([0-9]{1,9}(\.[0-9]{1,6})?|1000000000(\.0{1,6})?)$",
}


# What operations do that is no method of `WorldControl` alone


def _scenarios(control: WorldControl) -> Mapping[str, Any]:
    known = [
        {"name": entry.name, "effect": entry.effect, "group": entry.group} for entry in vocabulary()
    ]
    return {"rules": control.scenarios(), "vocabulary": known}


def _remove_scenario(control: WorldControl, rule_id: str) -> Mapping[str, int]:
    return {"removed": control.remove_scenario(rule_id)}


def _clear_scenarios(control: WorldControl) -> Mapping[str, int]:
    return {"removed": control.clear_scenarios()}


def _metrics(control: WorldControl) -> str:
    """Return a world's counters in the text format of Prometheus."""
    counts = control.counts()
    requests = (
        (f'{{endpoint="{endpoint}",status="{status}"}}', count)
        for (endpoint, status), count in sorted(counts.requests.items())
    )
    families = (
        ("requests_total counter", "Requests answered by this process since its start", requests),
        ("tasks gauge", "Tasks by state", _by_state(counts.tasks)),
        ("deliveries gauge", "Callbacks by state", _by_state(counts.deliveries)),
        ("clock_seconds gauge", "The instant now", [("", control.now() / 1000)]),
    )
    lines = []
    for kind, help_text, samples in families:
        name = f"apixo_{kind.partition(' ')[0]}"
        lines += [f"# HELP {name} {help_text}", f"# TYPE apixo_{kind}"]
        lines += [f"{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _by_state(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return ((f'{{state="{state}"}}', count) for state, count in counts.items())


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "getConfig", "GET config", "How the emulator behaves", WorldControl.config, "Config"
    ),
    Operation(
        "listWorlds", "GET worlds", "The worlds (tenants) that were used",
        WorldControl.worlds, "World", many="worlds",
    ),
    Operation(
        "reset", "POST reset",
        "Begin anew: no tasks, accounts, scenarios or journal; clock and seed as at the start",
        WorldControl.reset, "Reset", body=_object(seed=seed_schema()),
    ),
    Operation(
        "getClock", "GET clock", "The instant now, and how fast time runs",
        WorldControl.clock, "Clock", page="ui/clock",
    ),
    Operation(
        "setClock", "POST clock", "Set the instant (Unix ms) or the rate, freeze or resume",
        WorldControl.set_clock, "Clock", body=_CLOCK,
    ),
    Operation(
        "advanceClock", "POST clock/advance", "Move the clock on by so many ms",
        WorldControl.advance, "Clock",
        body=_object(("ms",), ms=_integer("milliseconds to advance, ", 0, LATEST_MS)),
    ),
    Operation(
        "listScenarios", "GET scenarios", "The active rules in their order, and the vocabulary",
        _scenarios, "Scenarios", page="ui/scenarios",
    ),
    Operation(
        "addScenario", "POST scenarios",
        "Add a rule: a scenario by name, for which calls, how many times",
        WorldControl.add_scenario, "ActiveRule", body="Rule",
    ),
    Operation(
        "clearScenarios", "DELETE scenarios", "Remove all rules but the scenario file's",
        _clear_scenarios, "Removed",
    ),
    Operation(
        "removeScenario", "DELETE scenarios/{rule_id}", "Remove a rule", _remove_scenario, "Removed"
    ),
    Operation(
        "listTasks", "GET tasks", "Tasks, the newest first",
        WorldControl.tasks, "ListedTask", many="tasks", page="",
        query={**_PAGE, "before": _COUNT, "state": _STATE, "account": _TEXT, "text": _TEXT},
    ),
    Operation(
        "getTask", "GET tasks/{task_id}", "A task with its plan and its callback",
        WorldControl.task, "Task", page="ui/tasks/{task_id}",
    ),
    Operation(
        "finishTask", "POST tasks/{task_id}/finish",
        "End a task now, with success or with a failure code",
        WorldControl.finish, "Task", body=_object(failCode=_NAME, failMsg=_TEXT),
    ),
    Operation(
        "listRequests", "GET requests",
        "The journal: calls with what decided them, the oldest first",
        WorldControl.requests, "JournalEntry", many="requests", page="ui/requests",
        query={**_PAGE, "after": _COUNT, **_filters()},
    ),
    Operation(
        "getRequest", "GET requests/{number}", "One call of the journal",
        WorldControl.request, "JournalEntry", page="ui/requests/{number}",
    ),
    Operation(
        "verifyRequests", "POST requests/verify", "Hold the journal against an expectation",
        WorldControl.verify, "Verification", body="Expectation",
    ),
    Operation("exportHar", "GET requests.har", "The journal as HAR 1.2", WorldControl.har, "Har"),
    Operation(
        "listDeliveries", "GET deliveries", "Callbacks, the newest first",
        WorldControl.deliveries, "Delivery", many="deliveries", page="ui/callbacks",
        query={**_PAGE, "offset": _COUNT},
    ),
    Operation(
        "getDelivery", "GET deliveries/{task_id}", "A task's callback with every attempt",
        WorldControl.delivery, "DeliveryLog", page="ui/tasks/{task_id}",
    ),
    Operation(
        "redeliver", "POST deliveries/{task_id}/redeliver", "Send a callback again, now",
        WorldControl.redeliver, "DeliveryLog",
    ),
    Operation(
        "listAccounts", "GET accounts", "Accounts with balance (USD) and limits",
        WorldControl.accounts, "Account", many="accounts", page="ui/clock",
    ),
    Operation(
        "topUp", "POST accounts/top-up",
        "Add USD to the balance of a key, or of an account by its id",
        WorldControl.top_up, "Balance",
        body=_object(("key", "amount"), key=_NAME, amount=_AMOUNT),
    ),
    Operation("getMetrics", "GET metrics", "Counters in Prometheus' text format", _metrics),
)  # fmt: skip
