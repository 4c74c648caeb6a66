"""Were the calls made that were expected? A precise answer, and the nearest calls where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apixo_emulator.journal.call_filter import noun
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.expectation import Expectation

__all__ = ["Expectation", "Near", "Verification", "verify"]

_MOST_NEAREST = 3
_MOST_NUMBERS = 10


@dataclass(frozen=True, slots=True)
class Near:
    """A call that was not meant, and in words what differs."""

    entry: JournalEntry
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether an expectation is met; true where it is. ``words`` says it in a sentence.

    ``nearest`` are other calls that differ the least, where too few were found.
    """

    met: bool
    words: str
    matching: tuple[JournalEntry, ...] = ()
    nearest: tuple[Near, ...] = ()

    def __bool__(self) -> bool:
        return self.met

    def __str__(self) -> str:
        return self.words

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values; calls by their numbers."""
        return {
            "met": self.met,
            "words": self.words,
            "matching": [entry.number for entry in self.matching],
            "nearest": [
                {"number": near.entry.number, "differences": list(near.differences)}
                for near in self.nearest
            ],
        }


def verify(
    entries: Sequence[JournalEntry], expectation: Expectation | Mapping[str, Any]
) -> Verification:
    """Hold calls against an expectation.

    Raises:
        ValueError: It is no expectation; the message says what was expected and found.
    """
    if not isinstance(expectation, Expectation):
        expectation = Expectation.from_json(expectation)
    judged = [Near(entry, expectation.differences(entry)) for entry in entries]
    matching = tuple(near.entry for near in judged if not near.differences)
    met = expectation.allows(len(matching))
    too_few = len(matching) < expectation.bounds[0]
    nearest = _nearest(judged, expectation) if too_few else ()
    words = _words(expectation, entries, matching, met=met) + _hints(nearest, entries)
    return Verification(met, words, matching, nearest)


def _nearest(judged: Sequence[Near], expectation: Expectation) -> tuple[Near, ...]:
    """Give the calls with the fewest differences; another endpoint outweighs all others."""

    def distance(near: Near) -> tuple[bool, int, int]:
        elsewhere = expectation.call is not None and near.entry.endpoint != expectation.call
        return elsewhere, len(near.differences), -near.entry.number

    others = [near for near in judged if near.differences]
    return tuple(sorted(others, key=distance)[:_MOST_NEAREST])


def _words(
    expectation: Expectation,
    entries: Sequence[JournalEntry],
    matching: Sequence[JournalEntry],
    *,
    met: bool,
) -> str:
    kind = expectation.call
    of = [entry for entry in entries if kind is None or entry.endpoint == kind]
    counted = f"found {len(matching)} of {len(of)} {noun(kind, len(of))}"
    numbers = f": {_numbers(matching)}" if matching else ""
    start = "as expected, " if met else "expected "
    return f"{start}{expectation.expected()}{': ' if met else ', '}{counted}{numbers}"


def _numbers(entries: Sequence[JournalEntry]) -> str:
    listed = ", ".join(f"#{entry.number}" for entry in entries[:_MOST_NUMBERS])
    return f"{listed}, …" if len(entries) > _MOST_NUMBERS else listed


def _hints(nearest: Sequence[Near], entries: Sequence[JournalEntry]) -> str:
    words = "; nearest: " if nearest else ""
    if nearest:
        words += f"#{nearest[0].entry.number} {', '.join(nearest[0].differences)}"
    gone = entries[0].number - 1 if entries else 0
    if gone:
        words += f"; the journal no longer holds {gone} {noun(None, gone)} before #{gone + 1}"
    return words
