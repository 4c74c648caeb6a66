"""PostgreSQL behind a PgBouncer in transaction pooling mode: any statement may meet another server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.pgbouncer import pooled
from support.postgres import own_server

from apixo_emulator.domain.accounts import ONE_WORLD, account_of
from apixo_emulator.storage import Entry, StoreUnavailable
from apixo_emulator.storage.postgres import PostgresStore
from storage.samples import (
    ALICE,
    DELIVERED,
    PRICE,
    accept,
    claimed,
    draft,
    nth,
    opened,
    recorded,
    with_delivery,
)

pytestmark = pytest.mark.slow
RICH = 100_000_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with own_server() as server, pooled(server.socket) as url:
        yield url


@pytest.fixture
def stores(url: str) -> Iterator[list[PostgresStore]]:
    stores = [opened(PostgresStore(url)) for _ in range(2)]
    stores[0].reset_world(ONE_WORLD, lambda row: row, [])
    yield stores
    for store in stores:
        store.close()


def test_everything_works_as_often_as_one_likes(stores: list[PostgresStore]) -> None:
    def use(number: int) -> int:
        store = stores[number % 2]
        entry = accept(
            store, lambda name, epoch: with_delivery(name, epoch, due_ms=5), starting=RICH
        )
        assert entry is not None
        for _ in range(8):
            row, task = store.look(ONE_WORLD, entry.task.id)
            assert row is not None
            assert task is not None
        return len([recorded(store, one, DELIVERED, status=200) for one in claimed(store, limit=3)])

    with ThreadPoolExecutor(12) as pool:
        made = sum(pool.map(use, range(120)))
    while left := claimed(stores[0]):
        made += len([recorded(stores[0], one, DELIVERED, status=200) for one in left])
    assert made == 120
    assert stores[1].balance_micros(ALICE, 0) == RICH - 120 * PRICE
    assert dict(stores[0].deliveries_by_state(ONE_WORLD)) == {"delivered": 120}


def test_a_transaction_that_hangs_is_given_up_there_too(stores: list[PostgresStore]) -> None:
    one, other = stores

    def waiting(name: str, epoch: int) -> Entry:
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            accept(other, starting=RICH)
        return draft(name, epoch)

    accept(one, waiting, starting=RICH)
    entry = accept(other, starting=RICH)
    assert entry is not None
    assert entry.task.id == nth(2)


def test_settings_of_a_transaction_do_not_leak_to_other_clients(
    stores: list[PostgresStore],
) -> None:
    for number in range(6):
        account = account_of(f"sk-{number}")
        accept(
            stores[0],
            lambda name, epoch, account=account: draft(name, epoch, account=account),  # type: ignore[misc]
            account=account,
        )
    with stores[1]._read() as sql:
        found = {sql.one("SHOW statement_timeout") for _ in range(6)}
    assert found == {("0",)}


def test_worlds_agree(stores: list[PostgresStore]) -> None:
    one, other = stores
    one.change_world(ONE_WORLD, lambda row: replace(row, seed=99))
    row = other.look(ONE_WORLD)[0]
    assert row is not None
    assert row.seed == 99
