"""Where one text stands in another, however it is escaped there: in JSON, in a URL, one in the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# JSON in a form in a URL.
_DEEPEST = 3

# Where a text begins and ends, and the text.
Span = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class _Escaping:
    """A way to escape: what every escape begins with, how one looks, and what it stands for."""

    mark: bytes
    pattern: re.Pattern[bytes]
    meaning: Callable[[re.Match[bytes]], bytes]


def _in_json(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    if text[1:2] != b"u":
        return text[1:]
    units = bytes.fromhex(text.replace(b"\\u", b"").decode())
    return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


_ESCAPINGS = (
    _Escaping(
        b"\\",
        re.compile(
            rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
            rb'|\\["\\/]'
        ),
        _in_json,
    ),
    _Escaping(
        b"%", re.compile(rb"%[0-9a-fA-F]{2}"), lambda escape: bytes.fromhex(escape[0][1:].decode())
    ),
)


def occurrences(wanted: Sequence[bytes], raw: bytes, depth: int = _DEEPEST) -> Iterator[Span]:
    """Give where any of the wanted texts stands, in no order and maybe repeatedly.

    Looked at as it is, and with all escapes of one kind resolved, so often in any order.
    """
    for text in wanted:
        at = raw.find(text)
        while at >= 0:
            yield at, at + len(text), text
            at = raw.find(text, at + 1)
    for escaping in _ESCAPINGS if depth else ():
        if escaping.mark in raw:
            yield from _beneath(escaping, wanted, raw, depth)


def _beneath(
    escaping: _Escaping, wanted: Sequence[bytes], raw: bytes, depth: int
) -> Iterator[Span]:
    plain = escaping.pattern.sub(escaping.meaning, raw)
    if len(plain) == len(raw):  # an escape is longer than what it stands for
        return
    found = list(occurrences(wanted, plain, depth - 1))
    if found:
        places = _places(escaping, raw)
        for start, end, text in found:
            yield places[start], places[end], text


def _places(escaping: _Escaping, raw: bytes) -> list[int]:
    """Give for each byte of the resolved text, and for its end, where it comes from."""
    places: list[int] = []
    at = 0
    for escape in escaping.pattern.finditer(raw):
        places.extend(range(at, escape.start()))
        places.extend([escape.start()] * len(escaping.meaning(escape)))
        at = escape.end()
    places.extend(range(at, len(raw) + 1))
    return places
