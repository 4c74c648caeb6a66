"""Text helpers: nearest names and patterns with asterisks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 80  # comparing a longer word takes long


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name closest to a word, in any letter case; None where none is close."""
    folded = {name.casefold(): name for name in names}
    found = get_close_matches(word[:_LONGEST].casefold(), folded, n=1)
    return folded[found[0]] if found else None


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return a sentence to append to an error, with a space before it; empty where none is close."""
    found = nearest(word, names)
    return f" Did you mean {found}?" if found else ""


def shown(word: str, longest: int = _LONGEST) -> str:
    """Return a word as an error shows it: in quotes, cut where it is long."""
    return repr(word if len(word) <= longest else f"{word[:longest]}…")


def fits(pattern: str, text: str) -> bool:
    """True if the whole text fits a pattern with ``*``; takes linear time for each ``*``."""
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return text == pattern
    # An atomic group keeps what it has matched first: no other way is tried.
    between = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.fullmatch(f"(?s:{first}{between}.*{rest[-1]})", text) is not None
