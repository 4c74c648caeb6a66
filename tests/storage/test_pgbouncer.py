"""PostgreSQL behind a PgBouncer in transaction pooling mode: any statement may meet another server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import pytest
from support.pgbouncer import pooled
from support.postgres import Server

from apixo_emulator.domain.accounts import ONE_WORLD
from apixo_emulator.storage.postgres import PostgresStore
from storage.samples import (
    ALICE,
    DELIVERED,
    PRICE,
    accept,
    claimed,
    opened,
    recorded,
    with_delivery,
)

pytestmark = pytest.mark.slow
RICH = 100_000_000


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> Iterator[str]:
    with pooled(postgres_server.socket) as url:
        yield url


@pytest.fixture
def stores(url: str) -> Iterator[list[PostgresStore]]:
    stores = [opened(PostgresStore(url)) for _ in range(2)]
    stores[0].reset_world(ONE_WORLD, lambda row: row, [])
    yield stores
    for store in stores:
        store.close()


def test_everything_works_as_often_as_one_likes(stores: list[PostgresStore]) -> None:
    # A process submits from one thread, so that submits which wait for an account leave half of the
    # pool's servers to those who read.
    submitting = [Lock(), Lock()]

    def use(number: int) -> int:
        store = stores[number % 2]
        with submitting[number % 2]:
            entry = accept(
                store, lambda name, epoch: with_delivery(name, epoch, due_ms=5), starting=RICH
            )
            due = claimed(store, limit=3)
            made = len([recorded(store, one, DELIVERED, status=200) for one in due])
        assert entry is not None
        for _ in range(8):
            row, task = store.look(ONE_WORLD, entry.task.id)
            assert row is not None
            assert task is not None
        return made

    with ThreadPoolExecutor(12) as pool:
        made = sum(pool.map(use, range(120)))
    while left := claimed(stores[0]):
        made += len([recorded(stores[0], one, DELIVERED, status=200) for one in left])
    assert made == 120
    assert stores[1].balance_micros(ALICE, 0) == RICH - 120 * PRICE
    assert dict(stores[0].deliveries_by_state(ONE_WORLD)) == {"delivered": 120}


def test_settings_of_a_transaction_do_not_leak_to_other_clients(
    stores: list[PostgresStore],
) -> None:
    for store in stores * 3:
        with store._write() as sql:
            assert sql.one("SHOW statement_timeout") == ("3s",)
        with store._read() as sql:
            assert sql.one("SHOW statement_timeout") == ("0",)
