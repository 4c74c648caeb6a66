"""What every store promises about tasks, accounts and the seed, on every engine."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from apixo_emulator.storage import Charge, Entry, Order, Store
from storage.samples import ALICE, BOB, CAROL, CHARGE, accept, draft, with_delivery


def test_an_accepted_task_is_charged_and_kept_as_it_was(store: Store) -> None:
    entry = accept(store, ALICE, CHARGE, draft)
    assert entry == draft(1)
    assert entry is not None
    assert store.task(entry.task.id) == entry.task
    assert store.balance_micros(ALICE, 50_000) == 40_000
    assert store.balance_micros(BOB, 50_000) == 50_000


def test_what_one_process_keeps_another_reads(store: Store, other: Store) -> None:
    assert accept(store, ALICE, CHARGE, lambda n: with_delivery(n, due_ms=5)) is not None
    expected = with_delivery(1, due_ms=5)
    assert other.task(expected.task.id) == expected.task
    assert other.delivery(expected.task.id) == expected.delivery
    assert other.balance_micros(ALICE, 0) == 40_000
    assert accept(other, ALICE, CHARGE, draft) == draft(2)


def test_what_the_balance_does_not_cover_changes_nothing(store: Store) -> None:
    accepted = [accept(store, ALICE, CHARGE, draft) for _ in range(7)]
    assert accepted == [draft(number) for number in range(1, 6)] + [None, None]
    assert store.balance_micros(ALICE, 50_000) == 0


def test_an_account_that_can_never_pay_is_not_charged(store: Store) -> None:
    assert accept(store, BOB, CHARGE._replace(starting_micros=1), draft) is None
    assert store.balance_micros(BOB, 1) == 1


def test_a_draft_that_fails_leaves_nothing(store: Store) -> None:
    def broken(_number: int) -> Entry:
        raise RuntimeError("no draft")

    with pytest.raises(RuntimeError, match="no draft"):
        accept(store, ALICE, CHARGE, broken)
    assert store.balance_micros(ALICE, 50_000) == 50_000
    assert accept(store, ALICE, CHARGE, draft) == draft(1)


def test_an_account_of_an_odd_key_is_like_any_other(store: Store) -> None:
    made = accept(store, CAROL, CHARGE, lambda number: draft(number, account_id=CAROL.id))
    assert made is not None
    assert store.balance_micros(CAROL, 50_000) == 40_000


def test_parallel_submits_spend_exactly_what_there_is(store: Store, other: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        accepted = list(
            pool.map(lambda n: accept((store, other)[n % 2], ALICE, CHARGE, draft), range(40))
        )
    ids = [entry.task.id for entry in accepted if entry]
    assert len(ids) == len(set(ids)) == 5
    assert other.balance_micros(ALICE, 50_000) == 0


def test_a_task_is_settled_once(store: Store) -> None:
    entry = accept(store, ALICE, CHARGE, lambda number: draft(number, settled=False))
    assert entry is not None
    assert store.unsettled_tasks() == [entry.task]
    done = entry.task._replace(settled=True, ends_ms=9, fail_code="Timeout", fail_msg="late")
    store.settle(done, 9)
    store.settle(done._replace(ends_ms=99, fail_code=None), 99)
    assert store.task(done.id) == done
    assert store.unsettled_tasks() == []


def test_unsettled_tasks_come_in_the_order_of_their_submits(store: Store) -> None:
    for _ in range(3):
        accept(store, ALICE, CHARGE, lambda number: draft(number, settled=False))
    expected = [draft(number, settled=False).task for number in (1, 2, 3)]
    assert store.unsettled_tasks() == expected


@pytest.mark.parametrize("task_id", ["nope", "", "nul\0nul", "ünï", "'; --", "%s"])
def test_an_unknown_task_is_none(store: Store, task_id: str) -> None:
    assert store.task(task_id) is None
    assert store.delivery(task_id) is None
    assert store.attempts(task_id) == []
    assert store.redeliver(task_id, 100) is None


def test_the_seed_is_random_once_and_kept(store: Store, other: Store) -> None:
    first = store.seed(None)
    assert store.seed(None) == other.seed(None) == first
    assert store.seed(5) == 5
    assert store.seed(None) == other.seed(None) == 5


def test_processes_that_start_at_once_agree_on_the_seed(store: Store, other: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        seeds = set(pool.map(lambda n: (store, other)[n % 2].seed(None), range(16)))
    assert len(seeds) == 1


def test_submits_kept_together_are_charged_and_numbered_as_one_by_one(store: Store) -> None:
    rich = Charge(price_micros=10_000, starting_micros=10_000_000)
    orders = [
        Order(ALICE, CHARGE, draft),  # can pay for five
        Order(BOB, rich, lambda n: draft(n, account_id=BOB.id), b"one"),
        *[Order(ALICE, CHARGE, draft) for _ in range(6)],
        Order(BOB, rich, lambda n: draft(n + 50, account_id=BOB.id), b"other"),
        Order(BOB, rich, lambda n: draft(n, account_id=BOB.id), b"one"),
    ]
    entries = store.accept(orders)
    found = [entry and entry.task.id[8:] for entry in entries]
    assert found == ["1", "1", "2", "3", "4", "5", None, None, "51", "2"]
    assert store.balance_micros(ALICE, 0) == 0
    assert store.balance_micros(BOB, 0) == 10_000_000 - 30_000


def test_submits_kept_together_are_kept_all_or_not_at_all(store: Store) -> None:
    def broken(_number: int) -> Entry:
        raise RuntimeError("no draft")

    with pytest.raises(RuntimeError, match="no draft"):
        store.accept([Order(ALICE, CHARGE, draft), Order(BOB, CHARGE, broken)])
    assert store.balance_micros(ALICE, 50_000) == 50_000
    assert store.task(draft(1).task.id) is None


def test_what_failed_tasks_bring_back_can_be_spent(store: Store) -> None:
    def failing(number: int) -> Entry:
        task = draft(number).task._replace(ends_ms=50, fail_code="SensitiveContent")
        return Entry(task)

    for _ in range(5):
        assert accept(store, ALICE, CHARGE, failing) is not None
    assert accept(store, ALICE, CHARGE, draft) is None
    assert [store.failed_tasks(ALICE.id, now_ms) for now_ms in (49, 50)] == [0, 5]
    assert store.failed_tasks(BOB.id, 50) == 0
    refunded = CHARGE._replace(refunded_micros=10_000)
    assert accept(store, ALICE, refunded, lambda n: draft(n + 10)) is not None
    assert accept(store, ALICE, refunded, lambda n: draft(n + 10)) is None
