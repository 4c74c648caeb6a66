"""A store of the schema before epochs is brought up to date with all that it holds."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.storage import SqliteStore, Store, TaskQuery
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.postgres import PostgresStore
from storage.samples import ALICE, SEED, accept, claimed, nth

BEFORE_EPOCHS = 3
ROWS = [
    ("INSERT INTO settings VALUES ('seed', %s)", (str(SEED),)),
    ("INSERT INTO worlds VALUES (%s, %s, %s, 0, 0, 1.0)", (ONE_WORLD, ONE_WORLD, str(SEED))),
    (
        (
            "INSERT INTO accounts (id, label, granted_micros, spent_micros, accepted, world)"
            " VALUES (%s, %s, 50000, 20000, 2, %s)"
        ),
        (ALICE.id, b"sk-", ONE_WORLD),
    ),
    *(
        (
            (
                "INSERT INTO tasks (id, world, account_id, resolution, output_format, request_type,"
                " scenario, created_ms, starts_ms, ends_ms, settled, callback_url, image_url)"
                " VALUES (%s, %s, %s, '4k', 'webp', 'callback', NULL, 1, 2, 10, %s, %s, %s)"
            ),
            (nth(number), ONE_WORLD, ALICE.id, True, b"http://127.0.0.1:9/h", b"https://e.com/1"),
        )
        for number in (1, 2)
    ),
    (
        (
            "INSERT INTO deliveries (task_id, world, url, origin, base_url, depth, state, due_ms,"
            " attempts, tries, accepted) VALUES (%s, %s, %s, %s, %s, 0, 'scheduled', 10, 1, 1, 0)"
        ),
        (nth(2), ONE_WORLD, b"http://127.0.0.1:9/h", b"http://127.0.0.1:9", b"http://e"),
    ),
    ("INSERT INTO attempts VALUES (%s, 1, 5, 1, 500, %s, NULL)", (nth(2), b"no")),
    ("INSERT INTO contents VALUES (%s, %s, 2)", (ALICE.id, b"a body")),
    (
        "INSERT INTO rules (world, id, document, seen, used) VALUES (%s, 'rule-7', '{}', 4, 3)",
        (ONE_WORLD,),
    ),
]


def older_sqlite(path: Path) -> Store:
    with sqlite3.connect(path) as raw:
        for script in scripts("sqlite")[:BEFORE_EPOCHS]:
            raw.executescript(script)
        for query, values in ROWS:
            # Of bytes only the digest of a body is kept as such.
            texts = [v.decode() if isinstance(v, bytes) and v != b"a body" else v for v in values]
            raw.execute(query.replace("%s", "?"), texts)
        raw.execute(f"PRAGMA user_version={BEFORE_EPOCHS}")
    raw.close()
    return SqliteStore(path)


def older_postgres(url: str) -> Store:
    with psycopg.connect(url) as raw:
        for script in scripts("postgres")[:BEFORE_EPOCHS]:
            raw.execute(script.encode())
        for query, values in ROWS:
            raw.execute(query.encode(), values)
        raw.execute("CREATE TABLE emulator_schema (version BIGINT NOT NULL)")
        raw.execute("INSERT INTO emulator_schema VALUES (%s)", (BEFORE_EPOCHS,))
    return PostgresStore(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opening: dict[str, Callable[[], Any]] = {
        "sqlite": lambda: older_sqlite(tmp_path / "state.sqlite3"),
        "postgres": lambda: older_postgres(request.getfixturevalue("postgres_url")),
    }
    store: Store = opening[request.param]()
    yield store
    store.close()


def test_it_keeps_what_it_holds_and_goes_on(upgraded: Store) -> None:
    listed = [task.id for _, task in upgraded.tasks(TaskQuery(ONE_WORLD, 0))]
    assert listed == [nth(2), nth(1)]
    assert upgraded.balance_micros(ALICE, 0) == 30_000
    assert [attempt.excerpt for attempt in upgraded.attempts(nth(2))] == ["no"]
    (rule,) = upgraded.rules(ONE_WORLD)
    assert (rule.id, rule.seen, rule.used) == ("rule-7", 4, 3)
    assert [delivery.task_id for delivery in claimed(upgraded)] == [nth(2)]
    assert dict(upgraded.deliveries_by_state(ONE_WORLD)) == {"delivering": 1}

    # It goes on from there.
    entry = accept(upgraded)
    assert entry is not None
    assert entry.task.id == nth(3)
    assert upgraded.balance_micros(ALICE, 0) == 20_000
    assert upgraded.add_rule(ONE_WORLD, "{}") == "rule-8"
    upgraded.reset_world(ONE_WORLD, lambda row: row, [])
    assert upgraded.task(nth(3)) is None
