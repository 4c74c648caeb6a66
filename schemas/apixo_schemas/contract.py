"""The contract: its JSON documents, the typed values that they hold, and the sources of both.

The files of ``v1/`` are read once, on first use, and never from the network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

MICROS_PER_USD = 1_000_000
_FOLDER = files("apixo_schemas") / "v1"


# --- documents -------------------------------------------------------------------------------


@cache
def document_names() -> tuple[str, ...]:
    """Return the names of all documents, sorted, e.g. ``submit-request.json``."""
    return tuple(sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json")))


def document_text(name: str) -> str:
    """Return one document as it is stored.

    Raises:
        KeyError: No document has this name.
    """
    if name not in document_names():
        raise KeyError(f"no document {name!r}; there are {', '.join(document_names())}")
    return (_FOLDER / name).read_text("utf-8")


@cache
def document(name: str) -> Any:
    """Return one document parsed. The value is shared: do not change it.

    Raises:
        KeyError: No document has this name.
    """
    return json.loads(document_text(name))


# --- sources ---------------------------------------------------------------------------------


class Grade(StrEnum):
    """How sure a statement about the live API is."""

    # The Image Upscaler page says so.
    DOCUMENTED = "documented"
    # Another public page of the vendor, or a public client of the live API, says so.
    PLATFORM = "platform"
    # No publication says so: a named choice, to be confirmed or refuted on the live API.
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Source:
    """A statement that behaviour of the contract rests on.

    Attributes:
        id: ``P4``, ``image-upscaler#billing``, or the id of an assumption such as ``retry_after``.
        title: How a text cites it, e.g. ``platform fact P4``.
        sentence: What the publication states; of an assumption, question and choice.
        publication: Where it is stated.
        date: The day on which it was taken from there; None for an assumption.
    """

    id: str
    title: str
    sentence: str
    grade: Grade
    publication: str
    date: str | None


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by its id: the page's sections, platform facts, assumptions."""
    found = {
        entry["id"]: Source(
            **{
                "title": f"platform fact {entry['id']}",
                **entry,
                "grade": Grade(entry["grade"]),
            }
        )
        for entry in document("sources.json")["sources"]
    }
    for entry in document("assumptions.json")["assumptions"]:
        found[entry["id"]] = Source(
            id=entry["id"],
            title=f"assumption {entry['id']}",
            sentence=f"{entry['question']} {entry['choice']}.",
            grade=Grade.ASSUMED,
            publication="a choice of apixo-emulator, to be checked on the live API",
            date=None,
        )
    return found


def source(name: str) -> Source:
    """Return the source with an id or a title, e.g. ``P4`` or ``platform fact P4``.

    Raises:
        KeyError: There is none.
    """
    for entry in sources().values():
        if name in {entry.id, entry.title}:
            return entry
    raise KeyError(f"no source {name!r}; there are {', '.join(sources())}")


def cite(ids: tuple[str, ...]) -> str:
    """Return the titles of sources as one text, e.g. ``platform fact P4; platform fact P5``.

    Raises:
        KeyError: An id has no source.
    """
    return "; ".join(source(name).title for name in ids)


def cited(citation: str) -> tuple[Source, ...]:
    """Return the sources that a text of `cite` names, in its order.

    Raises:
        KeyError: A part of the text names no source.
    """
    return tuple(source(part) for part in citation.split("; "))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sourced:
    """What rests on sources: ``sources`` holds their ids, ``source`` is their citation."""

    grade: Grade
    sources: tuple[str, ...]

    @property
    def source(self) -> str:
        """The sources as a text; see `cite`, and `cited` for their sentences."""
        return cite(self.sources)


# --- typed values ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule(_Sourced):
    """One rule of the submit body. ``schema`` fails exactly for the bodies that break it."""

    id: str
    condition: str
    message: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorEntry(_Sourced):
    """One error of the catalogue: the HTTP status is also the envelope's ``code``."""

    id: str
    status: int
    message: str
    meaning: str
    advice: str
    # The operations of the OpenAPI document that may answer it.
    operations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure(_Sourced):
    """One documented way for an accepted task to fail. ``scenario`` is the code as written in URLs."""

    code: str
    scenario: str
    message: str
    meaning: str
    advice: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """An undocumented choice. Its ``value`` is a setting, or stands where ``ref`` points."""

    id: str
    question: str
    choice: str
    value: Any = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """A result's format."""

    name: str
    media_type: str
    extension: str


@dataclass(frozen=True, slots=True)
class Poll:
    """When to poll, in ms: first after submit, then at intervals, each picked from a range."""

    first_ms: tuple[int, int]
    interval_ms: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Polling:
    """The page's recommended polling, by tier."""

    normal: Poll
    heavy: Poll
    heavy_tiers: frozenset[str]

    def for_tier(self, resolution: str) -> Poll:
        """Return the recommendation for a tier, e.g. ``8k``."""
        return self.heavy if resolution in self.heavy_tiers else self.normal


@dataclass(frozen=True, slots=True)
class CallbackTerms:
    """What the platform promises of callbacks; times in ms."""

    success_status: int
    timeout_ms: int
    retry_delays_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """All that the API promises, and all that this project assumes of it."""

    model: str
    prefix: str
    live_base_url: str
    price_micros: int
    defaults: Mapping[str, str]
    long_edge_px: Mapping[str, int]
    formats: Mapping[str, ImageFormat]
    format_aliases: Mapping[str, str]
    source_media_types: frozenset[str]
    result_ttl_ms: int
    typical_latency_ms: int
    polling: Polling
    callbacks: CallbackTerms
    success_message: str
    # The HTTP status, and the envelope's code, of a submit whose body breaks a rule.
    refused_status: int
    rules: tuple[Rule, ...]
    errors: Mapping[str, ErrorEntry]
    failures: Mapping[str, Failure]
    assumptions: Mapping[str, Assumption]

    def assumed(self, assumption_id: str) -> Any:
        """Return the value of an assumption that is a setting.

        Raises:
            KeyError: There is no such assumption.
        """
        return self.assumptions[assumption_id].value

    def with_assumption(self, assumption_id: str, value: Any) -> Contract:
        """Return the contract with a value of a profile in the place of an assumption's own."""
        choice = f"{value!r}, by the profile in force"
        settled = replace(self.assumptions[assumption_id], value=value, choice=choice)
        return replace(self, assumptions={**self.assumptions, assumption_id: settled})


def _graded(entry: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return some fields of an entry, with its grade and its sources."""
    found = {name: entry[name] for name in names}
    return {**found, "grade": Grade(entry["grade"]), "sources": tuple(entry["source"])}


def _rules() -> tuple[Rule, ...]:
    notes = {"x-rule", "description", "errorMessage", "x-grade", "x-source"}
    return tuple(
        Rule(
            id=entry["x-rule"],
            condition=entry["description"],
            message=entry["errorMessage"],
            schema={key: value for key, value in entry.items() if key not in notes},
            grade=Grade(entry["x-grade"]),
            sources=tuple(entry["x-source"]),
        )
        for entry in document("submit-request.json")["allOf"]
    )


def _errors() -> dict[str, ErrorEntry]:
    return {
        name: ErrorEntry(
            id=name,
            operations=tuple(entry.get("operations", ())),
            **_graded(entry, "status", "message", "meaning", "advice"),
        )
        for name, entry in document("errors.json")["errors"].items()
    }


def _failures() -> dict[str, Failure]:
    return {
        entry["code"]: Failure(**_graded(entry, "code", "scenario", "message", "meaning", "advice"))
        for entry in document("failures.json")["failures"]
    }


def _assumptions() -> dict[str, Assumption]:
    entries = document("assumptions.json")["assumptions"]
    return {entry["id"]: Assumption(**entry) for entry in entries}


def _defaults() -> dict[str, str]:
    top = document("submit-request.json")["properties"]
    fields = {**top, **top["input"]["properties"]}
    return {name: field["default"] for name, field in fields.items() if "default" in field}


def _poll(entry: Mapping[str, Any]) -> Poll:
    first, interval = entry["first_ms"], entry["interval_ms"]
    return Poll((first[0], first[1]), (interval[0], interval[1]))


_in_force: list[Contract] = []


@cache
def contract() -> Contract:
    """Return the contract: as published, or as changed by the profile that is in force.

    One shared, immutable value, settled on the first call: see `use_profile`.
    """
    return _in_force[0] if _in_force else published_contract()


def put_in_force(changed: Contract) -> None:
    """Make `contract` return another value in this process; it must not have been called yet."""
    _in_force.append(changed)
    contract()


@cache
def published_contract() -> Contract:
    """Read the contract as its files have it, whatever profile is in force."""
    model = document("model.json")
    polling = model["polling"]
    callbacks = model["callbacks"]
    return Contract(
        model=model["id"],
        prefix=model["api"]["prefix"],
        live_base_url=model["api"]["live_base_url"],
        price_micros=int(Decimal(model["price"]["usd"]) * MICROS_PER_USD),
        defaults=_defaults(),
        long_edge_px=model["tiers"]["long_edge_px"],
        formats={
            name: ImageFormat(name, entry["media_type"], entry["extension"])
            for name, entry in model["formats"]["values"].items()
        },
        format_aliases=model["formats"]["aliases"],
        source_media_types=frozenset(model["sources"]["media_types"]),
        result_ttl_ms=model["results"]["expire_after_ms"],
        typical_latency_ms=model["latency"]["typical_ms"],
        polling=Polling(
            normal=_poll(polling["normal"]),
            heavy=_poll(polling["heavy"]),
            heavy_tiers=frozenset(polling["heavy_tiers"]),
        ),
        callbacks=CallbackTerms(
            success_status=callbacks["success_status"],
            timeout_ms=callbacks["timeout_ms"],
            retry_delays_ms=tuple(callbacks["retry_delays_ms"]),
        ),
        success_message=model["api"]["success_message"],
        refused_status=model["api"]["refused_status"],
        rules=_rules(),
        errors=_errors(),
        failures=_failures(),
        assumptions=_assumptions(),
    )
