"""What every store promises, on every engine."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from apixo_emulator.core.accounts import account_of
from apixo_emulator.core.tasks import Task
from apixo_emulator.storage import Charge, SqliteStore, Store, StoreError

CHARGE = Charge(price_micros=10_000, starting_micros=50_000)
ALICE = account_of("sk-alice-0123456789")
BOB = account_of("sk-bob-0123456789")


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = SqliteStore(None if request.param == "memory" else tmp_path / "state.sqlite3")
    yield store
    store.close()


def draft(number: int, *, settled: bool = True, account_id: str = ALICE.id) -> Task:
    return Task(
        id=f"{account_id[:8]}{number}",
        account_id=account_id,
        resolution="4k",
        output_format="webp",
        request_type="callback",
        callback_url="http://127.0.0.1:9000/hook",
        image_url="https://example.com/ünï\0.jpg",
        scenario="slow-2",
        created_ms=1,
        starts_ms=2,
        ends_ms=3,
        fail_code=None,
        fail_msg=None,
        settled=settled,
    )


def test_an_accepted_task_is_charged_and_kept_as_it_was(store: Store) -> None:
    task = store.accept(ALICE, CHARGE, draft)
    assert task == draft(1)
    assert store.task(task.id) == task
    assert store.balance_micros(ALICE, 50_000) == 40_000
    assert store.balance_micros(BOB, 50_000) == 50_000


def test_what_the_balance_does_not_cover_changes_nothing(store: Store) -> None:
    accepted = [store.accept(ALICE, CHARGE, draft) for _ in range(7)]
    assert accepted == [draft(number) for number in range(1, 6)] + [None, None]
    assert store.balance_micros(ALICE, 50_000) == 0


def test_a_draft_that_fails_is_not_charged(store: Store) -> None:
    def broken(_number: int) -> Task:
        raise RuntimeError("no draft")

    with pytest.raises(RuntimeError, match="no draft"):
        store.accept(ALICE, CHARGE, broken)
    assert store.balance_micros(ALICE, 50_000) == 50_000
    assert store.accept(ALICE, CHARGE, draft) == draft(1)


def test_parallel_submits_spend_exactly_what_there_is(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(lambda _: store.accept(ALICE, CHARGE, draft), range(40)))
    ids = [task.id for task in accepted if task]
    assert len(ids) == len(set(ids)) == 5


def test_a_task_is_settled_once(store: Store) -> None:
    task = store.accept(ALICE, CHARGE, lambda number: draft(number, settled=False))
    assert task is not None
    assert store.unsettled_tasks() == [task]
    done = replace(task, settled=True, ends_ms=9, fail_code="Timeout", fail_msg="late")
    store.settle(done)
    store.settle(replace(done, ends_ms=99, fail_code=None))
    assert store.task(task.id) == done
    assert store.unsettled_tasks() == []


def test_an_unknown_task_is_none(store: Store) -> None:
    assert store.task("nope") is None


def test_the_seed_is_random_once_and_kept(store: Store) -> None:
    first = store.seed(None)
    assert store.seed(None) == first
    assert store.seed(5) == 5
    assert store.seed(None) == 5


def test_a_file_keeps_everything_between_runs(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    first = SqliteStore(path)
    task = first.accept(ALICE, CHARGE, draft)
    first.close()
    again = SqliteStore(path)
    assert task is not None
    assert again.task(task.id) == task
    assert again.balance_micros(ALICE, 0) == 40_000
    again.close()


def test_a_file_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    SqliteStore(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=999")
    raw.close()
    with pytest.raises(StoreError, match=r"newer apixo-emulator .*schema 999.*Upgrade"):
        SqliteStore(path)


def test_a_file_that_is_no_store_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"a text file, not a database; " * 100)
    with pytest.raises(StoreError, match=r"cannot use .*state.sqlite3.*--data"):
        SqliteStore(path)
