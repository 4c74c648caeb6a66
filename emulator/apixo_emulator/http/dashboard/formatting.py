"""How times, sizes and bodies are written for people. All text that comes out is escaped."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

_S, _MIN, _H, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_KILO = 1000
_SHORT = 8
_BRIEF = 27
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|([{}\[\],])|([^\s{}\[\],":]+)|\s+', re.DOTALL)
_INDENT = "  "
# Characters of a body that a page shows; the rest is offered as a download.
MOST_SHOWN = 16_384
_MOST_LEVELS = 40
# A longer text, an inlined picture, is shown on one line, and copied whole.
_LONG = 600


def instant(ms: int) -> str:
    """Write an instant as ``2026-01-09 13:33:30.929``, in UTC."""
    when = datetime.fromtimestamp(ms / _S, UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{ms % _S:03d}"


def time_of_day(ms: int) -> str:
    """Write an instant as ``13:33:30.929``, in UTC."""
    return instant(ms).partition(" ")[2]


def span(ms: float) -> str:
    """Write a duration with at most two units: ``850 ms``, ``1.5 s``, ``2 min 3 s``, ``1 h 5 min``."""
    if ms < _S:
        return f"{ms:.0f} ms"
    if ms < _MIN:
        return f"{ms / _S:.1f} s".replace(".0 ", " ")
    if ms < _H:
        return _two(ms, _MIN, "min", _S, "s")
    return _two(ms, _H, "h", _MIN, "min") if ms < _DAY else _two(ms, _DAY, "d", _H, "h")


def _two(ms: float, large: int, large_name: str, small: int, small_name: str) -> str:
    whole, rest = divmod(int(ms), large)
    more = f" {rest // small} {small_name}" if rest >= small else ""
    return f"{whole} {large_name}{more}"


def size(count: int) -> str:
    """Write a number of bytes: ``812 B``, ``12.3 kB``, ``1.5 MB``."""
    if count < _KILO:
        return f"{count} B"
    if count < _KILO**2:
        return f"{count / _KILO:.1f} kB"
    return f"{count / _KILO**2:.1f} MB"


def short(name: str) -> str:
    """Return enough of an id to distinguish it from others."""
    return name if len(name) <= _SHORT + 1 else f"{name[:_SHORT]}…"


def source(url: str) -> str:
    """Return enough of an image URL to distinguish it from others: its host and its end."""
    if url[:5].lower() == "data:":
        return url.partition(";")[0].partition(",")[0][:_BRIEF]
    shown = url.partition("://")[2] or url
    half = _BRIEF // 2
    return shown if len(shown) <= _BRIEF else f"{shown[: half - 4]}…{shown[-half - 3 :]}"


def ticks(text: str) -> Markup:
    """Show what stands between backticks as code."""
    pieces = text.split("`")
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(piece) if at % 2 and at < len(pieces) - 1 else piece
        for at, piece in enumerate(pieces)
    )


def is_cut(content: str | bytes, most: int = MOST_SHOWN) -> bool:
    """True if `body` shows a part of the content only."""
    return len(content) > most


def body(content: str | bytes, most: int = MOST_SHOWN) -> Markup:
    """Return a body as HTML: JSON on lines of its own and coloured, with every number as it was written.

    Bounded before it is rendered: of a longer body the first ``most`` characters are shown, and JSON of many levels
    as it was sent. HTML is up to thirty times as large as what it shows.
    """
    text = content if isinstance(content, str) else content[:most].decode("utf-8", "replace")
    if is_cut(content, most):
        return escape(f"{text[:most]}\n… {len(content) - most} more")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return escape(text)
    pieces = _pieces(text)
    return escape(text) if pieces is None else Markup("").join(pieces)


def _pieces(text: str) -> list[Markup] | None:
    """Return the coloured parts of a JSON text, None if it has too many levels."""
    pieces: list[Markup] = []
    depth = 0
    opened = False
    for name, colon, mark, word in _TOKEN.findall(text):
        if not (name or mark or word):
            continue
        closing = mark in {"}", "]"} if mark else False
        depth -= closing
        if (opened and not closing) or (closing and not opened):
            pieces.append(escape("\n" + _INDENT * depth))
        opened = mark in {"{", "["} if mark else False
        depth += opened
        if depth > _MOST_LEVELS:
            return None
        pieces.append(_coloured(name, colon, mark, word))
        if mark == ",":
            pieces.append(escape("\n" + _INDENT * depth))
    return pieces


def _coloured(name: str, colon: str, mark: str, word: str) -> Markup:
    if mark:
        return escape(mark)
    if colon:
        return Markup('<span class="j-name">{}</span>: ').format(name)
    kind = "j-word" if word else "j-text" if len(name) <= _LONG else "j-text j-long"
    return Markup('<span class="{}">{}</span>').format(kind, name or word)


FILTERS = (instant, time_of_day, span, size, short, body, is_cut, source, ticks)
"""What templates use, by their names."""
