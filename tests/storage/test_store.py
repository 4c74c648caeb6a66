"""What every store promises about tasks, accounts, worlds and rules, on every engine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from apixo_emulator.domain.accounts import ONE_WORLD, Account, Rate, account_of
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.storage import Entry, Store, TaskQuery, WorldRow
from storage.samples import (
    ALICE,
    BOB,
    CAROL,
    CONTENT,
    DELIVERED,
    EXHAUSTED,
    PRICE,
    SEED,
    STARTING,
    accept,
    claimed,
    draft,
    epoch,
    nth,
    recorded,
    with_delivery,
)

RICH = 100_000_000
QUICK = Rate(calls=5, per_s=1000, burst=5)


def same(row: WorldRow) -> WorldRow:
    return row


@pytest.mark.parametrize("account", [ALICE, CAROL], ids=["plain key", "odd key"])
def test_an_accepted_task_is_charged_and_kept_as_it_was_for_all_processes(
    account: Account, store: Store, other: Store
) -> None:
    entry = accept(store, lambda name, epoch: draft(name, epoch, account=account), account=account)
    assert entry is not None
    assert entry.task.id == nth(1, account=account)
    for one in (store, other):
        assert one.task(entry.task.id) == entry.task
        assert one.balance_micros(account, STARTING) == STARTING - PRICE
        assert one.balance_micros(BOB, STARTING) == STARTING


def test_a_look_shows_what_another_process_has_changed(store: Store, other: Store) -> None:
    entry = accept(store, lambda name, epoch: draft(name, epoch, settled=False))
    assert entry is not None
    light = entry.task._replace(image_url="")
    for one in (store, other):
        assert one.look(ONE_WORLD, entry.task.id)[1] == light
    store.settle(light._replace(settled=True, ends_ms=9), None)
    for one in (store, other):
        assert one.look(ONE_WORLD, entry.task.id)[1] == light._replace(settled=True, ends_ms=9)
    other.change_world(ONE_WORLD, lambda row: replace(row, clock=ClockState(1, 2, 0.0)))
    for one in (store, other):
        world = one.look(ONE_WORLD)[0]
        assert world is not None
        assert world.clock == ClockState(1, 2, 0.0)
    other.reset_world(ONE_WORLD, same, [])
    for one in (store, other):
        assert one.look(ONE_WORLD, entry.task.id)[1] is None


def test_what_the_balance_does_not_cover_changes_nothing(store: Store) -> None:
    accepted = [entry and entry.task.id for entry in (accept(store) for _ in range(7))]
    assert accepted == [*map(nth, range(1, 6)), None, None]
    assert store.balance_micros(ALICE, STARTING) == 0


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def broken(name: str, _epoch: int) -> Entry:
        raise RuntimeError(f"no draft of {name}")

    with pytest.raises(RuntimeError, match="no draft"):
        accept(store, broken)
    assert store.balance_micros(ALICE, STARTING) == STARTING
    entry = accept(store)
    assert entry is not None
    assert entry.task.id == nth(1)


def test_parallel_submits_spend_exactly_what_there_is(store: Store, other: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(lambda n: accept((store, other)[n % 2]), range(40)))
    ids = [entry.task.id for entry in accepted if entry]
    assert sorted(ids) == sorted(map(nth, range(1, 6)))
    assert other.balance_micros(ALICE, STARTING) == 0


def test_parallel_batches_of_many_accounts_charge_each_for_its_own(
    store: Store, other: Store
) -> None:
    accounts = [account_of(f"sk-{number}-0123456789") for number in range(12)]

    def batch(number: int) -> None:
        mine = [accounts[(number * 5 + step * 7) % 12] for step in range(8)]  # in any order
        with (store, other)[number % 2].transaction() as tx:
            tx.load(dict.fromkeys(mine, RICH), [(account, CONTENT) for account in mine])
            for account in mine:
                assert tx.account(account).charge(PRICE)
                name = tx.next_task_id(account, CONTENT)
                tx.add(draft(name, tx.world(ONE_WORLD).epoch, account=account).task, None)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(batch, range(24)))
    for account in accounts:
        charged = (RICH - store.balance_micros(account, RICH)) // PRICE
        assert charged == 24 * 8 / 12
        kept = [store.task(nth(number, account=account)) for number in range(1, charged + 2)]
        assert [task and task.account_id for task in kept] == [*[account.id] * charged, None]


def test_parallel_calls_take_exactly_the_tokens_that_there_are(store: Store, other: Store) -> None:
    def call(number: int) -> int | None:
        with (store, other)[number % 2].transaction() as tx:
            tx.load({ALICE: STARTING})
            return tx.account(ALICE).take_token(QUICK, 1000)

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(call, range(40)))
    assert waits.count(None) == 5


def test_parallel_submits_start_exactly_as_many_tasks_as_may_be_unfinished(
    store: Store, other: Store
) -> None:
    def submit(number: int) -> bool:
        with (store, other)[number % 2].transaction() as tx:
            tx.load({ALICE: RICH}, [(ALICE, b"%d" % number)])
            if tx.unfinished(ALICE, 1000) >= 2:
                return False
            name = tx.next_task_id(ALICE, b"%d" % number)
            entry = draft(name, tx.world(ONE_WORLD).epoch)
            tx.add(entry.task._replace(limited=True), None)
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit, range(20))) == 2


def test_tasks_of_one_transaction_are_counted_too(store: Store) -> None:
    with store.transaction() as tx:
        tx.load({ALICE: RICH}, [(ALICE, b"")])
        counts = []
        for ends_ms in (None, 2000, 1000):
            counts.append(tx.unfinished(ALICE, 1000))
            entry = draft(tx.next_task_id(ALICE, b""), tx.world(ONE_WORLD).epoch)
            tx.add(entry.task._replace(limited=True, ends_ms=ends_ms), None)
        counts.append(tx.unfinished(ALICE, 1000))
    assert counts == [0, 1, 2, 2]


def test_a_task_is_settled_once(store: Store) -> None:
    entry = accept(store, lambda name, epoch: draft(name, epoch, settled=False))
    assert entry is not None
    assert store.unsettled_tasks() == [entry.task]
    done = entry.task._replace(settled=True, ends_ms=9, fail_code="Timeout", fail_msg="late")
    store.settle(done, 9)
    store.settle(done._replace(ends_ms=99, fail_code=None), 99)
    assert store.task(done.id) == done
    assert store.unsettled_tasks() == []


@pytest.mark.parametrize("task_id", ["nope", "", "nul\0nul", "ünï", "'; --", "%s"])
def test_an_unknown_task_is_none(store: Store, task_id: str) -> None:
    assert store.task(task_id) is None
    assert store.look(ONE_WORLD, task_id)[1] is None
    assert store.delivery(task_id) is None
    assert store.attempts(task_id) == []


def test_processes_that_start_at_once_agree_on_the_seed(store: Store, other: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        seeds = set(pool.map(lambda n: (store, other)[n % 2].seed(None), range(16)))
    assert len(seeds) == 1
    assert store.seed(5) == other.seed(None) == 5


def test_a_failed_task_is_refunded_once_and_only_when_it_has_failed(store: Store) -> None:
    def failing(name: str, epoch: int) -> Entry:
        task = draft(name, epoch).task._replace(ends_ms=50, fail_code="SensitiveContent")
        return Entry(task)

    for _ in range(3):
        assert accept(store, failing) is not None
    accept(store)

    def failed(now_ms: int) -> int:
        with store.transaction() as tx:
            tx.load({ALICE: STARTING})
            return tx.failed_since(ALICE, now_ms)

    assert [failed(now_ms) for now_ms in (49, 50, 51)] == [0, 3, 0]


# Worlds and rules


def test_a_reset_forgets_all_of_a_world_and_nothing_of_another(store: Store) -> None:
    elsewhere = Account("e" * 32, "else", "elsewhere")
    store.open_world(WorldRow("elsewhere", "else", SEED), ["{}"])
    kept = accept(
        store, lambda name, epoch: draft(name, epoch, account=elsewhere), account=elsewhere
    )
    accept(store, lambda name, epoch: with_delivery(name, epoch, due_ms=5))
    store.add_rule(ONE_WORLD, "{}")
    before = epoch(store)
    row = store.reset_world(ONE_WORLD, lambda row: replace(row, seed=8), ["[]"])
    assert (row.epoch > before, row.seed) == (True, 8)
    assert store.task(nth(1)) is None
    assert store.delivery(nth(1)) is None
    assert store.balance_micros(ALICE, STARTING) == STARTING
    assert store.tasks(TaskQuery(ONE_WORLD, 0)) == []
    assert [rule.document for rule in store.rules(ONE_WORLD)] == ["[]"]
    assert kept is not None
    assert store.task(kept.task.id) is not None
    assert store.balance_micros(elsewhere, 0) == STARTING - PRICE
    assert [rule.document for rule in store.rules("elsewhere")] == ["{}"]


def test_what_is_under_way_at_a_reset_does_not_touch_what_comes_after_it(store: Store) -> None:
    def unsettled(name: str, epoch: int) -> Entry:
        entry = with_delivery(name, epoch, due_ms=5)
        return entry._replace(task=entry.task._replace(settled=False))

    before = accept(store, unsettled)
    assert before is not None
    (lost,) = claimed(store)
    store.reset_world(ONE_WORLD, same, [])
    after = accept(store, unsettled)
    assert after is not None
    assert after.task.id == before.task.id
    (held,) = claimed(store)
    assert not recorded(store, lost, DELIVERED)
    store.settle(before.task._replace(settled=True, ends_ms=9), 9)
    assert not store.replan(before.task._replace(settled=True, ends_ms=9), 9, 0)
    assert store.unsettled_tasks() == [after.task]
    assert recorded(store, held, DELIVERED)


def test_submits_and_resets_at_once_leave_whole_tasks(store: Store, other: Store) -> None:
    def act(number: int) -> Entry | None:
        one = (store, other)[number % 2]
        if number % 8 == 7:
            one.reset_world(ONE_WORLD, same, [])
            return None
        return accept(one, lambda name, epoch: with_delivery(name, epoch, due_ms=5), starting=RICH)

    with ThreadPoolExecutor(8) as pool:
        made = [entry for entry in pool.map(act, range(120)) if entry]
    present = epoch(store)
    left = [entry for entry in made if entry.task.epoch == present]
    assert {task.id for _, task in store.tasks(TaskQuery(ONE_WORLD, 0, limit=1000))} == {
        entry.task.id for entry in left
    }
    assert all(store.delivery(entry.task.id) == entry.delivery for entry in left)
    assert store.balance_micros(ALICE, RICH) == RICH - PRICE * len(left)


def test_rules_that_are_added_at_once_are_all_kept_in_one_order(store: Store, other: Store) -> None:
    store.open_world(WorldRow(ONE_WORLD, ONE_WORLD, SEED), ["file"])
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda n: (store, other)[n % 2].add_rule(ONE_WORLD, str(n)), range(96)))
    expected = [f"rule-{number}" for number in range(1, 97)]
    assert sorted(ids) == sorted(expected)
    for one in (store, other):
        rules = one.rules(ONE_WORLD)
        assert [rule.id for rule in rules] == [*expected, "file-1"]
        assert {rule.id: int(rule.document) for rule in rules[:-1]} == {
            rule_id: number for number, rule_id in enumerate(ids)
        }
    assert other.drop_rules(ONE_WORLD, "rule-96") == 1
    assert store.add_rule(ONE_WORLD, "{}") == "rule-97"
    assert store.drop_rules(ONE_WORLD) == 96
    assert [rule.id for rule in store.rules(ONE_WORLD)] == ["file-1"]


def test_tasks_and_deliveries_are_counted_by_state(store: Store) -> None:
    def lasting(starts_ms: int, ends_ms: int | None, code: str | None = None) -> None:
        def drafted(name: str, epoch: int) -> Entry:
            entry = with_delivery(name, epoch, due_ms=ends_ms)
            task = entry.task._replace(
                starts_ms=starts_ms, ends_ms=ends_ms, fail_code=code, settled=True
            )
            return entry._replace(task=task)

        assert accept(store, drafted, starting=RICH) is not None

    lasting(10, 20)
    lasting(10, 30, "Timeout")
    lasting(10, None)
    lasting(40, 50)
    found = [dict(store.tasks_by_state(ONE_WORLD, now_ms)) for now_ms in (0, 10, 20, 30, 40, 50)]
    names = ("pending", "processing", "success", "failed")
    assert [tuple(counts[name] for name in names) for counts in found] == [
        (4, 0, 0, 0),
        (1, 3, 0, 0),
        (1, 2, 1, 0),
        (1, 1, 1, 1),
        (0, 2, 1, 1),
        (0, 1, 2, 1),
    ]
    first, second, third = claimed(store)
    recorded(store, first, DELIVERED)
    recorded(store, second, EXHAUSTED)
    assert dict(store.deliveries_by_state(ONE_WORLD)) == {
        "delivered": 1,
        "delivering": 1,
        "exhausted": 1,
        "scheduled": 1,
    }
    assert third.task_id == nth(4)


# The journal


def test_entries_of_several_processes_are_numbered_by_their_instants(
    store: Store, other: Store
) -> None:
    store.add_to_journal("one", [(10, "a"), (30, "c")], 100)
    other.add_to_journal("one", [(20, "b"), (40, "d")], 100)
    other.add_to_journal("two", [(5, "x")], 100)
    assert store.journal_length("one") == 4
    assert other.journal("one", 0, 10) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    store.add_to_journal("one", [(1, "late")], 2)
    assert store.journal("one", 0, 10) == [(4, "d"), (5, "late")]
    store.clear_journal("one")
    assert store.journal_length("one") == 0
    assert store.journal("two", 0, 10) == [(1, "x")]
