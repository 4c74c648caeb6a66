"""The name that a misspelt one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

# A longer word is no slip of the fingers, and comparing it takes long.
_LONGEST = 80
_ALIKE = 0.6


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Give the name closest to a word, whatever their case: of equals the first, None if far."""
    if len(word) > _LONGEST:
        return None
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(word.casefold())
    best, most = None, _ALIKE
    for name in names:
        matcher.set_seq1(name.casefold())
        if matcher.real_quick_ratio() > most and (alike := matcher.ratio()) > most:
            best, most = name, alike
    return best


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Give a sentence to append to an error, with the space before it; empty where none is close."""
    found = nearest(word, names)
    return f" Did you mean {found}?" if found else ""


def shown(word: str, longest: int = _LONGEST) -> str:
    """Give a word as an error shows it: in quotes, cut where it is long."""
    return repr(word if len(word) <= longest else f"{word[:longest]}…")
