"""Two servers compared: the same calls to both, what they answered differently, and what it touches.

Both runs are made by the same drive with the same seed. Calls that only one of them got, because
an answer led the run elsewhere, are counted and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apixo_contract._catalogue import catalogue
from apixo_contract._diff_align import Aligned, Pair, align
from apixo_contract._diff_facets import ANSWER, facets, outline
from apixo_contract._diff_topics import NO_RULE, topic
from apixo_contract._observations import Run
from apixo_contract._report import CheckResult, Report, Verdict
from apixo_contract._showing import show
from apixo_contract._verify import judge

_ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Difference:
    """A facet that the two answered differently, in the same way ``count`` times."""

    facet: str
    left: str
    right: str
    count: int
    # The call with the shortest request.
    example: Pair


@dataclass(frozen=True, slots=True)
class Group:
    """The differences that touch one check; its id is empty where no rule speaks of them."""

    check_id: str
    left: CheckResult | None
    right: CheckResult | None
    differences: tuple[Difference, ...]

    @property
    def count(self) -> int:
        """Give how many answers differ."""
        return sum(difference.count for difference in self.differences)

    @property
    def title(self) -> str:
        """Give what the check promises."""
        info = catalogue().get(self.check_id)
        return info.title if info else "No rule speaks of these"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a diff found; the two reports hold each server's verdicts."""

    left: Report
    right: Report
    aligned: Aligned
    groups: tuple[Group, ...]

    @property
    def exit_code(self) -> int:
        """Give 0 where the two are alike, 1 where they differ."""
        return 1 if self.groups else 0

    def to_json(self) -> dict[str, Any]:
        """Give the comparison as JSON values."""
        return {
            "form": 1,
            "left": self.left.target,
            "right": self.right.target,
            "spent_usd": [float(self.left.spent_usd), float(self.right.spent_usd)],
            "same_calls": len(self.aligned.pairs),
            "only_left": self.aligned.only_left,
            "only_right": self.aligned.only_right,
            "groups": [_group_json(group) for group in self.groups],
        }


def _group_json(group: Group) -> dict[str, Any]:
    def side(result: CheckResult | None) -> dict[str, Any] | None:
        if result is None:
            return None
        return {"verdict": result.verdict.value, "evidence": result.evidence}

    return {
        "id": group.check_id,
        "title": group.title,
        "left": side(group.left),
        "right": side(group.right),
        "differences": [
            {
                "facet": found.facet,
                "left": found.left,
                "right": found.right,
                "count": found.count,
                "curl": show(found.example.left).curl,
            }
            for found in group.differences
        ],
    }


def compare(left: Run, right: Run) -> Comparison:
    """Compare two runs of the same drive and seed."""
    aligned = align(left, right)
    reports = judge(left), judge(right)
    found = _differences(aligned)
    touched = {*_verdict_changes(*reports), *found}
    names = [*(name for name in catalogue() if name in touched), NO_RULE]
    first, second = ({result.id: result for result in report.results} for report in reports)
    groups = (
        Group(name, first.get(name), second.get(name), found.get(name, ()))
        for name in names
        if name in touched
    )
    return Comparison(*reports, aligned, tuple(groups))


def _verdict_changes(left: Report, right: Report) -> set[str]:
    """Give the checks on which the two fare differently, where both could be seen."""
    return {
        one.id
        for one, other in zip(left.results, right.results, strict=True)
        if one.verdict is not other.verdict and Verdict.SKIPPED not in (one.verdict, other.verdict)
    }


def _differences(aligned: Aligned) -> dict[str, tuple[Difference, ...]]:
    by_kind: dict[tuple[str, str, str, str], list[Pair]] = defaultdict(list)
    for pair in aligned.pairs:
        for facet, one, other in _differing(pair):
            by_kind[topic(pair, facet), facet, one, other].append(pair)
    found: dict[str, list[Difference]] = defaultdict(list)
    for (name, facet, one, other), pairs in by_kind.items():
        simplest = min(pairs, key=lambda pair: len(pair.left.body or ""))
        found[name].append(Difference(facet, one, other, len(pairs), simplest))
    return {
        name: tuple(sorted(differences, key=lambda found: -found.count))
        for name, differences in found.items()
    }


def _differing(pair: Pair) -> Iterator[tuple[str, str, str]]:
    if pair.left.status != pair.right.status:
        # The rest follows from that.
        yield ANSWER, outline(pair.left), outline(pair.right)
        return
    one, other = facets(pair.left), facets(pair.right)
    for facet in {**one, **other}:
        left, right = one.get(facet, _ABSENT), other.get(facet, _ABSENT)
        if left != right:
            yield facet, left, right
