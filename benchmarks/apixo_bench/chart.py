"""The chart of the README: requests a second of each contestant, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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
    """One contestant's requests a second: polls, and submits where it takes them."""

    name: str
    status: float
    submit: float | None
    # "limit", "ours" or "peer".
    role: str


def draw(bars: Sequence[Bar], subtitle: str) -> str:
    """Draw the bars, the fastest first, as SVG without scripts or fonts of its own."""
    ordered = sorted(bars, key=lambda bar: -bar.status)
    height = _TOP + len(ordered) * (2 * _ROW + _GAP) + 8
    most = max(max(bar.status, bar.submit or 0) for bar in ordered)
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    rows = "".join(
        _row(bar, _TOP + index * (2 * _ROW + _GAP), scale) for index, bar in enumerate(ordered)
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
    label = (
        f'<text x="{_LEFT - 10}" y="{top + _ROW + 4}" text-anchor="end">{escape(bar.name)}</text>\n'
    )
    submit = "" if bar.submit is None else _bar(bar, "submit", bar.submit, top + _ROW, scale)
    return label + _bar(bar, "status", bar.status, top, scale) + submit


def _bar(bar: Bar, kind: str, value: float, top: int, scale: float) -> str:
    width = value * scale
    return (
        f'<rect class="{bar.role} {kind}" x="{_LEFT}" y="{top}" width="{width:.1f}"'
        f' height="{_ROW - 2}" rx="2"/><text class="quiet" x="{_LEFT + width + 6:.1f}"'
        f' y="{top + 13}">{value:,.0f} {kind}</text>\n'
    )
