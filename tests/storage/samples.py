"""What the storage tests put into stores."""

from __future__ import annotations

from collections.abc import Callable

from apixo_emulator.domain.accounts import ONE_WORLD, Account, account_of
from apixo_emulator.domain.deliveries import Attempt, Delivery, DeliveryState, Outcome
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage import Charge, Claim, Entry, Order, Store

CHARGE = Charge(price_micros=10_000, starting_micros=50_000)
ALICE = account_of("sk-alice-0123456789")
BOB = account_of("sk-bob-0123456789")
CAROL = account_of("sk-\0carol-01234\x0056")
MINUTE_MS = 60_000

DELIVERED = Outcome(DeliveryState.DELIVERED, None)
EXHAUSTED = Outcome(DeliveryState.EXHAUSTED, None)


def draft(number: int, *, settled: bool = True, account_id: str = ALICE.id) -> Entry:
    return Entry(
        Task(
            id=f"{account_id[:8]}{number}",
            world=ONE_WORLD,
            account_id=account_id,
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


def with_delivery(
    number: int, *, due_ms: int | None, origin: str = "http://127.0.0.1:9000"
) -> Entry:
    task = draft(number).task._replace(ends_ms=due_ms or 50, settled=due_ms is not None)
    delivery = Delivery(
        task_id=task.id,
        world=ONE_WORLD,
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
    store: Store, account: Account, charge: Charge, draft: Callable[[int], Entry]
) -> Entry | None:
    (entry,) = store.accept([Order(account, charge, draft)])
    return entry


def keep(store: Store, due_ms: int | None, origin: str = "http://127.0.0.1:9000") -> str:
    """Put a delivery into the store and give its task's id."""
    rich = Charge(price_micros=1, starting_micros=1_000_000)
    kept = accept(store, ALICE, rich, lambda n: with_delivery(n, due_ms=due_ms, origin=origin))
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


def claimed(store: Store, now_ms: int = 100, **options: object) -> list[Delivery]:
    """Claim what is due and give the deliveries."""
    entries = store.claim_deliveries(ONE_WORLD, now_ms, claim(**options))  # type: ignore[arg-type]
    found = [entry.delivery for entry in entries]
    return [delivery for delivery in found if delivery is not None]
