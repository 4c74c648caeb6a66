"""Files that people write: read with errors that name the file, the line, and what to do."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apixo_emulator.domain.nearest import shown
from apixo_emulator.domain.problems import Problem
from apixo_emulator.scenarios.positions import Lines, toml_lines

LARGEST_BYTES = 10_000_000
_MOST_SHOWN = 20
_LONGEST_QUOTE = 60
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file, and where in it everything stands."""

    path: Path
    document: dict[str, Any]
    lines: Lines

    def located(self, problems: Iterable[Problem]) -> str:
        """Write problems with the file's name and their lines, in the order of the file."""
        return located(self.path, self.lines, problems)


def located(
    path: Path,
    lines: Lines,
    problems: Iterable[Problem],
    said: Callable[[Problem], str] = str,
) -> str:
    """Write problems with a file's name and their lines, in the order of the file."""
    placed = sorted(((lines.of(one.path), one) for one in problems), key=lambda it: it[0])
    listed = [f"{path}:{line}: {said(one)}" for line, one in placed[:_MOST_SHOWN]]
    if len(placed) > _MOST_SHOWN:
        listed.append(f"{path}: and {len(placed) - _MOST_SHOWN} more.")
    return "\n".join(listed)


def read_text(path: Path) -> str:
    """Read a file as UTF-8, with or without a byte order mark.

    Raises:
        ValueError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(raw) > LARGEST_BYTES:
        raise ValueError(f"{path}: expected at most {LARGEST_BYTES} bytes; found more.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"found the byte 0x{raw[error.start]:02x}"
        raise ValueError(f"{path}:{line}: expected UTF-8; {found}.") from None


def parse_toml(path: Path, text: str) -> TomlFile:
    """Parse the text of a file.

    Raises:
        ValueError: It is no TOML.
    """
    try:
        document = tomllib.loads(text)
        return TomlFile(path, document, toml_lines(text))
    except RecursionError:
        raise ValueError(f"{path}: expected settings; found lists in lists, too deep.") from None
    except ValueError as error:
        raise ValueError(f"{path}:{syntax_error(error, text, 'TOML')}") from None


def syntax_error(error: ValueError, text: str, language: str, *, quoted: bool = False) -> str:
    """Give the line of a syntax error, and what the parser says of it.

    What stands there is ``quoted`` only from files that hold no keys.
    """
    if isinstance(error, json.JSONDecodeError):
        line, said = error.lineno, error.msg
    else:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else text.rstrip().count("\n") + 1
        said = _PLACE.sub("", str(error))
    stands = "\n".join(text.split("\n")[line - 1 : line]).strip()
    found = f"found {shown(stands, _LONGEST_QUOTE)}" if quoted else "found"
    return f"{line}: expected valid {language}; {found}: {said}."
