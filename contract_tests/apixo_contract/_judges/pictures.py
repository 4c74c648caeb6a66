"""Judges of the results: that they can be fetched, their format, and their size by tier."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from apixo_contract._judges._outcome import Outcome, Sighting, ruled, shown, skipped
from apixo_contract._observations import Exchange, Picture
from apixo_contract._settings import is_loopback
from apixo_contract._view import Submitted, TaskView, View
from apixo_schemas import contract

# Missing on the target's own host is a broken promise; elsewhere a proxy may stand in between.
_GONE = frozenset({404, 410})
_BUSY = frozenset({429, 503})
# A stub hands out one tiny picture for everything; it says nothing of tiers.
_STAND_IN_PX = 256
_UNSEEN = "no result could be fetched"


def results(view: View) -> Iterator[Outcome]:
    """Judge `result.*`, and the defaults and aliases that only a result shows."""
    fetched = [task for task in view.tasks.values() if task.result is not None]
    yield _reachable(view, fetched)
    seen = [(task, p) for task in fetched if (p := _picture(task))]
    yield _format(seen, view)
    yield _tier(seen, view)


def _picture(task: TaskView) -> Picture | None:
    return task.result.picture if task.result is not None else None


def _reachable(view: View, fetched: list[TaskView]) -> Outcome:
    calls = [task.result for task in fetched if task.result is not None]
    told = [call for call in calls if call.picture is not None or _is_gone(view, call)]
    gone = [
        Sighting(call, "the picture", f"HTTP {call.status} at {call.url}")
        for call in told
        if call.picture is None
    ]
    unseen = f"{_UNSEEN}: {_why(calls[0])}" if calls else view.note("results", _UNSEEN)
    return ruled("result.reachable", len(told), gone, unseen=unseen, what="results")


def _is_gone(view: View, call: Exchange) -> bool:
    if call.status is None or call.status in _BUSY:
        return False
    if urlsplit(call.url).hostname == urlsplit(view.run.target).hostname:
        return True
    # A stub on this machine may link to a host of the documentation.
    return call.status in _GONE and not is_loopback(view.run.target)


def _why(call: Exchange) -> str:
    return call.trouble or f"HTTP {call.status} at {shown(call.url)}"


def _format(seen: list[tuple[TaskView, Picture]], view: View) -> Outcome:
    wrong = [
        fault
        for task, picture in seen
        if "output_format" in task.submitted.asked and (fault := format_fault(task, picture))
    ]
    unseen = _unseen(view)
    return ruled("result.format", len(seen), wrong, unseen=unseen, what="results")


def _unseen(view: View) -> str:
    return view.note("results", _UNSEEN if view.tasks else view.no_tasks)


def format_fault(task: TaskView, picture: Picture) -> Sighting | None:
    """Say where a result is not of the format that its task asked for."""
    wanted = task.submitted.value("output_format")
    if picture.format == wanted or task.result is None:
        return None
    return Sighting(task.result, f"a {wanted}", f"{picture.format or 'no picture'}")


def _tier(seen: list[tuple[TaskView, Picture]], view: View) -> Outcome:
    sized = [(task, picture) for task, picture in seen if picture.long_edge]
    if len({_level(task.submitted) for task, _ in sized}) < 2:  # noqa: PLR2004 - a comparison takes two
        return skipped("result.tier", _unseen(view) if not sized else "one tier only was seen")
    if max(picture.long_edge for _, picture in sized) < _STAND_IN_PX:
        return skipped("result.tier", "the results are small stand-in pictures")
    wrong = []
    for task, picture in sized:
        lower = [p for t, p in sized if _level(t.submitted) < _level(task.submitted)]
        most = max((p.long_edge for p in lower), default=0)
        if task.result is not None and picture.long_edge <= most:
            tier = task.submitted.value("resolution")
            expected = f"more than {most} pixels, as lower tiers have"
            wrong.append(Sighting(task.result, expected, f"{picture.long_edge} pixels as {tier}"))
    return ruled("result.tier", len(sized), wrong, unseen="", what="results")


def _level(submitted: Submitted) -> int:
    return contract().long_edge_px.get(str(submitted.value("resolution")), 0)


def same_size(view: View, task: TaskView, *, as_names: tuple[str, ...]) -> Sighting | None:
    """Compare a result's size with that of another planned task of the same tier."""
    others = (other for other in view.tasks.values() if other.name in as_names)
    model = next((found for other in others if (found := _picture(other)) is not None), None)
    mine = _picture(task)
    if model is None or mine is None or task.result is None or not mine.long_edge:
        return None
    if mine.long_edge == model.long_edge:
        return None
    tier = task.submitted.value("resolution")
    expected = f"{model.long_edge} pixels, as {tier} written out"
    return Sighting(task.result, expected, f"{mine.long_edge} pixels")
