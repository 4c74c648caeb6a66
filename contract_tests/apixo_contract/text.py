"""Texts of a server: JSON read exactly, invisible characters escaped, long texts shortened."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

# Control characters except tab and line feed, characters that change the writing direction or have
# no width, lone surrogates and noncharacters. A terminal, a page or an XML reader may act on them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_ONE_BYTE = 0x100
_LONGEST = 4000
_DEEPEST = 20


def parse_json(
    text: str,
    *,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    constant: Callable[[str], Any] | None = None,
) -> Any:
    """Return parsed JSON; fractions, and integers too long for an `int`, are `Decimal`.

    Args:
        text: JSON.
        pairs: Makes an object from its name-value pairs. By default the last of equal names counts.
        constant: Makes a value from ``NaN`` or an infinity, which RFC 8259 does not allow.

    Raises:
        ValueError: The text is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(
        text,
        parse_float=_fraction,
        parse_int=_integer,
        parse_constant=constant,
        object_pairs_hook=pairs,
    )


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
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {
            replace_lone_surrogates(name): replace_lone_surrogates(part)
            for name, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [replace_lone_surrogates(part) for part in value]
    return value


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun, e.g. ``1 call`` or ``3 calls``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
