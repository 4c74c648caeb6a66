"""What is particular to the store in a file."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.storage import Charge, Entry, Order, SqliteStore, StoreError
from storage.samples import ALICE, CHARGE, accept, claimed, draft, keep

RICH = Charge(price_micros=1, starting_micros=1_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def test_it_keeps_everything_between_runs(path: Path) -> None:
    first = SqliteStore(path)
    entry = accept(first, ALICE, CHARGE, draft)
    first.close()
    again = SqliteStore(path)
    assert entry is not None
    assert again.task(entry.task.id) == entry.task
    assert again.balance_micros(ALICE, 0) == 40_000
    again.close()


def test_its_only_owner_ends_the_leases_of_an_earlier_run(path: Path) -> None:
    store = SqliteStore(path)
    keep(store, 10)
    assert len(claimed(store)) == 1
    store.release_leases()
    assert len(claimed(store)) == 1
    store.close()


def test_a_file_of_a_newer_version_is_refused_in_words(path: Path) -> None:
    SqliteStore(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version=999")
    raw.close()
    with pytest.raises(StoreError, match=r"newer apixo-emulator .*schema 999.*Upgrade"):
        SqliteStore(path)


def test_a_file_that_is_no_store_is_refused_in_words(path: Path) -> None:
    path.write_bytes(b"a text file, not a database; " * 100)
    with pytest.raises(StoreError, match=r"cannot use .*state.sqlite3.*--data"):
        SqliteStore(path)


def test_it_does_not_wait_for_a_network(path: Path) -> None:
    store = SqliteStore(path)
    assert store.blocking is False
    store.close()


def named(seed: int, content: str) -> Callable[[int], Entry]:
    """Draft tasks whose ids tell their seed, their content and its number, as real ones do."""

    def drafted(number: int) -> Entry:
        entry = draft(number)
        return entry._replace(task=entry.task._replace(id=f"{seed}{content}{number}"))

    return drafted


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=6))
def test_a_content_is_numbered_however_its_submits_are_gathered(batches: list[str]) -> None:
    store = SqliteStore(None)
    seen: Counter[str] = Counter()
    for batch in batches:
        orders = [Order(ALICE, RICH, named(1, one), one.encode()) for one in batch]
        for one, entry in zip(batch, store.accept(orders), strict=True):
            seen[one] += 1
            assert entry == named(1, one)(seen[one])
    store.close()


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 3)), max_size=8))
def test_ids_are_never_given_twice_when_the_seed_changes(turns: list[tuple[int, int]]) -> None:
    store = SqliteStore(None)
    ids = []
    for seed, count in turns:
        order = Order(ALICE, RICH, named(seed, "a"), b"a")
        ids += [entry.task.id for entry in store.accept([order] * count) if entry]
    assert len(ids) == len(set(ids)) == sum(count for _, count in turns)
    store.close()
