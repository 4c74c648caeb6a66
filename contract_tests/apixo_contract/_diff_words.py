"""A comparison as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from apixo_contract._diff import Comparison, Difference, Group
from apixo_contract._report import CheckResult, Verdict
from apixo_contract._reporting._words import source_of
from apixo_contract._showing import show
from apixo_contract._visible import one_line

# Ways of differing that are shown of each group.
_MOST = 5
_LONGEST = 500


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Give a comparison as lines of plain text, what touches a rule first."""
    yield f"left:  {found.left.target} (cost at most ${found.left.spent_usd:.2f})"
    yield f"right: {found.right.target} (cost at most ${found.right.spent_usd:.2f})"
    for group in found.groups:
        yield ""
        yield from _group(group)
    yield ""
    aligned = found.aligned
    yield (
        f"{len(aligned.pairs)} calls made to both; {aligned.only_left} only to the left and "
        f"{aligned.only_right} only to the right are left out"
    )
    count = len(found.groups)
    topics = "1 topic" if count == 1 else f"{count} topics"
    yield f"They differ in {topics}." if count else "They answer alike."


def _group(group: Group) -> Iterator[str]:
    yield f"{group.check_id or 'beyond the contract'}: {one_line(group.title)}"
    if group.left is not None and group.right is not None:
        yield f"  {source_of(group.left)}"
        yield f"  left:  {_told(group.left)}"
        yield f"  right: {_told(group.right)}"
    told = ""
    for found in group.differences[:_MOST]:
        yield _difference(found)
        curl = show(found.example.left).curl
        if curl != told:
            yield f"    {one_line(curl, _LONGEST)}"
        told = curl
    rest = group.differences[_MOST:]
    if rest:
        yield f"  … and {len(rest)} more ways, {sum(d.count for d in rest)} answers"


def _told(result: CheckResult) -> str:
    known = "" if result.verdict is Verdict.SKIPPED else f"{result.verdict.value}, "
    return f"{known}{one_line(result.evidence)}"


def _difference(found: Difference) -> str:
    answers = "1 answer" if found.count == 1 else f"{found.count} answers"
    return f"  {found.facet}, {answers}: {one_line(found.left)} | {one_line(found.right)}"
