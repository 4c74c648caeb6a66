"""What the assumptions about tasks and their results turned out to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median

from apixo_contract._catalogue import assumption_check_id
from apixo_contract._judges._outcome import Outcome, Sighting, answer_of, assumed, shown, skipped
from apixo_contract._judges.money import price_usd, windows
from apixo_contract._judges.times import is_fast
from apixo_contract._observations import Exchange
from apixo_contract._view import TaskView, View, is_integer
from apixo_schemas import contract

_HEX32 = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ROUNDING_MS = 2
# Times the elapsed time.
_MOST = 100
# Polls lie apart, so a share is not measured finely.
_PENDING_LEEWAY = 2.5
_OK = 200


def tasks(view: View) -> Iterator[Outcome]:
    """Judge the assumptions about tasks and their results."""
    yield _not_a_url(view)
    yield _failure_wording(view)
    yield _failed_charged(view)
    yield _pixels(view)
    yield _id_form(view)
    yield _pending_share(view)
    yield _cost_time(view)
    yield _retry_delay(view)


def _not_a_url(view: View) -> Outcome:
    check_id = assumption_check_id("image_url.not_a_url")
    found = view.planned.get("not-a-url")
    if found is None:
        return skipped(check_id, view.note("budget", "no such task was submitted"))
    wanted = contract().assumed("image_url.not_a_url")
    if not found.exchange.accepted:
        sighting = Sighting(found.exchange, "accepted", answer_of(found.exchange))
        return assumed(
            check_id, answer_of(found.exchange), sighting, holds=False, observed="rejected"
        )
    task = view.tasks.get(found.exchange.submitted_id or "")
    if task is None or task.final is None:
        return skipped(check_id, "the task has not ended")
    observed = task.final.task.get("failCode") if task.failed else "success"
    sighting = Sighting(task.final, str(wanted), shown(observed))
    return assumed(
        check_id,
        f"accepted, then {observed}",
        sighting,
        holds=observed == wanted,
        observed=observed,
    )


def _failed(view: View) -> list[tuple[TaskView, Exchange]]:
    return [(t, t.final) for t in view.tasks.values() if t.failed and t.final is not None]


def _failure_wording(view: View) -> Outcome:
    check_id = assumption_check_id("failure.wording")
    known = contract().failures
    codes = [(poll.task.get("failCode"), poll) for _task, poll in _failed(view)]
    told = {code: poll for code, poll in codes if isinstance(code, str) and code in known}
    if not told:
        return skipped(check_id, "no task failed with a documented code")
    other = {
        code: poll for code, poll in told.items() if poll.task.get("failMsg") != known[code].message
    }
    if not other:
        return assumed(check_id, f"as assumed: {', '.join(told)}", holds=True)
    observed = {code: poll.task.get("failMsg") for code, poll in other.items()}
    words = "; ".join(f"{code}: {shown(said)}" for code, said in observed.items())
    sightings = [
        Sighting(poll, known[code].message, shown(poll.task.get("failMsg")))
        for code, poll in other.items()
    ]
    return assumed(check_id, words, *sightings, holds=False, observed=observed)


def _failed_charged(view: View) -> Outcome:
    """Compare what the run cost with the number of tasks, failed ones among them."""
    check_id = assumption_check_id("failed.charged")
    failed = len(_failed(view))
    found = windows(view)
    accepted = sum(len(window.accepted) for window in found)
    if not failed or not found or not accepted:
        return skipped(check_id, "no task failed" if found else "the balance could not be read")
    first, last = found[0].before, found[-1].after
    fall = (first.balance or 0) - (last.balance or 0)
    charged = round(fall / price_usd())
    words = f"{accepted} tasks, {failed} of them failed, cost ${fall:.2f}"
    if charged not in {accepted, accepted - failed}:
        return skipped(check_id, f"{words}: this fits neither")
    same = charged == accepted
    sighting = Sighting(last, f"${accepted * price_usd():.2f}", f"${fall:.2f}")
    return assumed(
        check_id, words, sighting, holds=same, observed="charged" if same else "refunded"
    )


def _pixels(view: View) -> Outcome:
    check_id = assumption_check_id("tiers.pixels")
    wanted = contract().long_edge_px
    observed: dict[str, int] = {}
    calls: dict[str, Exchange] = {}
    for task in view.tasks.values():
        picture = task.result.picture if task.result is not None else None
        if picture is None or not picture.long_edge:
            continue
        tier = task.submitted.value("resolution")
        if task.result is not None:
            observed.setdefault(tier, picture.long_edge)
            calls.setdefault(tier, task.result)
    if not observed:
        return skipped(check_id, view.note("results", "no result could be fetched"))
    other = {tier: size for tier, size in observed.items() if size != wanted.get(tier)}
    words = ", ".join(f"{tier}: {size}" for tier, size in sorted(observed.items()))
    sightings = [
        Sighting(calls[tier], f"{wanted.get(tier)} pixels", f"{size} pixels")
        for tier, size in other.items()
    ]
    return assumed(check_id, words, *sightings, holds=not other, observed={**wanted, **observed})


def _id_form(view: View) -> Outcome:
    check_id = assumption_check_id("task_id.form")
    if not view.tasks:
        return skipped(check_id, view.no_tasks)
    other = [task for task in view.tasks.values() if not _HEX32.fullmatch(task.id)]
    first = other[0] if other else next(iter(view.tasks.values()))
    sighting = Sighting(first.submitted.exchange, "32 hex digits", shown(first.id))
    return assumed(check_id, shown(first.id), sighting, holds=not other, observed=_form(first.id))


def _form(task_id: str) -> str:
    if _HEX32.fullmatch(task_id):
        return "hex32"
    if _UUID.fullmatch(task_id):
        return "uuid"
    return "task_" if task_id.startswith("task_") else "other"


def _pending_share(view: View) -> Outcome:
    """See whether tasks begin as `pending`; how long exactly takes more polls than a run makes."""
    check_id = assumption_check_id("pending.share")
    first = [task.shown[0] for task in view.tasks.values() if task.shown]
    pending = [poll for poll in first if poll.state == "pending"]
    if not pending:
        return skipped(
            check_id, "no task was seen pending: polled too late, or there is no such state"
        )
    longest = max((_pending_until(task) for task in view.tasks.values() if task.shown), default=0.0)
    wanted = float(contract().assumed("pending.share"))
    same = longest <= _PENDING_LEEWAY * wanted
    words = f"seen pending for up to {longest:.0%} of a task's duration"
    return assumed(
        check_id,
        words,
        Sighting(pending[-1], f"{wanted:.0%}", words),
        holds=same,
        observed=round(longest, 2),
    )


def _pending_until(task: TaskView) -> float:
    """Give the share of its duration after which a task was last seen pending."""
    seen = [poll for poll in task.shown if poll.state == "pending"]
    if not seen or task.final is None:
        return 0.0
    start = task.submitted.exchange.received_ms
    return (seen[-1].sent_ms - start) / max(1, task.final.received_ms - start)


def _cost_time(view: View) -> Outcome:
    check_id = assumption_check_id("cost_time")
    pairs = []
    for task in view.tasks.values():
        final = task.final.task if task.final is not None else {}
        cost, made, done = (final.get(n) for n in ("costTime", "createTime", "completeTime"))
        if task.final is None or not (is_integer(cost) and is_integer(made) and is_integer(done)):
            continue
        if done > made:
            pairs.append((task.final, cost, done - made))
    if not pairs:
        return skipped(check_id, "no answer had a `costTime`")
    other = [pair for pair in pairs if abs(pair[1] - pair[2]) > _ROUNDING_MS]
    if not other:
        return assumed(
            check_id, f"so it is in {len(pairs)} tasks", holds=True, observed="complete-create"
        )
    # A rule judges what is out of all proportion; here it must only be a number that a float holds.
    share = median(min(max(cost, 0), _MOST * took) / took for _call, cost, took in other)
    words = f"`costTime` is about {share:.0%} of completeTime - createTime"
    call, cost, elapsed = other[0]
    sighting = Sighting(call, f"{elapsed} ms", f"{cost} ms")
    return assumed(check_id, words, sighting, holds=False, observed=round(share, 2))


def _retry_delay(view: View) -> Outcome:
    """Only the second and third delay are assumed; a run waits for the first at most."""
    check_id = assumption_check_id("callback.retry_delays")
    refused = [t for t in view.tasks.values() if t.callbacks and t.callbacks[0].answered != 200]  # noqa: PLR2004 - HTTP
    third = [task for task in refused if len(task.callbacks) > 2]  # noqa: PLR2004 - the second retry
    if not third or is_fast(view):
        return skipped(
            check_id, "the second retry comes after minutes; a run does not wait so long"
        )
    delay = third[0].callbacks[2].received_ms - third[0].callbacks[1].received_ms
    wanted = contract().callbacks.retry_delays_ms[1]
    same = abs(delay - wanted) < wanted * 0.25
    sighting = Sighting(third[0].callbacks[2], f"{wanted} ms", f"{delay} ms")
    return assumed(
        check_id, f"the second retry came after {delay} ms", sighting, holds=same, observed=delay
    )
