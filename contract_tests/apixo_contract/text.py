"""Texts of a server: JSON read exactly, invisible characters escaped, long texts shortened.

Also how the dataclasses of reports and cassettes become JSON, and are read from it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

# Control characters except tab and line feed, characters that change the writing direction or have
# no width, lone surrogates and noncharacters. A terminal, a page or an XML reader may act on them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_ONE_BYTE = 0x100
_LONGEST = 4000
_DEEPEST = 20


def parse_json(text: str, *, constant: Callable[[str], Any] | None = None) -> Any:
    """Return parsed JSON; fractions, and integers too long for an `int`, are `Decimal`.

    Args:
        text: JSON.
        constant: Makes a value from ``NaN`` or an infinity, which RFC 8259 does not allow.

    Raises:
        ValueError: The text is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_float=_fraction, parse_int=_integer, parse_constant=constant)


def _fraction(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError:  # The exponent has more than 18 digits.
        return Decimal(float(digits))


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # More than 4,300 digits, which JSON allows.
        return Decimal(digits)


def json_or_none(text: str) -> Any:
    """Return parsed JSON, or None if the text is not JSON."""
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return None


def compact_json(value: Any) -> str:
    """Return a value as JSON without spaces, as the kit sends it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_line(value: Any, message: str | None = None, depth: int = _DEEPEST) -> str:
    """Return a value as JSON on one line.

    Args:
        value: As `parse_json` returns it.
        message: A text that is written as ``$message`` wherever it occurs.
        depth: How many levels to show; deeper ones become ``…``.
    """
    if isinstance(value, Mapping | list) and not depth:
        return "…"
    if isinstance(value, Mapping):
        pairs = (
            f"{json_line(name)}: {json_line(part, message, depth - 1)}"
            for name, part in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(json_line(part, message, depth - 1) for part in value)}]"
    if isinstance(value, Decimal):
        # As most readers take it. A number that no float holds is written as it came.
        return repr(float(value)) if math.isfinite(float(value)) else str(value)
    same = message is not None and value == message
    return json.dumps("$message" if same else value, ensure_ascii=False)


def as_json(value: Any) -> str:
    """Return a value as short JSON, for sentences in which its type matters."""
    return clipped(json_line(value))


def clipped(value: Any, limit: int = 160) -> str:
    """Return a text cut to a limit; a value that is not a text is written as JSON first."""
    text = value if isinstance(value, str) else json_line(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shortened(text: str, limit: int = _LONGEST) -> str:
    """Return a text; of a long one the middle is replaced by the number of characters left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}… {len(text) - 2 * half} characters left out …{text[-half:]}"


def escape_invisible(text: str) -> str:
    r"""Return a text whose invisible characters are escapes, such as ``\u202e``."""
    return _INVISIBLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < _ONE_BYTE else f"\\u{code:04x}"


def one_line(text: str, limit: int = 300) -> str:
    """Return a text as one visible line, a long one cut."""
    return clipped(" ".join(escape_invisible(text).split()), limit)


def replace_lone_surrogates(value: Any) -> Any:
    """Return a JSON value with U+FFFD for each half surrogate pair, which UTF-8 cannot hold."""
    text = json.dumps(to_json(value), ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun, e.g. ``1 call`` or ``3 calls``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


# --- forms of task ids ------------------------------------------------------------------------

_FORMS = (
    ("uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)),
    ("hex32", re.compile(r"[0-9a-f]{32}")),
)
_PARTS = (
    ("digits", re.compile(r"[0-9]+")),
    ("hex", re.compile(r"[0-9a-f]+")),
    ("alnum", re.compile(r"[0-9a-z]+")),
)


def id_form(task_id: str) -> str:
    """Return the form of a task id as a profile writes it, e.g. ``task_{digits:8}``.

    What stands before the last ``-``, ``_``, ``.`` or ``~`` is a fixed prefix.
    """
    for name, pattern in _FORMS:
        if pattern.fullmatch(task_id):
            return name
    place = max(task_id.rfind(mark) for mark in "-_.~") + 1
    prefix, rest = task_id[:place], task_id[place:]
    kind = next((name for name, part in _PARTS if part.fullmatch(rest.lower())), "alnum")
    return f"{prefix}{{{kind}:{len(rest)}}}"


# --- dataclasses as JSON ------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it: a dataclass as an object, a number that none is as text."""
    if is_dataclass(value):
        return {found.name: to_json(getattr(value, found.name)) for found in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return _number(value) if isinstance(value, Decimal | float) else value


def _number(value: Decimal | float) -> int | float | str:
    if not math.isfinite(value):
        return str(value)
    return int(value) if isinstance(value, Decimal) and value == int(value) else float(value)


def from_json(kind: Any, value: Any) -> Any:
    """Return what `to_json` made a JSON value of; unknown members are ignored.

    Args:
        kind: The type: a dataclass, a tuple, or what stands in their fields.
        value: JSON that satisfies a schema of this type.

    Raises:
        ValueError: A text is no value of its type.
        TypeError: A member is missing.
    """
    if isinstance(kind, UnionType):
        return None if value is None else from_json(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(from_json(get_args(kind)[0], part) for part in value)
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        given = {name: from_json(kinds[name], value[name]) for name in kinds if name in value}
        return cast("Any", kind)(**given)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is Decimal:
        return Decimal(str(value))
    return kind(value) if isinstance(kind, type) and issubclass(kind, StrEnum) else value
