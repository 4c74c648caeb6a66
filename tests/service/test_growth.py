"""What a call costs does not grow with the number of tasks and worlds; counted in steps, not in time."""

from collections.abc import Callable
from typing import Any

import pytest
from support.harness import KEY, Harness, body, make_harness

from apixo_emulator.domain.accounts import AccountTerms, account_of
from apixo_emulator.storage import SqliteStore, Transaction

FEW, MANY = 50, 500
CALLBACK = {**body(), "request_type": "callback", "callback_url": "http://127.0.0.1:9/hook"}
FAILING = body(image_urls=["https://example.com/emulate/SensitiveContent.jpg"])


def steps(store: SqliteStore, work: Callable[[], object]) -> int:
    """Count the steps of SQLite's machine, in tens, that a piece of work takes."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    store._writer.db.set_progress_handler(step, 10)
    try:
        work()
    finally:
        store._writer.db.set_progress_handler(None, 0)
    return taken


def submit_all(harness: Harness, count: int, payload: dict[str, Any]) -> None:
    for _ in range(count):
        harness.submitted(payload)


def in_transaction(store: SqliteStore, look: Callable[[Transaction], object]) -> None:
    with store.transaction() as tx:
        tx.load({account_of(KEY): 0})
        look(tx)


@pytest.mark.parametrize("payload", [body(), FAILING], ids=["success", "failed"])
def test_refunds_and_limits_cost_the_same_with_many_tasks(payload: dict[str, Any]) -> None:
    store = SqliteStore(None)
    harness = make_harness(store=store, accounts={KEY: AccountTerms(concurrency=1_000_000)})
    account = account_of(KEY)

    def cost(count: int) -> list[int]:
        submit_all(harness, count, payload)
        harness.clock.advance(60_000)
        now_ms = harness.clock.now_ms
        # What has failed since the last submit is given back, once.
        in_transaction(store, lambda tx: tx.failed_since(account, now_ms))
        submit_all(harness, 1, payload)

        def refunds() -> None:
            in_transaction(store, lambda tx: tx.failed_since(account, now_ms))

        def unfinished() -> None:
            in_transaction(store, lambda tx: tx.unfinished(account, now_ms))

        return [steps(store, refunds), steps(store, unfinished)]

    few, many = cost(FEW), cost(MANY)
    assert all(after <= before + 3 for before, after in zip(few, many, strict=True)), (few, many)


def test_a_callback_submit_costs_the_same_with_many_worlds() -> None:
    store = SqliteStore(None)
    harness = make_harness(store=store, per_key=True, duration_ms=3_600_000)
    callbacks = harness.emulator.callbacks

    def submit(number: int) -> None:
        harness.submitted(CALLBACK, key=f"sk-world-{number}")
        assert callbacks.claim(3) == []
        assert callbacks.until_next_ms() is not None

    def cost(worlds: int) -> int:
        for number in range(worlds):
            submit(number)
        return steps(store, lambda: submit(0))

    few, many = cost(5), cost(100)
    assert many <= few * 1.5, (few, many)


@pytest.mark.slow
def test_a_reset_and_what_follows_it_cost_the_same_with_many_tasks() -> None:
    store = SqliteStore(None)
    harness = make_harness(store=store, duration_ms=0)

    def cost(count: int) -> list[int]:
        submit_all(harness, count, CALLBACK)
        while harness.emulator.callbacks.claim(100):
            pass
        first = steps(store, harness.operator.reset)
        lots = []
        while True:
            more = False

            def clean() -> None:
                nonlocal more
                more = store.clean()

            lots.append(steps(store, clean))
            if not more:
                return [first, max(lots)]

    few, many = cost(1200), cost(2400)
    assert all(after <= before * 1.2 for before, after in zip(few, many, strict=True)), (few, many)


def test_the_state_of_many_tasks_is_counted_from_few() -> None:
    store = SqliteStore(None)
    harness = make_harness(store=store)

    def cost(count: int) -> int:
        submit_all(harness, count, body())
        harness.clock.advance(60_000)
        return steps(store, lambda: store.tasks_by_state("default", harness.clock.now_ms))

    few, many = cost(FEW), cost(MANY)
    assert many <= few + 3, (few, many)
    assert store.tasks_by_state("default", harness.clock.now_ms)["success"] == FEW + MANY
