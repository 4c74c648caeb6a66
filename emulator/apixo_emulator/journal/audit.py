"""What calls leave behind that would cost money or lose a result in production.

A judgement on values: the calls of a journal, and tasks and deliveries as the control API returns
them. It does not depend on where they come from.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apixo_emulator.domain.wire import WireFault
from apixo_emulator.journal.entry import JournalEntry
from apixo_schemas import retry_after_s

_FINAL = ("success", "failed")
# The caller does not see the response.
_UNSEEN = (WireFault.RESET, WireFault.TRUNCATED, WireFault.INVALID_JSON)
_OK = 200
_RESULT_SENT = (200, 206, 304)
_LONGEST_URL = 80


class FindingKind(StrEnum):
    """What is wrong."""

    PAID_TWICE = "paid-twice"
    NOT_FOLLOWED = "not-followed"
    NOT_DOWNLOADED = "not-downloaded"
    NOT_ACCEPTED = "callback-not-accepted"
    TOO_EARLY = "repeated-too-early"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that calls left behind; ``str`` is the sentence for people.

    ``tasks`` are the ids of the tasks, ``calls`` the numbers of the calls that it is about.
    """

    kind: FindingKind
    text: str
    tasks: tuple[str, ...] = ()
    calls: tuple[int, ...] = ()

    def __str__(self) -> str:
        return self.text


def audit(
    calls: Sequence[JournalEntry],
    tasks: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
) -> list[Finding]:
    """Return the findings.

    They are: the same picture paid twice while the first task had not failed, a task that was
    neither polled to its end nor called back, a result that was never downloaded, a callback that
    no receiver accepted, and a call repeated before its ``Retry-After`` had passed. A task that
    never ends is none.

    Args:
        calls: Of one world, the oldest first.
        tasks: The tasks of the same world, as the control API lists them.
        deliveries: Its callbacks with all attempts.
    """
    return [
        *_paid_twice(calls, {task["taskId"]: task for task in tasks}),
        *_not_followed(calls, tasks, deliveries),
        *_not_accepted(deliveries),
        *_too_early(calls),
    ]


def _paid_twice(
    calls: Iterable[JournalEntry], tasks: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    paid: defaultdict[tuple[Any, ...], list[JournalEntry]] = defaultdict(list)
    for call in calls:
        task = tasks.get(call.task_id or "")
        if call.endpoint == "submit" and task is not None and task["state"] != "failed":
            picture = (call.key, task["resolution"], task["outputFormat"], *_source(call))
            paid[picture].append(call)
    for same in paid.values():
        if len(same) > 1:
            task = tasks[same[0].task_id or ""]
            ids = tuple(call.task_id or "" for call in same)
            numbers = tuple(call.number for call in same)
            shown = f"{_short(task['imageUrl'])} in {task['resolution']} {task['outputFormat']}"
            text = f"{shown} was paid {len(same)} times: {', '.join(ids)}"
            yield Finding(FindingKind.PAID_TWICE, text, ids, numbers)


def _source(call: JournalEntry) -> tuple[Any, ...]:
    """Return what identifies the source of a submit; of a long body the journal has both ends."""
    if not call.request_cut:
        try:
            return tuple(json.loads(call.request_body)["input"]["image_urls"])
        except (ValueError, LookupError, TypeError):
            pass
    return (call.request_bytes, call.request_body)


def _not_followed(
    calls: Sequence[JournalEntry],
    tasks: Iterable[Mapping[str, Any]],
    deliveries: Iterable[Mapping[str, Any]],
) -> Iterator[Finding]:
    known = {call.task_id for call in calls if _tells_the_end(call)}
    known |= {delivery["taskId"] for delivery in deliveries if _is_accepted(delivery)}
    fetched = {
        call.task_id
        for call in calls
        if call.endpoint == "file" and call.method == "GET" and call.status in _RESULT_SENT
    }
    for task in tasks:
        task_id, url = str(task["taskId"]), _short(task["imageUrl"])
        if task["endTime"] is None:
            continue
        if task_id not in known:
            text = f"task {task_id} ({url}) was neither polled to its end nor called back"
            yield Finding(FindingKind.NOT_FOLLOWED, text, (task_id,))
        elif task["state"] == "success" and task_id not in fetched:
            text = f"the result of task {task_id} ({url}) was never downloaded"
            yield Finding(FindingKind.NOT_DOWNLOADED, text, (task_id,))


def _tells_the_end(call: JournalEntry) -> bool:
    if call.endpoint != "status" or call.status != _OK or call.fault in _UNSEEN:
        return False
    try:
        return json.loads(call.response_body)["data"]["state"] in _FINAL
    except (ValueError, LookupError, TypeError):
        return False


def _is_accepted(delivery: Mapping[str, Any]) -> bool:
    return any(attempt["error"] is None for attempt in delivery["attempts"])


def _not_accepted(deliveries: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    for delivery in deliveries:
        if delivery["attempts"] and not _is_accepted(delivery):
            task_id, last = delivery["taskId"], delivery["attempts"][-1]["error"]
            text = f"no receiver accepted the callback of task {task_id}: {last}"
            yield Finding(FindingKind.NOT_ACCEPTED, text, (task_id,))


def _too_early(calls: Iterable[JournalEntry]) -> Iterator[Finding]:
    # By what is called with which key and body: the number of the call, and until when to wait.
    waits: dict[tuple[Any, ...], tuple[int, int]] = {}
    for call in calls:
        same = (call.key, call.method, call.path, call.query, call.request_body)
        number, until_ms = waits.pop(same, (0, 0))
        if call.at_ms < until_ms:
            text = (
                f"call {call.number} ({call.method} {call.path}) repeats call {number} too early,"
                f" {(until_ms - call.at_ms) / 1000:g} s before its Retry-After has passed"
            )
            ids = (call.task_id,) if call.task_id else ()
            yield Finding(FindingKind.TOO_EARLY, text, ids, (number, call.number))
        asked = next((value for name, value in call.response_headers if name == "retry-after"), "")
        wait_s = retry_after_s(asked, call.at_ms / 1000)
        if wait_s is not None:
            waits[same] = (call.number, call.at_ms + round(wait_s * 1000))


def _short(url: str) -> str:
    return url if len(url) <= _LONGEST_URL else f"{url[:_LONGEST_URL]}…"
