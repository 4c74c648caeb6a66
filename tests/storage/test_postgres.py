"""What is particular to PostgreSQL: a server that goes and comes back, and one schema for all."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import monotonic

import psycopg
import pytest
from support.postgres import GUARDED_PASSWORD, Server

from apixo_emulator.domain.accounts import ONE_WORLD, account_of
from apixo_emulator.storage import Entry, Store, StoreError
from apixo_emulator.storage.base import StoreUnavailable
from apixo_emulator.storage.migrations import scripts
from apixo_emulator.storage.postgres import PostgresStore
from storage.relay import Relay, relay_to
from storage.samples import (
    ALICE,
    DELIVERED,
    accept,
    claim,
    claimed,
    draft,
    keep,
    nth,
    opened,
    recorded,
)

# Seconds. A call waits for the pool, then for an answer; a busy machine needs longer.
AT_ONCE_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    store = opened(PostgresStore(postgres_url))
    yield store
    store.close()


@pytest.fixture
def relay(postgres_server: Server) -> Iterator[Relay]:
    with relay_to(postgres_server.socket) as relay:
        yield relay


@pytest.fixture
def relayed(postgres_url: str, relay: Relay) -> Iterator[PostgresStore]:
    options = postgres_url.rpartition("&")[2]
    far = f"postgresql://postgres@127.0.0.1:{relay.port}/postgres?{options}"
    store = opened(PostgresStore(far))
    yield store
    store.close()


def recovered(store: Store) -> None:
    """Call as a client does until it is answered."""
    end = monotonic() + 30
    while True:
        try:
            store.next_due_ms(ONE_WORLD, 0)
        except StoreUnavailable:
            assert monotonic() < end, "it has not recovered"
        else:
            return


def test_without_the_database_each_call_fails_soon_and_later_works_again(
    postgres_server: Server, store: PostgresStore
) -> None:
    kept = keep(store, 10)
    (delivery,) = claimed(store)
    postgres_server.stop()
    try:
        for call in (
            lambda: accept(store),
            lambda: store.task(kept),
            lambda: store.balance_micros(ALICE, 0),
            lambda: store.claim_deliveries(ONE_WORLD, 100, claim()),
            lambda: recorded(store, delivery, DELIVERED),
        ):
            start = monotonic()
            with pytest.raises(StoreUnavailable, match=r"PostgreSQL on .* does not answer"):
                call()
            assert monotonic() - start < AT_ONCE_S
    finally:
        postgres_server.start()
    recovered(store)
    assert store.task(kept) is not None
    assert recorded(store, delivery, DELIVERED)


def test_a_restart_between_calls_goes_unnoticed(
    postgres_server: Server, store: PostgresStore
) -> None:
    together = Barrier(6)

    def submit(number: int) -> object:
        def meeting(name: str, epoch: int) -> Entry:
            together.wait(timeout=30)  # so many connections are in use at once, and idle later
            return draft(name, epoch, account=account)

        account = account_of(f"sk-{number}-0123456789")
        return accept(store, meeting, account=account)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(submit, range(6)))
    postgres_server.stop()
    postgres_server.start()
    answers = [store.balance_micros(account_of(f"sk-{n}-0123456789"), 0) for n in range(6)]
    assert answers == [40_000] * 6


def test_a_silent_network_fails_soon_too(relay: Relay, relayed: PostgresStore) -> None:
    assert accept(relayed) == draft(nth(1))
    relay.freeze()
    start = monotonic()
    with pytest.raises(StoreUnavailable, match="not answered within 4 s"):
        relayed.task(nth(1))
    assert monotonic() - start < AT_ONCE_S
    relay.thaw()
    recovered(relayed)
    assert relayed.task(nth(1)) == draft(nth(1)).task


def test_a_commit_whose_answer_is_lost_is_no_success(relay: Relay, relayed: PostgresStore) -> None:
    assert accept(relayed) == draft(nth(1))
    relay.cut_after = b"COMMIT\0"  # and not of READ COMMITTED
    with pytest.raises(StoreUnavailable):
        accept(relayed)
    recovered(relayed)
    assert relayed.balance_micros(ALICE, 0) == 30_000
    assert relayed.task(nth(2)) == draft(nth(2)).task


def test_processes_that_start_at_once_make_the_tables_once(postgres_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: PostgresStore(postgres_url), range(6)))
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT version FROM emulator_schema").fetchall()
    assert rows == [(len(scripts("postgres")),)]
    assert accept(opened(stores[0])) == draft(nth(1))
    assert stores[5].task(nth(1)) == draft(nth(1)).task
    for store in stores:
        store.close()


def test_a_schema_of_a_newer_version_is_refused_in_words(postgres_url: str) -> None:
    PostgresStore(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE emulator_schema SET version = 999")
    with pytest.raises(StoreError, match=r"newer apixo-emulator .*schema 999.*Upgrade"):
        PostgresStore(postgres_url)


def test_tables_of_another_program_are_left_alone(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE tasks (mine TEXT)")
    with pytest.raises(StoreError, match=r"\"tasks\" already exists.*tables of the emulator's own"):
        PostgresStore(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute("SELECT to_regclass('accounts'), count(*) FROM tasks").fetchone()
    assert found == (None, 0)


def test_a_statement_that_hangs_in_the_database_is_given_up(store: PostgresStore) -> None:
    with store._read() as sql:
        assert sql.one("SHOW statement_timeout") == ("3s",)


def test_cleaning_does_not_read_all_rows_for_some(postgres_url: str) -> None:
    count = 4000
    store = opened(PostgresStore(postgres_url))
    with store.transaction() as tx:
        tx.load({ALICE: 0})
        epoch = tx.world(ONE_WORLD).epoch
        for number in range(count):
            tx.add(draft(f"{number}", epoch).task, None)
    store.reset_world(ONE_WORLD, lambda row: row, [])
    while store.clean():
        pass
    store.close()  # then the database has counted all that was read
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT n_live_tup, seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
            " WHERE relid = tables.relid) FROM pg_stat_user_tables AS tables"
            " WHERE relid = 'tasks'::regclass"
        ).fetchone()
    assert found is not None
    assert found[0] == 0
    assert found[1] <= 5 * count  # all of them for each lot of 500 were nine times as many


def test_the_right_password_opens(postgres_server: Server, postgres_url: str) -> None:
    url = postgres_url.replace(postgres_server.url, postgres_server.guarded_url)
    store = opened(PostgresStore(url))
    assert accept(store) == draft(nth(1))
    store.close()


def test_a_wrong_password_is_refused_in_words_without_it(postgres_server: Server) -> None:
    url = postgres_server.guarded_url.replace(GUARDED_PASSWORD, "wrong-horse")
    with pytest.raises(StoreError, match=r"cannot use .*password authentication failed") as caught:
        PostgresStore(url)
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://me:s3cret@no-such-host.invalid/db", r"no-such-host\.invalid, database db"),
        ("postgresql://me:s3cret@127.0.0.1:1/db", r"127\.0\.0\.1:1, database db"),
        ("postgresql://me:s3cret@127.0.0.1:1/db?sslmode=odd", "sslmode"),
        ("postgresql://me:s3c@ret@127.0.0.1/db", "%40"),
        ("postgresql://me:s3c/ret@127.0.0.1/db", "%2F"),
        ("postgresql://me:s3cret%@127.0.0.1/db", "Percent-encode"),
        ("postgresql://me:s3cret@127.0.0.1/db?nonsense=1", "expected postgresql://USER"),
    ],
)
def test_a_url_that_leads_nowhere_is_explained_without_its_password(url: str, found: str) -> None:
    start = monotonic()
    with pytest.raises(StoreError, match=found) as caught:
        PostgresStore(url)
    assert "s3c" not in str(caught.value)
    assert "ret@" not in str(caught.value)
    assert monotonic() - start < AT_ONCE_S


def test_without_psycopg_the_extra_is_named() -> None:
    program = """
import sys
sys.modules["psycopg"] = None
from apixo_emulator import create_app
from apixo_emulator.storage import StoreError
try:
    create_app(store="postgresql://127.0.0.1/db").state.runtime.emulator
except StoreError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "pip install '.[postgres]'" in done.stdout
