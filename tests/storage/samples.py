"""What the storage tests put into stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from apixo_emulator.domain.accounts import ONE_WORLD, Account, account_of
from apixo_emulator.domain.deliveries import Attempt, Delivery, DeliveryState, Outcome
from apixo_emulator.domain.randomness import task_id
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import Claim, Entry, Store, WorldRow

SEED = 7
PRICE = 10_000
STARTING = 50_000
ALICE = account_of("sk-alice-0123456789")
BOB = account_of("sk-bob-0123456789")
CAROL = account_of("sk-\0carol-01234\x0056")
MINUTE_MS = 60_000
CONTENT = b"a body"

DELIVERED = Outcome(DeliveryState.DELIVERED, None)
EXHAUSTED = Outcome(DeliveryState.EXHAUSTED, None)

_Store = TypeVar("_Store", bound=Store)
Draft = Callable[[str, int], Entry]


def opened(store: _Store) -> _Store:
    """Open the world that the tests use."""
    store.open_world(WorldRow(ONE_WORLD, ONE_WORLD, SEED), [])
    return store


def epoch(store: Store) -> int:
    world = store.look(ONE_WORLD)[0]
    assert world is not None
    return world.epoch


def draft(name: str, epoch: int = 1, *, settled: bool = True, account: Account = ALICE) -> Entry:
    return Entry(
        Task(
            id=name,
            world=ONE_WORLD,
            epoch=epoch,
            account_id=account.id,
            resolution="4k",
            output_format="webp",
            request_type="callback",
            callback_url="http://127.0.0.1:9000/hook?ü\0",
            image_url="https://example.com/ünï\0.jpg",
            scenario="slow-2",
            created_ms=1,
            starts_ms=2,
            ends_ms=3_000_000_000_000,
            fail_code=None,
            fail_msg=None,
            settled=settled,
        )
    )


def nth(number: int, *, account: Account = ALICE, content: bytes = CONTENT) -> str:
    """The id of an account's task of a body, by its number."""
    return task_id(SEED, account.id, content, number)


def with_delivery(
    name: str, epoch: int = 1, *, due_ms: int | None, origin: str = "http://127.0.0.1:9000"
) -> Entry:
    task = draft(name, epoch).task._replace(ends_ms=due_ms or 50, settled=due_ms is not None)
    delivery = Delivery(
        task_id=name,
        world=ONE_WORLD,
        epoch=epoch,
        url="http://127.0.0.1:9000/hook?ü\0",
        origin=origin,
        base_url="http://127.0.0.1:8787/ü\0",
        depth=1,
        state=DeliveryState.SCHEDULED,
        due_ms=due_ms,
        attempts=0,
        tries=0,
        accepted=0,
    )
    return Entry(task, delivery)


def accept(
    store: Store,
    drafted: Draft = draft,
    *,
    account: Account = ALICE,
    starting: int = STARTING,
    content: bytes = CONTENT,
) -> Entry | None:
    """Charge and keep a task in a transaction of its own; None where the balance does not cover it."""
    with store.transaction() as tx:
        tx.load({account: starting}, [(account, content)])
        if not tx.account(account).charge(PRICE):
            return None
        entry = drafted(tx.next_task_id(account, content), tx.world(account.world).epoch)
        tx.add(*entry)
    return entry


def keep(store: Store, due_ms: int | None, origin: str = "http://127.0.0.1:9000") -> str:
    """Put a delivery into the store and return its task's id."""
    kept = accept(
        store,
        lambda name, epoch: with_delivery(name, epoch, due_ms=due_ms, origin=origin),
        starting=1_000_000,
    )
    assert kept is not None
    return kept.task.id


def claim(owner: str = "one", *, lease_ms: int = MINUTE_MS, limit: int = 10) -> Claim:
    return Claim(owner, lease_ms, limit)


def attempt_at(delivery: Delivery, *, status: int | None = 500) -> Attempt:
    return Attempt(
        task_id=delivery.task_id,
        number=delivery.attempts,
        at_ms=3_000_000_000_001,
        duration_ms=12,
        status=status,
        excerpt="<p>ü\0</p>",
        error=None if status == 200 else "no\0thing",
    )


def recorded(
    store: Store,
    delivery: Delivery,
    outcome: Outcome,
    owner: str = "one",
    *,
    status: int | None = 500,
) -> bool:
    """Record an attempt of a claimed delivery; False where the lease was lost."""
    (held,) = store.record_attempts(
        [(delivery, attempt_at(delivery, status=status), outcome)], owner
    )
    return held


def redelivered(store: Store, task_id: str, now_ms: int) -> Delivery | None:
    delivery = store.delivery(task_id)
    assert delivery is not None
    return store.redeliver(delivery, now_ms)


def claimed(store: Store, now_ms: int = 100, **options: object) -> list[Delivery]:
    """Claim what is due and return the deliveries."""
    entries = store.claim_deliveries(ONE_WORLD, now_ms, claim(**options))  # type: ignore[arg-type]
    found = [entry.delivery for entry in entries]
    return [delivery for delivery in found if delivery is not None]
