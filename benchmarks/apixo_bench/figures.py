"""A measured figure: a value a round, and what was aimed at."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Better(StrEnum):
    """Which way a figure is better."""

    HIGHER = "at least"
    LOWER = "at most"


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure is to reach."""

    better: Better
    value: float

    def met_by(self, value: float) -> bool:
        """Tell whether a value reaches it."""
        return value >= self.value if self.better is Better.HIGHER else value <= self.value

    def __str__(self) -> str:
        return f"{self.better} {self.value:g}"


def at_least(value: float) -> Aim:
    """Aim for this much or more."""
    return Aim(Better.HIGHER, value)


def at_most(value: float) -> Aim:
    """Aim for this much or less."""
    return Aim(Better.LOWER, value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: a value for each round, none where it could not be measured."""

    title: str
    unit: str
    rounds: tuple[float, ...] = ()
    aim: Aim | None = None
    # Why there is no value, or what to know when reading it.
    note: str = ""
    # For the JSON alone.
    detail: bool = False

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Say whether the aim was met, by the median."""
        if self.aim is None or not self.rounds:
            return ""
        return "met" if self.aim.met_by(self.median) else "MISSED"


def ratios(of: Sequence[float], to: Sequence[float]) -> tuple[float, ...]:
    """Divide round by round: only what was measured side by side can be compared."""
    return tuple(mine / its for mine, its in zip(of, to, strict=True))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which ``share`` of the ordered values lie."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
