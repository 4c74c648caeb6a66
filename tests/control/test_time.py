"""Everything obeys the clock: states, results, callbacks, retries, rate limits."""

import pytest
from support.harness import START_MS, Clock, body, make_harness

from apixo_emulator.domain.accounts import AccountTerms, Rate
from apixo_emulator.domain.wire import HttpRequest
from apixo_emulator.service.callbacks import Reply
from apixo_emulator.storage import SqliteStore

HOOK = "http://127.0.0.1:9000/hook"


def callback_body() -> dict[str, object]:
    return {**body(), "request_type": "callback", "callback_url": HOOK}


def test_a_frozen_clock_stands_while_the_machine_runs_on() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted()
    harness.clock.advance(10_000)
    assert harness.status(task_id).data["state"] == "pending"
    assert harness.operator.advance(999)["frozen"] is True
    assert harness.status(task_id).data["state"] == "processing"
    harness.operator.advance(1)
    assert harness.status(task_id).data["completeTime"] == START_MS + 1000


def test_a_fast_clock_runs_as_much_faster() -> None:
    harness = make_harness(duration_ms=41_000, rate=100)
    task_id = harness.submitted()
    harness.clock.advance(409)
    assert harness.status(task_id).data["state"] == "processing"
    harness.clock.advance(1)
    assert harness.status(task_id).data["costTime"] == 41_000


def test_a_result_expires_after_24_hours_of_that_clock() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted()
    harness.operator.advance(1000)

    def result() -> int:
        path = f"/files/{task_id}.jpg"
        return harness.handle(HttpRequest("GET", path, b"", (), b"", harness.base_url)).status

    harness.operator.advance(24 * 3600 * 1000 - 1)
    assert result() == 200
    harness.operator.advance(1)
    assert result() == 404


def test_callbacks_and_their_retries_wait_for_the_clock() -> None:
    harness = make_harness(duration_ms=1000, rate=0)
    task_id = harness.submitted(callback_body())
    callbacks = harness.emulator.callbacks
    assert callbacks.claim(10) == []
    assert callbacks.until_next_ms() is None
    for delay_ms in (1000, 30_000, 120_000, 600_000):
        harness.operator.advance(delay_ms - 1)
        assert callbacks.claim(10) == []
        harness.operator.advance(1)
        (call,) = callbacks.claim(10)
        assert call.at_ms == harness.operator.now()
        assert callbacks.record([(call, Reply(5, status=500))]) == [True]
    found = harness.operator.delivery(task_id)
    assert found["state"] == "exhausted"
    times = [attempt["time"] - START_MS for attempt in found["attempts"]]
    assert times == [1000, 31_000, 151_000, 751_000]


def test_a_fast_clock_wakes_the_worker_sooner() -> None:
    harness = make_harness(duration_ms=10_000, rate=100)
    harness.submitted(callback_body())
    assert harness.emulator.callbacks.claim(10) == []
    assert harness.emulator.callbacks.until_next_ms() == 100


def test_a_rate_limit_refills_on_that_clock() -> None:
    terms = {"sk-limited": AccountTerms(rate=Rate(calls=1, per_s=10, burst=2))}
    harness = make_harness(rate=0, accounts=terms)
    answers = [harness.balance(key="sk-limited") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "10"
    harness.clock.advance(60_000)
    assert harness.balance(key="sk-limited").status == 429
    harness.operator.advance(10_000)
    assert harness.balance(key="sk-limited").status == 200
    assert harness.balance(key="sk-limited").status == 429


def test_the_clock_is_kept_with_the_data() -> None:
    store, clock = SqliteStore(None), Clock()
    first = make_harness(store=store, clock=clock)
    first.operator.set_clock(frozen=True)
    first.operator.advance(5000)
    second = make_harness(store=store, clock=clock)
    assert second.operator.clock() == {"now": START_MS + 5000, "rate": 0.0, "frozen": True}
    assert make_harness(store=store, clock=clock, rate=2).operator.clock()["rate"] == 2.0


def test_the_clock_goes_back_only_where_no_answer_can_change() -> None:
    harness = make_harness()
    assert harness.operator.set_clock(now=1000)["now"] == 1000
    harness.submitted()
    answers = harness.operator.set_clock(now=5000)
    assert answers["now"] == 5000
    with pytest.raises(ValueError, match="Reset first"):
        harness.operator.set_clock(now=1000)
    harness.operator.reset()
    assert harness.operator.set_clock(now=1000)["now"] == 1000
