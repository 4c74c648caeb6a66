"""Cassettes: a run kept as JSON lines, to be reviewed, committed, and judged again offline.

The first line holds what the file is, from which target and day; then comes one line for each call,
each callback and each property of the client; the last line counts them, so that a truncated file
is recognised. `cassette.schema.json` describes the lines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from apixo_contract.files import write_whole
from apixo_contract.masking import find_secret, scrub, scrub_headers
from apixo_contract.observations import Run
from apixo_contract.options import UsageError
from apixo_contract.report.model import utc
from apixo_contract.text import clipped, from_json, to_json

# The form of the file, and of its lines.
_FORMS = {"cassette": 1, "form": 1}
# The kinds of lines that the last one counts, and the names of their counts.
_COUNTS = {"call": "calls", "callback": "callbacks", "property": "properties"}


class CassetteError(UsageError):
    """A cassette cannot be written or read; the message names the line and the reason."""


@cache
def cassette_schema() -> Any:
    """Return the JSON Schema of a cassette's line."""
    return json.loads((files("apixo_contract") / "cassette.schema.json").read_text("utf-8"))


# --- writing ------------------------------------------------------------------------------------


def cassette_lines(run: Run, keys: Sequence[str] = ()) -> list[str]:
    """Return a run as the lines of a cassette, its secrets masked.

    Args:
        run: What was seen.
        keys: The API keys in use; none of them may stand in the file.

    Raises:
        CassetteError: A line seems to hold a key. Nothing of it is repeated in the message.
    """
    head = to_json(run)
    seen = {"call": head.pop("exchanges")}
    seen |= {"callback": head.pop("callbacks"), "property": head.pop("properties")}
    values = [
        {**_FORMS, "recorded": utc(run.started_ms).date().isoformat(), **head},
        *({kind: _without_empty(one)} for kind, found in seen.items() for one in found),
        {"end": {_COUNTS[kind]: len(found) for kind, found in seen.items()}},
    ]
    lines = [json.dumps(_masked(value), ensure_ascii=False) for value in values]
    for number, line in enumerate(lines, 1):
        if found := find_secret(line, keys):
            raise CassetteError(
                f"nothing was written: line {number} of the cassette would hold {found}. A key in "
                "a file that is meant to be shared is lost: keep it out of image and callback URLs"
            )
    return lines


def _without_empty(members: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in members.items() if part not in (None, "", {})}


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if name in ("headers", "answer_headers"):
            return scrub_headers(value)
        return {key: _masked(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return scrub(value) if isinstance(value, str) else value


def write_cassette(path: Path, run: Run, keys: Sequence[str] = ()) -> None:
    """Write a run as a cassette, or nothing at all.

    Args:
        path: The file.
        run: What was seen.
        keys: The API keys in use; none of them may stand in the file.

    Raises:
        CassetteError: A line seems to hold a key.
        OSError: The file cannot be written.
    """
    write_whole(path, "".join(f"{line}\n" for line in cassette_lines(run, keys)))


# --- reading ------------------------------------------------------------------------------------


def read_cassette(path: str | Path) -> Run:
    """Return the run that a cassette keeps.

    Raises:
        CassetteError: It is no cassette, or damaged, or cut off; the message names the line.
        OSError: The file cannot be read.
    """
    lines = Path(path).read_bytes().removesuffix(b"\n").split(b"\n")
    try:
        return _run([_value(line, number) for number, line in enumerate(lines, 1)])
    except ValueError as error:
        raise CassetteError(f"{path}: {error}") from None


def _value(line: bytes, number: int) -> dict[str, Any]:
    """Return the value of a line, checked by the schema of its kind.

    Raises:
        ValueError: It is no line of a cassette; the message names the number.
    """
    place = f"line {number}:"
    try:
        value: Any = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} expected a JSON object, found none ({error})") from None
    known = (*_COUNTS, "end") if number > 1 else ("cassette",)
    kind = next((name for name in known if isinstance(value, dict) and name in value), None)
    if kind is None:
        wanted = "a call or a callback" if number > 1 else "the head of a cassette"
        raise ValueError(f"{place} expected {wanted}, found {clipped(value)}")
    definitions = cassette_schema()["$defs"]
    validator = Draft202012Validator({**definitions[kind], "$defs": definitions})
    fault = best_match(validator.iter_errors(value))
    if fault is not None:
        raise ValueError(f"{place} at {fault.json_path}, {clipped(fault.message)}")
    found: dict[str, Any] = value
    return found


def _run(values: list[dict[str, Any]]) -> Run:
    """Return the run of a cassette's values.

    Raises:
        ValueError: The file is of another form, or lines are missing, added or misplaced.
    """
    head = values[0]
    forms = {name: head[name] for name in _FORMS}
    if forms != _FORMS:
        raise ValueError(f"line 1: expected {_FORMS}, found {forms}; record the run again")
    if "end" not in values[-1]:
        raise ValueError(f"cut off after line {len(values)}; record the run again")
    seen = {kind: [value[kind] for value in values if kind in value] for kind in _COUNTS}
    found = {_COUNTS[kind]: len(lines) for kind, lines in seen.items()}
    # Older cassettes hold no properties, and do not count them.
    told = {"properties": 0, **values[-1]["end"]}
    if told != found or len(values) != sum(found.values()) + 2:
        raise ValueError(f"the last line counts {told}, found {found}; record the run again")
    callbacks = [{"path": "", "headers": {}, "text": "", **one} for one in seen["callback"]]
    members = {"exchanges": seen["call"], "callbacks": callbacks, "properties": seen["property"]}
    run: Run = from_json(Run, {**head, **members})
    return run
