"""What every store promises about deliveries, on every engine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.domain.deliveries import Delivery, DeliveryState, Outcome
from apixo_emulator.storage import Claim, Entry, Store, StoreError
from storage.samples import (
    ALICE,
    DELIVERED,
    EXHAUSTED,
    accept,
    attempt_at,
    claim,
    claimed,
    keep,
    nth,
    recorded,
    redelivered,
    with_delivery,
)


def test_a_claimed_delivery_comes_with_its_task_and_counts_an_attempt(store: Store) -> None:
    kept = accept(store, lambda name, epoch: with_delivery(name, epoch, due_ms=5))
    assert kept is not None
    assert kept.delivery is not None
    expected = replace(kept.delivery, state=DeliveryState.DELIVERING, attempts=1)
    assert store.claim_deliveries(ONE_WORLD, 5, claim()) == [Entry(kept.task, expected)]
    assert store.delivery(kept.task.id) == expected


def test_the_longest_due_are_claimed_first_and_the_older_of_two(store: Store) -> None:
    late, early, second, future = (keep(store, due_ms) for due_ms in (30, 10, 30, 101))
    assert [found.task_id for found in claimed(store, limit=2)] == [early, late]
    assert [found.task_id for found in claimed(store, limit=2)] == [second]
    assert claimed(store) == []
    assert [found.task_id for found in claimed(store, now_ms=101)] == [future]


def test_receivers_that_are_busy_are_passed_over(store: Store) -> None:
    busy, odd = "http://busy:1", "http://ü\0"
    for origin in (busy, odd):
        keep(store, 10, origin)
    free = keep(store, 20)
    found = store.claim_deliveries(ONE_WORLD, 100, Claim("one", 60_000, 1, {busy, odd}))
    assert [entry.task.id for entry in found] == [free]
    assert [delivery.origin for delivery in claimed(store)] == [busy, odd]


def test_what_waits_for_its_task_is_not_claimed_until_that_is_settled(store: Store) -> None:
    task_id = keep(store, None)
    assert claimed(store) == []
    assert store.next_due_ms(ONE_WORLD, 0) is None
    task = store.task(task_id)
    assert task is not None
    for ends_ms in (70, 90):  # the second comes too late
        store.settle(task._replace(settled=True, ends_ms=ends_ms), ends_ms)
        assert store.next_due_ms(ONE_WORLD, 0) == 70
    assert [found.due_ms for found in claimed(store)] == [70]
    assert store.next_due_ms(ONE_WORLD, 0) is None


def test_a_claimed_delivery_is_nobody_elses_until_its_lease_ends(
    store: Store, other: Store
) -> None:
    task_id = keep(store, 10)
    assert [found.attempts for found in claimed(store, owner="one")] == [1]
    assert claimed(other, owner="two") == []
    assert claimed(store, owner="one") == []
    assert redelivered(other, task_id, 100) is None


def test_when_a_lease_has_ended_another_takes_over(store: Store, other: Store) -> None:
    keep(store, 10)
    (lost,) = claimed(store, owner="one", lease_ms=0)
    (taken,) = claimed(other, owner="two")
    assert (taken.attempts, taken.tries) == (2, 0)
    # Not even its owner records the earlier attempt.
    for owner in ("one", "two"):
        assert recorded(store, lost, DELIVERED, owner) is False
    assert store.attempts(lost.task_id) == []
    assert recorded(other, taken, DELIVERED, "two") is True
    assert store.attempts(lost.task_id) == [attempt_at(taken)]


@pytest.mark.parametrize(
    ("outcome", "again"),
    [(DELIVERED, []), (EXHAUSTED, []), (Outcome(DeliveryState.SCHEDULED, 90), [2])],
)
def test_what_follows_an_attempt_is_kept(store: Store, outcome: Outcome, again: list[int]) -> None:
    task_id = keep(store, 10)
    (found,) = claimed(store)
    recorded(store, found, outcome)
    after = replace(found, state=outcome.state, due_ms=outcome.due_ms, tries=1)
    assert store.delivery(task_id) == after
    assert [delivery.attempts for delivery in claimed(store)] == again


def test_attempts_are_given_in_their_order(store: Store) -> None:
    task_id = keep(store, 10)
    expected = []
    for status in (500, None, 200):
        (found,) = claimed(store)
        expected.append(attempt_at(found, status=status))
        again = Outcome(DeliveryState.SCHEDULED, 10) if status != 200 else DELIVERED
        assert recorded(store, found, again, status=status)
    assert store.attempts(task_id) == expected
    assert [attempt.number for attempt in expected] == [1, 2, 3]


@pytest.mark.parametrize("outcome", [DELIVERED, EXHAUSTED])
def test_redeliver_starts_over_and_forgets_nothing(store: Store, outcome: Outcome) -> None:
    task_id = keep(store, 10)
    (found,) = claimed(store)
    recorded(store, found, outcome)
    renewed = replace(found, state=DeliveryState.SCHEDULED, due_ms=55, attempts=1, tries=0)
    assert redelivered(store, task_id, 55) == renewed
    assert len(store.attempts(task_id)) == 1
    assert [delivery.attempts for delivery in claimed(store)] == [2]


def test_redeliver_waits_for_the_tasks_end(store: Store) -> None:
    unsettled, unfinished = keep(store, None), keep(store, 60)
    assert redelivered(store, unsettled, 59) is None
    assert redelivered(store, unfinished, 59) is None
    assert redelivered(store, unfinished, 60) is not None


def test_deliveries_are_paged_from_the_newest(store: Store) -> None:
    ids = [keep(store, 10) for _ in range(5)]

    def page(limit: int, offset: int = 0) -> list[str]:
        return [found.task_id for found in store.deliveries(ONE_WORLD, limit, offset)]

    assert page(2) == [ids[4], ids[3]]
    assert page(2, 2) == [ids[2], ids[1]]
    assert page(10, 4) == [ids[0]]
    assert page(10, 5) == []


def test_a_task_whose_delivery_cannot_be_kept_is_not_kept(store: Store) -> None:
    taken = keep(store, 10)

    def clashing(name: str, epoch: int) -> Entry:
        entry = with_delivery(name, epoch, due_ms=10)
        assert entry.delivery is not None
        return Entry(entry.task, replace(entry.delivery, task_id=taken))

    before = store.balance_micros(ALICE, 0)
    with pytest.raises(StoreError, match=r"(?i)unique"):
        accept(store, clashing)
    assert store.balance_micros(ALICE, 0) == before
    assert store.task(nth(2)) is None
    assert len(store.deliveries(ONE_WORLD, 10)) == 1


def test_claims_at_the_same_time_never_share_a_delivery(store: Store, other: Store) -> None:
    ids = {keep(store, 10) for _ in range(60)}
    together = Barrier(6)

    def worker(number: int) -> list[Delivery]:
        mine: list[Delivery] = []
        together.wait()
        while found := claimed((store, other)[number % 2], owner=str(number), limit=3):
            mine += found
        return mine

    with ThreadPoolExecutor(6) as pool:
        found = [delivery for mine in pool.map(worker, range(6)) for delivery in mine]
    # A claim that met only rows being claimed found none and stopped; what it left is still due.
    found += claimed(store, limit=100)
    assert sorted(delivery.task_id for delivery in found) == sorted(ids)
    assert {delivery.attempts for delivery in found} == {1}


def test_of_two_records_at_the_same_time_one_is_kept(store: Store, other: Store) -> None:
    keep(store, 10)
    (found,) = claimed(store)
    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(lambda one: recorded(one, found, DELIVERED), (store, other)))
    assert sorted(kept) == [False, True]
