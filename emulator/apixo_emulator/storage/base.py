"""What a store promises. `now` and all decisions come from the caller; a store only keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from apixo_emulator.core.accounts import Account
from apixo_emulator.core.deliveries import Attempt, Delivery, Outcome
from apixo_emulator.core.tasks import Task


class StoreError(Exception):
    """The store cannot be used; the message says what was found and what to do."""


class StoreUnavailable(StoreError):
    """The store does not answer now. The call may be made again: the store recovers by itself.

    Whether the failed call took effect is unknown where the answer to its commit was lost.
    """


@dataclass(frozen=True, slots=True)
class Charge:
    """What an accepted task costs, and what an account starts with, in millionths of a USD."""

    price_micros: int
    starting_micros: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What an accepted submit puts into the store, all at once."""

    task: Task
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims deliveries, for how long in ms of the machine's clock, and how many at most."""

    owner: str
    lease_ms: int
    limit: int
    # Receivers that have enough attempts under way already.
    skip_origins: Collection[str] = ()


class Store(Protocol):
    """Tasks, accounts and deliveries, safe to use from several threads.

    Any method may raise `StoreUnavailable` where ``blocking`` is True.
    """

    @property
    def blocking(self) -> bool:
        """Tell whether calls may wait for a network, so that an event loop must not make them."""
        ...

    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed: the proposed one, else the kept one, else a new random one."""
        ...

    def accept(
        self, account: Account, charge: Charge, draft: Callable[[int], Entry]
    ) -> Entry | None:
        """Charge the account and keep its next task with its delivery, all or nothing.

        ``draft`` makes them from the account's count of accepted tasks, this one included.
        None says that the balance does not cover the price; then nothing has changed.
        """
        ...

    def task(self, task_id: str, *, source: bool = True) -> Task | None:
        """Give a task; without its ``source`` its image_url is empty: it may be megabytes."""
        ...

    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""
        ...

    def settle(self, task: Task) -> None:
        """Write a settled task's end and outcome, unless it was settled already.

        Its delivery, which had to wait for the end, becomes due then.
        """
        ...

    def claim_deliveries(self, now_ms: int, claim: Claim) -> list[Entry]:
        """Take deliveries that are due, or whose lease has ended, the longest due first.

        Each is *delivering* then and counts one attempt more; nobody else gets it until the lease
        ends, which is counted on the machine's clock, since it guards a process and not a plan.
        """
        ...

    def record_attempt(self, attempt: Attempt, outcome: Outcome, owner: str) -> bool:
        """Keep an attempt and what follows it; False if the owner's lease had gone to another."""
        ...

    def next_due_ms(self, after_ms: int) -> int | None:
        """Give the first instant after this one at which a scheduled delivery is due."""
        ...

    def release_leases(self) -> None:
        """End all leases. Only for whoever knows that no other process uses the store."""
        ...

    def redeliver(self, task_id: str, now_ms: int) -> Delivery | None:
        """Make a delivery that is not under way due now, with all its retries; None otherwise."""
        ...

    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""
        ...

    def deliveries(self, limit: int, offset: int = 0) -> list[Delivery]:
        """Give deliveries, the newest first."""
        ...

    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the recorded attempts of a task's delivery, in their order."""
        ...

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left; one that has never been charged has all it starts with."""
        ...

    def close(self) -> None:
        """Release the store. What was accepted stays."""
        ...
