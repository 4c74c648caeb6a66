"""Texts that came from a server, made safe to look at: what is invisible is written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Control characters but tab and line feed, what turns the direction of writing, what has no width,
# lone surrogates and noncharacters: none of them may act on a terminal, a page or an XML reader.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def visible(text: str) -> str:
    r"""Give a text with its invisible characters as escapes, such as ``\u202e``."""
    return _INVISIBLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def whole(value: Any) -> Any:
    """Give a JSON value with U+FFFD for every half of a surrogate pair, which UTF-8 cannot write."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {whole(name): whole(part) for name, part in value.items()}
    return [whole(part) for part in value] if isinstance(value, list | tuple) else value


def one_line(text: str, limit: int = 300) -> str:
    """Give a text as one line, a long one cut short."""
    flat = " ".join(visible(text).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
