"""Patterns in which ``*`` stands for any text, and everything else for itself.

No other character is special: ``?`` and ``[`` are at home in URLs.
"""

from __future__ import annotations


def fits(pattern: str, text: str) -> bool:
    """Return whether the whole text fits a pattern, in time linear in the text for each ``*``."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
