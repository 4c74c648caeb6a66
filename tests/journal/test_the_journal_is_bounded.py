"""The journal keeps the last calls, bounded in number and bytes, and gives them by number."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.harness import BALANCE, KEY, STATUS, SUBMIT, body, make_harness

from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.filters import CallFilter
from apixo_emulator.journal.journal import BODY_LIMIT, Journal, JournalBudget

DONE = HttpResponse(200, b"{}")


def call(raw: bytes = b"", **facts: Any) -> Any:
    """A call as the gate hands it over."""
    headers = ((b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json"))
    request = HttpRequest("POST", SUBMIT, b"", headers, raw, "http://127.0.0.1:8787")
    known = {
        "request": request,
        "world_id": "default",
        "at_ms": 5,
        "key": KEY,
        "endpoint": "submit",
        "task_id": None,
        "broken_rule": None,
        "scenario": None,
        "rule": None,
        "why_not": (),
        "fault": None,
        "decision": "accepted",
    }
    return SimpleNamespace(**{**known, **facts})


@given(
    capacity=st.integers(1, 20),
    max_bytes=st.integers(2000, 60_000),
    sizes=st.lists(st.integers(0, 9000), max_size=60),
    after=st.integers(0, 70),
    limit=st.none() | st.integers(0, 70),
)
def test_it_holds_the_newest_calls_within_its_bounds(
    capacity: int, max_bytes: int, sizes: list[int], after: int, limit: int | None
) -> None:
    budget = JournalBudget(max_bytes)
    journal = Journal(capacity, budget)
    for number, size in enumerate(sizes, start=1):
        assert journal.append(call(b"x" * size), DONE, number) == number
    entries = journal.entries()
    numbers = [entry.number for entry in entries]
    assert numbers == list(range(len(sizes) - len(numbers) + 1, len(sizes) + 1))
    assert [entry.duration_us for entry in entries] == numbers
    assert [entry.request_bytes for entry in entries] == sizes[len(sizes) - len(numbers) :]
    assert len(entries) <= capacity
    assert budget.bytes <= max_bytes or len(entries) == 1
    assert bool(entries) == bool(sizes)
    assert journal.last == len(sizes)
    page = [entry.number for entry in journal.entries(after=after, limit=limit)]
    assert page == [number for number in numbers if number > after][:limit]


def test_a_filter_picks_before_the_limit_counts() -> None:
    journal = Journal()
    for endpoint in ("submit", "status", "submit", "status", "status"):
        journal.append(call(endpoint=endpoint), DONE, 1)
    picked = journal.entries(after=2, limit=2, where=CallFilter(call="status").matches)
    assert [entry.number for entry in picked] == [4, 5]


def test_cleared_it_begins_at_one_again() -> None:
    journal = Journal()
    journal.append(call(b"first"), DONE, 1)
    journal.clear()
    assert (journal.entries(), journal.last) == ([], 0)
    assert journal.append(call(b"second"), DONE, 1) == 1
    assert journal.entries()[0].request_body == b"second"


@given(
    max_bytes=st.integers(2000, 60_000),
    calls=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9000)), max_size=60),
    cleared=st.integers(0, 60),
)
def test_worlds_share_one_budget_and_the_oldest_calls_of_all_go_first(
    max_bytes: int, calls: list[tuple[int, int]], cleared: int
) -> None:
    budget = JournalBudget(max_bytes)
    journals = [Journal(budget=budget) for _ in range(3)]
    for number, (world, size) in enumerate(calls):
        if number == cleared:
            journals[0].clear()
        journals[world].append(call(b"x" * size), DONE, number)
    kept = sorted(entry.duration_us for journal in journals for entry in journal.entries())
    left = [
        n for n, (world, _) in enumerate(calls) if world or n >= cleared or cleared >= len(calls)
    ]
    assert kept == left[len(left) - len(kept) :]
    assert budget.bytes <= max_bytes or len(kept) == 1
    assert bool(kept) == bool(left)


def test_many_threads_write_and_read_at_once() -> None:
    journal = Journal(capacity=300)
    seen: list[list[int]] = []

    def write() -> None:
        for _ in range(200):
            journal.append(call(), DONE, 1)

    def read() -> None:
        while journal.last < 800:
            seen.append([entry.number for entry in journal.entries(limit=50)])

    threads = [threading.Thread(target=write) for _ in range(4)] + [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.number for entry in journal.entries()] == list(range(501, 801))
    for numbers in filter(None, seen):
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("filling", ["A", "é", "\\", "\U0001f680"])
@pytest.mark.parametrize("behind", [0, 1, 5])
def test_of_a_long_body_both_ends_are_kept_and_it_is_json_still(
    filling: str, behind: int, *, ascii_only: bool
) -> None:
    long = filling * 90_000 + "s" * behind
    asked = body(image_urls=[f"data:{'s' * behind}{long}"], resolution="8k")
    handed = call(json.dumps(asked, ensure_ascii=ascii_only).encode())
    size = len(handed.request.body)
    journal = Journal()
    journal.append(handed, DONE, 1)
    [entry] = journal.entries()
    assert entry.request_bytes == size
    assert BODY_LIMIT - 40 <= len(entry.request_body) <= BODY_LIMIT + 3
    kept = json.loads(entry.request_body)
    assert kept["input"]["resolution"] == "8k"
    assert kept["input"]["image_urls"][0].startswith("data:")
    assert "…" in kept["input"]["image_urls"][0]
    assert handed.request.body == b""


def test_long_answers_are_cut_too_and_say_how_long_they_were() -> None:
    journal = Journal()
    journal.append(call(), HttpResponse(200, b"\xff" * 500_000), 1)
    [entry] = journal.entries()
    assert entry.response_bytes == 500_000
    assert len(entry.response_body) < BODY_LIMIT + 10


def test_known_keys_are_hidden_in_calls_of_others() -> None:
    journal = Journal(known_keys=["correct-horse-battery"])
    journal.append(call(b"it is correct-horse-battery"), DONE, 1)
    journal.append(call(b"x" * 49_140 + b"correct-horse-battery" + b"x" * 200_000), DONE, 1)
    assert all(b"horse" not in entry.request_body for entry in journal.entries())


def test_every_call_is_written_down_with_what_decided_it() -> None:
    harness = make_harness()
    harness.operator.add_scenario({"scenario": "http-503", "match": {"resolution": "8k"}})
    task_id = harness.submitted()
    harness.status(task_id)
    harness.submit({"input": {}})
    harness.submit(body(resolution="8k"))
    harness.call("GET", "/nowhere")
    harness.call("GET", BALANCE, key=None)
    facts = [
        (
            entry.number,
            entry.endpoint,
            entry.status,
            entry.task_id,
            entry.broken_rule,
            entry.scenario,
        )
        for entry in harness.operator.requests()
    ]
    assert facts == [
        (1, "submit", 200, task_id, None, None),
        (2, "status", 200, task_id, None, None),
        (3, "submit", 400, None, "image_urls.missing", None),
        (4, "submit", 503, None, None, "http-503"),
        (5, "", 404, None, None, None),
        (6, "balance", 401, None, None, None),
    ]
    first, polled, *_ = harness.operator.requests()
    assert [rule for rule, _ in first.why_not] == [harness.operator.scenarios()[0]["id"]]
    assert (polled.path, polled.query) == (STATUS, f"taskId={task_id}")
    assert polled.url == f"http://127.0.0.1:8787{STATUS}?taskId={task_id}"
    assert polled.at_ms == harness.clock.now_ms


@settings(max_examples=25)
@given(st.binary(max_size=30), st.integers(0, 100_000), st.text(max_size=9))
def test_an_entry_is_read_back_from_its_text(raw: bytes, filling: int, decision: str) -> None:
    journal = Journal()
    reasons = (("file-1", "resolution is 4k, wants 8k"),)
    facts = {"decision": decision, "why_not": reasons, "task_id": "t", "fault": "reset"}
    journal.append(call(raw + b"x" * filling, **facts), HttpResponse(200, raw), 7)
    [entry] = journal.entries()
    assert entry.request_cut == (len(entry.request_body) < len(raw) + filling)
    assert JournalEntry.from_text(entry.to_text(), 9) == replace(entry, number=9)
