"""Cassettes: a run kept as JSON lines, to be reviewed, committed, and judged again offline.

The first line tells what the file is, from which target and day; then comes one line for each call
and each callback; the last line counts them, so that a truncated file is recognised.
`cassette.schema.json` describes the lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from apixo_contract.masking import find_secret, scrub, scrub_headers
from apixo_contract.observations import Run
from apixo_contract.options import UsageError
from apixo_contract.report.model import utc

FORM = 1
_LONGEST_TOLD = 160


class CassetteError(UsageError):
    """A cassette cannot be written or read; the message names the line and the reason."""


@cache
def cassette_schema() -> Any:
    """Return the JSON Schema of a cassette's line."""
    return json.loads((files("apixo_contract") / "cassette.schema.json").read_text("utf-8"))


def cassette_lines(run: Run, keys: Sequence[str] = ()) -> list[str]:
    """Return a run as the lines of a cassette, its secrets masked.

    Args:
        run: What was seen.
        keys: The API keys in use; none of them may stand in the file.

    Raises:
        CassetteError: A line seems to hold a key. Nothing of it is repeated in the message.
    """
    head, *seen = (json.loads(line) for line in run.to_lines())
    day = utc(run.started_ms).date().isoformat()
    counts = {"calls": len(run.exchanges), "callbacks": len(run.callbacks)}
    values = [{"cassette": FORM, "recorded": day, **head}, *seen, {"end": counts}]
    lines = [json.dumps(_masked(value), ensure_ascii=False) for value in values]
    for number, line in enumerate(lines, 1):
        if found := find_secret(line, keys):
            raise CassetteError(
                f"nothing was written: line {number} of the cassette would hold {found}. A key in "
                "a file that is meant to be shared is lost: keep it out of image and callback URLs"
            )
    return lines


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if name in ("headers", "answer_headers"):
            return scrub_headers(value)
        return {key: _masked(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_masked(part) for part in value]
    return scrub(value) if isinstance(value, str) else value


def write_cassette(
    path: Path, run: Run, keys: Sequence[str] = (), *, cut_off: bool = False
) -> None:
    """Write a run as a cassette, or nothing at all.

    Args:
        path: The file.
        run: What was seen.
        keys: The API keys in use; none of them may stand in the file.
        cut_off: Leaves out the last line, so that the file can be read but not judged by mistake.

    Raises:
        CassetteError: A line seems to hold a key.
        OSError: The file cannot be written.
    """
    lines = cassette_lines(run, keys)[: -1 if cut_off else None]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    new.replace(path)


def read_cassette(path: str | Path) -> Run:
    """Return the run that a cassette keeps.

    Raises:
        CassetteError: It is no cassette, or damaged, or cut off; the message names the line.
        OSError: The file cannot be read.
    """
    values = [value for _number, value in _checked(Path(path))]
    head = {name: part for name, part in values[0].items() if name not in ("cassette", "recorded")}
    try:
        return Run.from_lines(json.dumps(value) for value in [head, *map(_full, values[1:-1])])
    except ValueError as error:
        raise CassetteError(f"{path}: {error}") from None


def _full(value: dict[str, Any]) -> dict[str, Any]:
    """Return a line with what was left out of it because it was empty."""
    if "callback" not in value:
        return value
    return {"callback": {"path": "", "headers": {}, "text": "", **value["callback"]}}


def _checked(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines by number, each of its kind and in its place."""
    number, last, counts = 0, "", {"call": 0, "callback": 0}
    for number, value in _values(path):
        kind = _kind(value)
        if number == 1 and kind != "cassette":
            found = f"a line with {kind!r}" if kind else "something else"
            raise CassetteError(
                f"{path}, line 1: expected the head of a cassette of apixo-contract, found {found}"
            )
        if last == "end":
            raise CassetteError(f"{path}, line {number}: found more after the end of the cassette")
        _check_line(path, number, value, kind)
        if kind in counts:
            counts[kind] += 1
        elif kind == "end":
            _check_counts(path, number, value["end"], counts)
        last = kind
        yield number, value
    if last != "end":
        raise CassetteError(
            f"{path}: cut off after line {number}: the line that counts the others is missing"
        )


def _kind(value: dict[str, Any]) -> str:
    return next((name for name in ("cassette", "call", "callback", "end") if name in value), "")


def _check_line(path: Path, number: int, value: dict[str, Any], kind: str) -> None:
    if not kind:
        names = ", ".join(sorted(value))[:_LONGEST_TOLD]
        raise CassetteError(
            f"{path}, line {number}: expected a call or a callback, found an object with {names!r}"
        )
    if kind == "cassette" and value["cassette"] != FORM:
        raise CassetteError(
            f"{path}, line 1: expected a cassette of form {FORM}, found form {value['cassette']!r}: "
            "record it again with this version"
        )
    error = best_match(_validator(kind).iter_errors(value))
    if error is not None:
        told = error.message[:_LONGEST_TOLD]
        raise CassetteError(f"{path}, line {number}: at {error.json_path}, {told}")


@cache
def _validator(kind: str) -> Draft202012Validator:
    definitions = cassette_schema()["$defs"]
    return Draft202012Validator({**definitions[kind], "$defs": definitions})


def _check_counts(path: Path, number: int, told: dict[str, int], seen: dict[str, int]) -> None:
    if (told["calls"], told["callbacks"]) != (seen["call"], seen["callback"]):
        raise CassetteError(
            f"{path}, line {number}: expected {told['calls']} calls and {told['callbacks']} "
            f"callbacks, found {seen['call']} and {seen['callback']}: lines are missing or added"
        )


def _values(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    content = path.read_bytes()
    if not content.strip():
        raise CassetteError(f"{path}: expected a cassette of apixo-contract, found an empty file")
    for number, line in enumerate(_lines(content), 1):
        try:
            value = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            reason = str(error)[:_LONGEST_TOLD]
            raise CassetteError(
                f"{path}, line {number}: expected a JSON object, found something else or a part of "
                f"one ({reason})"
            ) from None
        if not isinstance(value, dict):
            raise CassetteError(
                f"{path}, line {number}: expected a JSON object, found a {type(value).__name__}"
            )
        yield number, value


def _lines(content: bytes) -> Iterable[bytes]:
    lines = content.split(b"\n")
    return lines[:-1] if not lines[-1].strip() else lines
