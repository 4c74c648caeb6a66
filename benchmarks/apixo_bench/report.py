"""Showing the figures: a table on the terminal, JSON for whoever compares runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apixo_bench.chart import Bar
from apixo_bench.contestants import LIMIT
from apixo_bench.figures import Figure

_DIGITS = ((100.0, 0), (10.0, 1), (0.0, 2))


@dataclass(frozen=True, slots=True)
class Section:
    """What one measure found."""

    title: str
    figures: tuple[Figure, ...]
    seconds: float


def number(value: float) -> str:
    """Write a value with as many digits as it deserves."""
    digits = next(digits for least, digits in _DIGITS if abs(value) >= least)
    return f"{value:,.{digits}f}"


def line(figure: Figure) -> str:
    """Write a figure: median, range, aim, note."""
    note = f"  ({figure.note})" if figure.note else ""
    if not figure.rounds:
        return f"  {figure.title:52} absent{note}"
    spread = ""
    if len(figure.rounds) > 1:
        spread = f"[{number(min(figure.rounds))} .. {number(max(figure.rounds))}]"
    aim = f"  aim {figure.aim}: {figure.verdict}" if figure.aim else ""
    return f"  {figure.title:52}{number(figure.median):>9} {figure.unit:4}{spread:22}{aim}{note}"


def table(section: Section) -> str:
    """Write a section."""
    head = f"{section.title}  ({section.seconds:.0f} s)"
    return "\n".join([head, *(line(one) for one in section.figures if not one.detail), ""])


def aims(sections: Sequence[Section]) -> str:
    """Say how many aims were met, and name those that were missed."""
    verdicts = {
        figure.title: figure.verdict
        for section in sections
        for figure in section.figures
        if figure.verdict
    }
    missed = [title for title, verdict in verdicts.items() if verdict != "met"]
    head = f"aims: {len(verdicts) - len(missed)} met, {len(missed)} missed"
    return "\n".join([head, *(f"  missed: {title}" for title in missed)]) + "\n"


def as_json(machine: dict[str, str], sections: Sequence[Section]) -> str:
    """Write all as JSON."""
    document = {
        "machine": machine,
        "sections": {
            section.title: [_document(figure) for figure in section.figures] for section in sections
        },
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _document(figure: Figure) -> dict[str, Any]:
    document: dict[str, Any] = {"title": figure.title, "unit": figure.unit}
    if figure.rounds:
        document["median"] = round(figure.median, 4)
        document["rounds"] = [round(value, 4) for value in figure.rounds]
    if figure.aim is not None:
        document |= {"aim": str(figure.aim), "met": figure.verdict == "met"}
    if figure.note:
        document["note"] = figure.note
    return document


def bars(sections: Sequence[Section]) -> list[Bar]:
    """Take what the chart shows out of the figures, none where the race was not run."""
    rates = {
        figure.title: figure.median
        for section in sections
        for figure in section.figures
        if figure.unit == "/s" and figure.rounds
    }
    names = [title.removeprefix("status: ") for title in rates if title.startswith("status: ")]
    return [
        Bar(name, rates[f"status: {name}"], rates.get(f"submit: {name}"), _role(name))
        for name in names
    ]


def _role(name: str) -> str:
    if name == LIMIT:
        return "limit"
    return "ours" if name == "emulator" else "peer"
