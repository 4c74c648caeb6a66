"""What is particular to the store in a file."""

import sqlite3
from pathlib import Path

import pytest

from apixo_emulator.storage import SqliteStore, StoreError
from storage.samples import ALICE, CHARGE, accept, claimed, draft, keep


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
