"""Stores of every engine for the tests that they share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apixo_emulator.storage import SqliteStore, Store
from apixo_emulator.storage.postgres import PostgresStore
from storage.samples import opened as with_world

Open = Callable[[], Store]


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.slow)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Open the test's one state; each call as another process would, where the engine allows it."""
    opened: list[Store] = []

    def again() -> Store:
        if request.param == "postgres":
            opened.append(PostgresStore(request.getfixturevalue("postgres_url")))
        elif request.param == "file":
            opened.append(SqliteStore(tmp_path / "state.sqlite3", shared=True))
        elif not opened:
            opened.append(SqliteStore(None))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Open) -> Store:
    return with_world(open_store())


@pytest.fixture
def other(store: Store, open_store: Open) -> Store:
    """The same state as ``store``, opened a second time."""
    assert store is not None
    return open_store()
