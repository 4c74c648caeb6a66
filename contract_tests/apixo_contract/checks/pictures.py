"""Checks of results: they can be fetched, have the asked format, and grow with the tier."""

from __future__ import annotations

from urllib.parse import urlsplit

from apixo_contract.checks.check import (
    Evidence,
    Outcome,
    assumed,
    assumption,
    check,
    judged,
    outcome_for,
    page,
    skipped,
)
from apixo_contract.observations import Exchange, Picture
from apixo_contract.options import is_loopback
from apixo_contract.session import Session
from apixo_contract.text import clipped
from apixo_contract.view import BUSY, TaskView, View, result_urls
from apixo_schemas import contract

# One task of each format, whose results are read to their ends.
_WHOLE = frozenset({"example", "8k-webp", "2k-png"})
# Repeated tasks would show nothing new.
_NOT_FETCHED = frozenset({"repeat"})
# Missing on the target's own host is a broken promise; elsewhere a proxy may stand in between.
_GONE = frozenset({404, 410})
# A stub answers every task with one tiny picture; its size shows nothing of tiers.
_STAND_IN_PX = 256
_UNSEEN = "No result could be fetched."


def fetch_results(session: Session) -> None:
    """Fetch the head of each result, and one of each format as a whole, without the key."""
    for task in session.poller.tasks.values():
        if (
            task.final is not None
            and task.final.state == "success"
            and task.name not in _NOT_FETCHED
        ):
            for url in result_urls(task.final.task)[:1]:
                session.calls.result(url, task.id, whole=task.name in _WHOLE)


def _fetched(view: View) -> list[tuple[TaskView, Exchange, Picture]]:
    """Return the fetched pictures of all tasks."""
    return [
        (task, task.result, task.result.picture)
        for task in view.tasks.values()
        if task.result is not None and task.result.picture is not None
    ]


def _unseen(view: View) -> str:
    calls = [task.result for task in view.tasks.values() if task.result is not None]
    if not calls:
        return _UNSEEN if view.tasks else view.no_tasks
    why = calls[0].trouble or f"HTTP {calls[0].status} at {clipped(calls[0].url)}"
    return f"No result could be fetched: {why}"


@check("result.reachable", page("Poll for result"))
def reachable(view: View) -> Outcome:
    """The URL in `resultUrls` can be fetched without a key."""
    calls = [task.result for task in view.tasks.values() if task.result is not None]
    told = [call for call in calls if call.picture is not None or _is_gone(view, call)]

    def fault(call: Exchange) -> str | None:
        return None if call.picture else f"HTTP {call.status} at {call.url}"

    return judged(told, fault, "the picture", unseen=_unseen(view), what="results")


def _is_gone(view: View, call: Exchange) -> bool:
    if call.status is None or call.status in BUSY:
        return False
    if urlsplit(call.url).hostname == urlsplit(view.run.target).hostname:
        return True
    # A stub on this machine may link to a host of the documentation.
    return call.status in _GONE and not is_loopback(view.run.target)


@check("result.format", page("Parameters"))
def formats(view: View) -> Outcome:
    """The result has the format that the task names, and is not cut off."""
    named = set(contract().formats)
    seen = [
        (call, picture, task.submitted.asked["output_format"])
        for task, call, picture in _fetched(view)
        if task.submitted.asked.get("output_format") in named
    ]
    broken = (
        Evidence(call, f"a {wanted}", fault)
        for call, picture, wanted in seen
        if (fault := _fault(picture, wanted))
    )
    return outcome_for(len(seen), broken, unseen=_unseen(view), what="results")


def _fault(picture: Picture, wanted: str) -> str:
    if picture.format != wanted:
        return picture.format or "no picture"
    return f"a {wanted} that is cut off" if picture.is_whole is False else ""


@check("result.tier", page("Parameters"))
def tiers(view: View) -> Outcome:
    """A higher tier gives a larger picture of the same source."""
    sizes = contract().long_edge_px
    seen = [
        (sizes[task.submitted.asked["resolution"]], picture.long_edge, call, task)
        for task, call, picture in _fetched(view)
        if task.submitted.asked.get("resolution") in sizes and picture.long_edge
    ]
    if len({level for level, *_ in seen}) < 2:  # noqa: PLR2004 - a comparison takes two
        reason = "Results of one tier only were seen: give a higher --budget-usd."
        return skipped(reason if seen else _unseen(view))
    if max(size for _, size, *_ in seen) < _STAND_IN_PX:
        return skipped("The results are small stand-in pictures.")
    broken = []
    for level, size, call, task in seen:
        most = max((other for lower, other, *_ in seen if lower < level), default=0)
        if size <= most:
            tier = task.submitted.asked["resolution"]
            expected = f"more than {most} pixels, the long edge of a lower tier"
            broken.append(Evidence(call, expected, f"{size} pixels as {tier}"))
    return outcome_for(len(seen), broken, unseen="", what="results")


def _two(view: View, name: str, model: str) -> tuple[Exchange, Picture, Picture] | None:
    """Return the result of a planned task beside that of another."""
    by_name = {task.submitted.probe: (call, p) for task, call, p in _fetched(view)}
    if name not in by_name or model not in by_name:
        return None
    return (*by_name[name], by_name[model][1])


def same_as(view: View, name: str, model: str) -> Evidence | None:
    """Return evidence if the results of two tasks that ask for one tier differ in size."""
    found = _two(view, name, model)
    if found is None or found[1].long_edge in (0, found[2].long_edge):
        return None
    call, mine, other = found
    return Evidence(call, f"{other.long_edge} pixels, as in {model}", f"{mine.long_edge} pixels")


def format_of(view: View, name: str, model: str) -> Evidence | None:
    """Return evidence if the results of two tasks that ask for one format differ in format."""
    found = _two(view, name, model)
    if found is None or found[1].format == found[2].format:
        return None
    call, mine, other = found
    return Evidence(call, f"{other.format}, as in {model}", mine.format or "no picture")


@assumption("tiers.pixels")
def pixels(view: View) -> Outcome:
    """Judge the size in pixels of each tier."""
    wanted = contract().long_edge_px
    observed: dict[str, int] = {}
    calls: dict[str, Exchange] = {}
    for task, call, picture in _fetched(view):
        tier = str(task.submitted.asked.get("resolution"))
        if tier in wanted and picture.long_edge:
            observed.setdefault(tier, picture.long_edge)
            calls.setdefault(tier, call)
    if not observed:
        return skipped(_unseen(view))
    other = {tier: size for tier, size in observed.items() if size != wanted[tier]}
    words = ", ".join(f"{tier}: {size} pixels" for tier, size in sorted(observed.items()))
    evidence = [
        Evidence(calls[tier], f"{wanted[tier]} pixels as {tier}", f"{size} pixels")
        for tier, size in other.items()
    ]
    return assumed(words, *evidence, holds=not other, observed={**wanted, **observed})
