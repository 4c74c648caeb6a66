"""The types of the control API: JSON Schemas of what its operations return, by component name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apixo_emulator.domain.deliveries import CallbackMode, DeliveryState
from apixo_emulator.domain.tasks import TaskState
from apixo_emulator.journal.verify import expectation_schema
from apixo_emulator.scenarios.schema import rule_schema
from apixo_schemas import contract

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object", "additionalProperties": True}
_INTEGER: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SEED: Schema = {"type": "integer", "format": "int64"}
_USD: Schema = {"type": "string", "description": "USD, e.g. 99.9900."}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def record(
    description: str, optional: Mapping[str, Schema] | None = None, **parts: Schema
) -> Schema:
    """Return the schema of an object with these parts; those of ``optional`` may be absent."""
    return {
        "description": description,
        "type": "object",
        "required": list(parts),
        "properties": {**parts, **(optional or {})},
    }


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _choice(names: Iterable[object]) -> Schema:
    return {"type": "string", "enum": [str(name) for name in names]}


def _about(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _instant(description: str) -> Schema:
    words = f"{description}, in Unix ms on the world's clock."
    return {"type": "integer", "format": "int64", "description": words}


def components() -> dict[str, Schema]:
    """Return every type by its name."""
    return {**_world(), **_scenarios(), **_tasks(), **_journal()}


def _world() -> dict[str, Schema]:
    latency = "How long a task takes, in ms, or `realistic`."
    limits = "What the config file limits; null without limits."
    return {
        "Config": record(
            "How the emulator behaves.",
            world=TEXT,
            seed=_SEED,
            worldPerKey=_about(_FLAG, "Whether each API key has a world of its own."),
            latency={
                "description": latency,
                "anyOf": [_INTEGER, {"type": "string", "const": "realistic"}],
            },
            startingBalance=_USD,
            anyKey=_about(_FLAG, "Whether any non-empty API key is accepted."),
            callbacks=record(
                "How callbacks are delivered.",
                mode=_choice(CallbackMode),
                retryDelaysMs=list_of(_INTEGER),
            ),
            publicUrl=_or_null(TEXT),
            price=_USD,
        ),
        "World": record("A world (tenant).", id=TEXT, label=TEXT, seed=_SEED),
        "Clock": record(
            "The clock of a world.",
            now=_instant("The instant now"),
            rate={"type": "number", "description": "How fast time runs; 0 is frozen."},
            frozen=_FLAG,
        ),
        "Reset": record("A world after a reset.", seed=_SEED, clock=ref("Clock")),
        "Health": record("The emulator answers requests.", status=_choice(["ok"])),
        "SchemaNames": record("The names of the published documents.", schemas=list_of(TEXT)),
        "Account": record(
            "An account that was used or configured.",
            account=_about(TEXT, "Its id."),
            key=_about(TEXT, "Its API key, masked."),
            balance=_USD,
            spent=_USD,
            accepted=_about(_COUNT, "How many submits were accepted."),
            limits=_about(_or_null(OBJECT), limits),
        ),
        "Balance": record("A balance after a top-up.", account=TEXT, key=TEXT, balance=_USD),
        "Error": record(
            "Why a request was not carried out.",
            {"data": _or_null({"type": "object"})},
            code=_about(_INTEGER, "The HTTP status."),
            message=_about(TEXT, "What was expected, what was found, what to do."),
        ),
    }


def _scenarios() -> dict[str, Schema]:
    rule = typed(rule_schema())
    del rule["anyOf"]
    match, plan = (rule["properties"][name] for name in ("match", "plan"))
    rule["properties"] = {**rule["properties"], "match": ref("Match"), "plan": ref("Plan")}
    return {
        "Match": match,
        "Plan": plan,
        "ScenarioRule": {
            **_about(rule, "A rule with a scenario."),
            "required": ["scenario"],
        },
        "PlanRule": {**_about(rule, "A rule with a plan."), "required": ["plan"]},
        "Rule": {
            "description": "Which submits, and what is to happen to them.",
            "anyOf": [ref("ScenarioRule"), ref("PlanRule")],
        },
        "ActiveRule": record(
            "A rule that is in force; secrets are masked.",
            rule["properties"],
            id=TEXT,
            used=_about(_COUNT, "How many submits it has decided."),
            seen=_about(_COUNT, "How many submits have fitted it, apart from their number."),
        ),
        "ScenarioName": record("A scenario of the vocabulary.", name=TEXT, effect=TEXT, group=TEXT),
        "Scenarios": record(
            "Rules and vocabulary.",
            rules=list_of(ref("ActiveRule")),
            vocabulary=list_of(ref("ScenarioName")),
        ),
        "Removed": record("How many rules were removed.", removed=_INTEGER),
    }


def _tasks() -> dict[str, Schema]:
    task: Mapping[str, Schema] = {
        "taskId": TEXT,
        "state": ref("TaskState"),
        "account": TEXT,
        "resolution": _choice(contract().long_edge_px),
        "outputFormat": _choice(contract().formats),
        "requestType": _choice(["async", "callback"]),
        "imageUrl": _about(TEXT, "Cut, and without secrets."),
        "callbackUrl": _or_null(TEXT),
        "scenario": _or_null(TEXT),
        "createTime": _instant("Creation"),
        "startTime": _instant("Start of processing"),
        "endTime": _or_null(_instant("The end (null if it never ends)")),
        "failCode": _or_null(TEXT),
        "failMsg": _or_null(TEXT),
        "cost": _USD,
    }
    delivery: Mapping[str, Schema] = {
        "taskId": TEXT,
        "url": TEXT,
        "state": ref("DeliveryState"),
        "dueTime": _or_null(_instant("When the next attempt is due")),
        "attempted": _COUNT,
    }
    attempts = list_of(ref("Attempt"))
    return {
        "TaskState": _choice(TaskState),
        "DeliveryState": _choice(DeliveryState),
        "ListedTask": record("A task in a list.", number=_COUNT, **task),
        "Task": record("A task with its plan.", {"delivery": ref("DeliveryLog")}, **task),
        "Delivery": record("The callback of a task.", **delivery),
        "DeliveryLog": record(
            "The callback of a task, with every attempt.", attempts=attempts, **delivery
        ),
        "Attempt": record(
            "One attempt to deliver a callback.",
            number=_COUNT,
            time=_instant("When it was made"),
            durationMs={"type": "number"},
            status=_or_null(_INTEGER),
            answer=_or_null(TEXT),
            error=_or_null(TEXT),
        ),
    }


def _journal() -> dict[str, Schema]:
    message: Mapping[str, Schema] = {
        "headers": list_of({**list_of(TEXT), "minItems": 2, "maxItems": 2}),
        "body": TEXT,
        "bytes": _about(_COUNT, "Size of the body on the wire."),
    }
    optional = {
        "encoding": {"type": "string", "const": "base64"},
        "cut": _about(_FLAG, "Whether the middle of the body was left out."),
    }
    asked = dict.fromkeys(("method", "path", "query", "url", "baseUrl"), TEXT)
    near = record("A call that differs.", number=_COUNT, differences=list_of(TEXT))
    return {
        "Expectation": typed(expectation_schema()),
        "Verification": record(
            "Whether the journal meets an expectation.",
            met=_FLAG,
            words=_about(TEXT, "The result in a sentence."),
            matching=list_of(_INTEGER),
            nearest=list_of(near),
        ),
        "JournalEntry": record(
            "A call with its answer, and what decided it.",
            number=_COUNT,
            time=_instant("When it was answered"),
            durationUs={"type": "number"},
            world=TEXT,
            endpoint=TEXT,
            decision=TEXT,
            **dict.fromkeys(
                ("key", "taskId", "brokenRule", "scenario", "rule", "fault"), _or_null(TEXT)
            ),
            whyNot=list_of(record("A rule that did not decide.", rule=TEXT, reason=TEXT)),
            request=record("What was asked.", optional, **asked, **message),
            response=record("What was answered.", optional, status=_INTEGER, **message),
        ),
        "Har": record("A HAR 1.2 document.", log=OBJECT),
    }


# Schemas as code generators read them

_LARGEST_INT32 = 2**31 - 1


def typed(schema: Mapping[str, Any]) -> Schema:
    """Return a schema as code generators read it.

    Titles say what a part expects; generators take them for names of types, so they become
    descriptions. A part of several types becomes a choice of parts with one type each.
    """
    found: Schema = {}
    for key, part in schema.items():
        match key:
            case "$schema" | "$id" | "examples" | "default":
                continue
            case "title":
                found.setdefault("description", f"{part[:1].upper()}{part[1:]}.")
            case "properties":
                found[key] = {name: typed(entry) for name, entry in part.items()}
            case "items" | "additionalProperties" if isinstance(part, Mapping):
                found[key] = typed(part)
            case _:
                found[key] = part
    if found.get("maximum", 0) > _LARGEST_INT32:
        found["format"] = "int64"
    kinds = found.get("type")
    if isinstance(kinds, list) and set(kinds) - {"null"} != {kinds[0]}:
        return _split(found, kinds)
    if "enum" in found and kinds is None:
        kind = "integer" if any(isinstance(value, int) for value in found["enum"]) else "string"
        found["type"] = [kind, "null"] if None in found["enum"] else kind
    return found


_KEYWORDS = {
    "string": ("minLength", "maxLength", "pattern", "enum"),
    "integer": ("minimum", "maximum", "format"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "null": (),
}


def _split(schema: Schema, kinds: list[str]) -> Schema:
    taken = {keyword for kind in kinds for keyword in _KEYWORDS[kind]} | {"type"}
    parts = [
        {"type": kind, **{name: schema[name] for name in _KEYWORDS[kind] if name in schema}}
        for kind in kinds
    ]
    return {
        **{name: part for name, part in schema.items() if name not in taken},
        "anyOf": parts,
    }
