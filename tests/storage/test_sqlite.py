"""What is particular to the store in a file."""

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.storage import SqliteStore, StoreError, StoreUnavailable, WorldRow
from storage.samples import ALICE, STARTING, accept, claimed, draft, keep, opened

RICH = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def test_it_keeps_everything_between_runs(path: Path) -> None:
    first = opened(SqliteStore(path))
    entry = accept(first)
    first.close()
    again = SqliteStore(path)
    assert entry is not None
    assert again.task(entry.task.id) == entry.task
    assert again.balance_micros(ALICE, 0) == 40_000
    again.close()


def test_its_only_owner_ends_the_leases_of_an_earlier_run(path: Path) -> None:
    store = opened(SqliteStore(path))
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


# Numbers of bodies


def next_ids(store: SqliteStore, contents: list[str]) -> list[str]:
    """Keep a task of each body, all in one transaction."""
    bodies = [content.encode() for content in contents]
    with store.transaction() as tx:
        tx.load({ALICE: RICH}, [(ALICE, body) for body in bodies])
        ids = [tx.next_task_id(ALICE, body) for body in bodies]
        for name in ids:
            tx.add(draft(name, tx.world(ONE_WORLD).epoch).task, None)
    return ids


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=6))
def test_a_body_is_numbered_however_its_submits_are_gathered(batches: list[list[str]]) -> None:
    together, one_by_one = opened(SqliteStore(None)), opened(SqliteStore(None))
    for batch in batches:
        assert next_ids(together, batch) == [next_ids(one_by_one, [one])[0] for one in batch]
    together.close()
    one_by_one.close()


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 3)), max_size=8))
def test_ids_are_never_given_twice_when_the_seed_changes(turns: list[tuple[int, int]]) -> None:
    store = opened(SqliteStore(None))
    ids = []
    for seed, count in turns:
        store.change_world(ONE_WORLD, lambda row, seed=seed: WorldRow(row.id, row.label, seed))  # type: ignore[misc]
        ids += next_ids(store, ["a"] * count)
    assert max(Counter(ids).values(), default=1) == 1
    store.close()


# Other processes

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_process_that_stops_while_it_writes_delays_others_for_some_seconds_only(
    path: Path,
) -> None:
    store = opened(SqliteStore(path, shared=True))
    entry = accept(store)
    assert entry is not None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreUnavailable, match=r"locked by another process for 5 s"):
            accept(store)
        # Reading goes on.
        assert store.look(ONE_WORLD, entry.task.id)[1] is not None
        assert store.balance_micros(ALICE, 0) == STARTING - 10_000
        holder.communicate("end")
    assert accept(store) is not None
    store.close()


def test_a_long_control_call_keeps_no_api_call_waiting(path: Path) -> None:
    store = opened(SqliteStore(path))
    entry = accept(store)
    assert entry is not None
    begun, done = threading.Event(), threading.Event()

    def browse() -> None:
        with store._browse() as sql:
            sql.one("SELECT count(*) FROM tasks")
            begun.set()
            assert done.wait(30)

    thread = threading.Thread(target=browse)
    thread.start()
    assert begun.wait(30)
    assert accept(store) is not None
    assert store.look(ONE_WORLD, entry.task.id)[1] is not None
    done.set()
    thread.join()
    store.close()


# Reset


def test_the_file_shrinks_after_a_reset(path: Path) -> None:
    store = opened(SqliteStore(path))
    with store.transaction() as tx:
        tx.load({ALICE: RICH}, [(ALICE, b"")])
        epoch = tx.world(ONE_WORLD).epoch
        for _ in range(2000):
            entry = draft(tx.next_task_id(ALICE, b""), epoch)
            tx.add(entry.task._replace(image_url="https://example.com/" + "x" * 500), None)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    full = path.stat().st_size
    store.reset_world(ONE_WORLD, lambda row: row, [])
    kept = accept(store)
    while store.clean():
        pass
    assert path.stat().st_size < full / 10
    assert kept is not None
    assert store.task(kept.task.id) == kept.task
    store.close()
