"""On which line of a TOML or JSON text each of its values stands.

The parsers of the standard library do not say. The text has been parsed already, so nothing is
checked here: what follows from the text being valid is taken for granted.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from apixo_emulator.domain.problems import Path

_BETWEEN = re.compile(r"(?:[\s,]|#[^\n]*)*")
_LONG_TEXT = r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|' + r"'''(?:[^']|'{1,2}(?!'))*'{3,5}"
_TEXT = r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'"
# A date may have a space before its time.
_OTHER = r"[^\s,\]}#]+(?: \d\d:[^\s,\]}#]*)?"
_SCALAR = re.compile(f"{_LONG_TEXT}|{_TEXT}|{_OTHER}", re.DOTALL)
_KEY_PART = re.compile(rf"(?:{_TEXT}|[A-Za-z0-9_-]+)")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_ASSIGNED = re.compile(r"\s*[=:]\s*")
_HEADER_END = re.compile(r"[ \t]*\]+")


@dataclass(frozen=True, slots=True)
class Lines:
    """The line, from 1, on which each value stands, or its key where it has one.

    ``repeated`` are keys that stand more than once in their table; TOML has none.
    """

    by_path: Mapping[Path, int]
    repeated: tuple[Path, ...] = ()

    def of(self, path: Path) -> int:
        """Give the line of a value, or of the nearest one around it that is there."""
        while path and path not in self.by_path:
            path = path[:-1]
        return self.by_path.get(path, 1)


def toml_lines(text: str) -> Lines:
    """Find the lines of a valid TOML text."""
    scanner = _Scanner(text)
    scanner.document()
    return Lines(scanner.lines)


def json_lines(text: str) -> Lines:
    """Find the lines of a valid JSON text; of a repeated key, as its value, the last counts."""
    scanner = _Scanner(text)
    scanner.value(())
    return Lines(scanner.lines, tuple(scanner.repeated))


class _Scanner:
    """Goes through a text from its start and notes the lines of what it passes."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {(): 1}
        self.repeated: list[Path] = []
        self._assigned: set[Path] = set()
        self._text = text
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._at = 0
        # How many tables each [[list]] has so far.
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        """Pass a TOML document."""
        table: Path = ()
        while self._reach():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._member(table)

    def value(self, path: Path) -> None:
        """Pass a value of either language, and note all that is in it."""
        self._reach()
        match self._text[self._at]:
            case "[":
                self._list(path)
            case "{":
                self._table(path)
            case _:
                self._skip(_SCALAR)

    def _reach(self) -> bool:
        """Go on to where something stands; False at the end."""
        self._skip(_BETWEEN)
        return self._at < len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _line(self, at: int) -> int:
        return bisect_left(self._breaks, at) + 1

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._reach() and self._text[self._at] != "]":
            self.lines[*path, index] = self._line(self._at)
            self.value((*path, index))
            index += 1
        self._at += 1

    def _table(self, path: Path) -> None:
        self._at += 1
        while self._reach() and self._text[self._at] != "}":
            self._member(path)
        self._at += 1

    def _member(self, path: Path) -> None:
        line = self._line(self._at)
        for part in self._key():
            path = (*path, part)
            # A TOML table may be spread over the text: its first place counts.
            self.lines.setdefault(path, line)
        if path in self._assigned:
            self.repeated.append(path)
        self._assigned.add(path)
        self.lines[path] = line
        self._skip(_ASSIGNED)
        self.value(path)

    def _key(self) -> list[str]:
        parts = [_unquoted(self._skip(_KEY_PART))]
        while self._skip(_DOT):
            parts.append(_unquoted(self._skip(_KEY_PART)))
        return parts

    def _header(self) -> Path:
        line = self._line(self._at)
        several = self._text.startswith("[[", self._at)
        self._at += 2 if several else 1
        self._skip(_BETWEEN)
        path: Path = ()
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        self._skip(_HEADER_END)
        if several:
            path = self._next_table(path)
            self.lines[path] = line
        return path

    def _next_table(self, path: Path) -> Path:
        """Give the path of one more table of a list; ``path`` may be that of the one before."""
        if isinstance(path[-1], int):
            path = path[:-1]
        index = self._tables.get(path, 0)
        self._tables[path] = index + 1
        return (*path, index)


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] != '"':
        return key
    try:
        name: str = json.loads(key)
    except ValueError:  # TOML has escapes of its own
        (name,) = tomllib.loads(f"{key} = 0")
    return name
