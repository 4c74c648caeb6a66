"""A measured figure and what was aimed at; as a table, as JSON, and as the README's chart."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: a value for each round, none where it could not be measured.

    ``least`` and ``most`` are what the median is to reach.
    """

    title: str
    unit: str
    rounds: tuple[float, ...] = ()
    least: float | None = None
    most: float | None = None
    # Why there is no value, or what to know when reading it.
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Whether the aim was met; empty without one."""
        if not self.rounds or (self.least is None and self.most is None):
            return ""
        met = self.median >= (self.least or 0) and self.median <= (self.most or float("inf"))
        return "met" if met else "MISSED"

    def __str__(self) -> str:
        note = f"  ({self.note})" if self.note else ""
        if not self.rounds:
            return f"  {self.title:58} absent{note}"
        spread = f"[{number(min(self.rounds))} .. {number(max(self.rounds))}]"
        aims = [f"at least {self.least:g}"] if self.least is not None else []
        aims += [f"at most {self.most:g}"] if self.most is not None else []
        aim = f"  aim {', '.join(aims)}: {self.verdict}" if aims else ""
        return f"  {self.title:58}{number(self.median):>9} {self.unit:4}{spread:20}{aim}{note}"

    def to_json(self) -> dict[str, object]:
        """Return it as JSON."""
        rounds = [round(value, 4) for value in self.rounds]
        found: dict[str, object] = {"title": self.title, "unit": self.unit, "rounds": rounds}
        return {**found, **({"aim": self.verdict} if self.verdict else {}), "note": self.note}


def number(value: float) -> str:
    """Write a value with as many digits as it deserves."""
    digits = next(count for least, count in ((100, 0), (10, 1), (0, 2)) if abs(value) >= least)
    return f"{value:,.{digits}f}"


def ratios(of: Sequence[float], to: Sequence[float]) -> tuple[float, ...]:
    """Divide round by round: only what was measured side by side can be compared."""
    return tuple(mine / its for mine, its in zip(of, to, strict=True))


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def as_json(machine: dict[str, str], sections: dict[str, list[Figure]]) -> str:
    """Write all, a line for each figure."""
    parts = [f' "machine": {json.dumps(machine)}']
    for title, figures in sections.items():
        lines = ",\n".join(f"  {json.dumps(one.to_json(), ensure_ascii=False)}" for one in figures)
        parts.append(f" {json.dumps(title)}: [\n{lines}\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


# The chart

_WIDTH, _ROW, _GAP, _TOP, _LEFT, _RIGHT = 760, 18, 14, 64, 210, 90
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px } .quiet { fill: #59636e }
  .status { fill: #0969da } .submit { fill: #54aeff } .limit { opacity: .45 }
  .peer.status { fill: #8c959f } .peer.submit { fill: #c2c8cf } .grid { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 }
    .status { fill: #4493f8 } .submit { fill: #1f6feb } .grid { stroke: #3d444d }
    .peer.status { fill: #767d86 } .peer.submit { fill: #4d545c }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A server's requests a second; its ``role`` is "limit", "ours" or "peer"."""

    name: str
    status: float
    submit: float
    role: str


def chart(bars: Sequence[Bar], subtitle: str) -> str:
    """Draw the bars, the fastest first, as SVG without scripts or fonts of its own."""
    height = _TOP + len(bars) * (2 * _ROW + _GAP) + 8
    scale = (_WIDTH - _LEFT - _RIGHT) / max(max(bar.status, bar.submit) for bar in bars)
    rows = "".join(
        _row(bar, _TOP + index * (2 * _ROW + _GAP), scale)
        for index, bar in enumerate(sorted(bars, key=lambda bar: -bar.status))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' aria-label="Requests a second">\n<style>{_STYLE}</style>\n'
        f'<text x="8" y="22" class="title">Requests a second, more is better</text>\n'
        f'<text x="8" y="42" class="quiet">{escape(subtitle)}</text>\n'
        f'<line class="grid" x1="{_LEFT}" y1="{_TOP - 8}" x2="{_LEFT}" y2="{height - 8}"/>\n'
        f"{rows}</svg>\n"
    )


def _row(bar: Bar, top: int, scale: float) -> str:
    parts = [
        f'<text x="{_LEFT - 10}" y="{top + _ROW + 4}" text-anchor="end">{escape(bar.name)}</text>\n'
    ]
    for kind, value, y in (("status", bar.status, top), ("submit", bar.submit, top + _ROW)):
        width = value * scale
        parts.append(
            f'<rect class="{bar.role} {kind}" x="{_LEFT}" y="{y}" width="{width:.1f}"'
            f' height="{_ROW - 2}" rx="2"/><text class="quiet" x="{_LEFT + width + 6:.1f}"'
            f' y="{y + 13}">{value:,.0f} {kind}</text>\n'
        )
    return "".join(parts)
