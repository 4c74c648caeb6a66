"""What a store promises. `now` and all decisions come from the caller; a store only keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.deliveries import Attempt, Delivery, Outcome
from apixo_emulator.domain.tasks import Task
from apixo_emulator.storage.steering import Steering


class StoreError(Exception):
    """The store cannot be used; the message says what was found and what to do."""


class StoreUnavailable(StoreError):
    """The store does not answer now. The call may be made again: the store recovers by itself.

    Whether the failed call took effect is unknown where the answer to its commit was lost.
    """


class Charge(NamedTuple):
    """What an accepted task costs, what an account starts with, and what came back to it by now.

    All in millionths of a USD. A tuple, as orders are gathered by it: one hashes four times as fast.
    """

    price_micros: int
    starting_micros: int
    refunded_micros: int = 0


class Entry(NamedTuple):
    """What an accepted submit puts into the store, all at once."""

    task: Task
    delivery: Delivery | None = None


class Order(NamedTuple):
    """A submit that needs nothing but to be charged and kept.

    ``draft`` makes what is kept from how often the account had this ``content`` accepted, this time
    included.
    """

    account: Account
    charge: Charge
    draft: Callable[[int], Entry]
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims deliveries, for how long in ms of the machine's clock, and how many at most."""

    owner: str
    lease_ms: int
    limit: int
    # Receivers that have enough attempts under way already.
    skip_origins: Collection[str] = ()


class Store(Steering, ABC):
    """Tasks, accounts and deliveries, safe to use from several threads.

    Any method may raise `StoreUnavailable` where ``blocking`` is True.
    """

    # Whether calls may wait for a network, so that an event loop must not make them.
    blocking: ClassVar[bool]

    @abstractmethod
    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed: the proposed one, else the kept one, else a new random one."""

    @abstractmethod
    def accept(self, orders: Sequence[Order]) -> list[Entry | None]:
        """Charge accounts and keep their next tasks with their deliveries, all or nothing.

        In the order of the orders; an entry of None says that the balance does not cover the
        price, and then that order has changed nothing.
        """

    @abstractmethod
    def task(self, task_id: str, *, source: bool = True) -> Task | None:
        """Give a task; without its ``source`` its image_url is empty: it may be megabytes."""

    @abstractmethod
    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""

    @abstractmethod
    def settle(self, task: Task, due_ms: int | None) -> None:
        """Write a settled task's end and outcome, unless it was settled already.

        Its delivery, which had to wait for the end, is due at ``due_ms``.
        """

    @abstractmethod
    def claim_deliveries(self, world: str, now_ms: int, claim: Claim) -> list[Entry]:
        """Take deliveries that are due, or whose lease has ended, the longest due first.

        Each is *delivering* then and counts one attempt more; nobody else gets it until the lease
        ends, which is counted on the machine's clock, since it guards a process and not a plan.
        """

    @abstractmethod
    def record_attempts(self, made: Sequence[tuple[Attempt, Outcome]], owner: str) -> list[bool]:
        """Keep attempts and what follows each, all or none; False where the lease had gone to another."""

    @abstractmethod
    def next_due_ms(self, world: str, after_ms: int) -> int | None:
        """Give the first instant after this one at which a scheduled delivery is due."""

    @abstractmethod
    def release_leases(self) -> None:
        """End all leases. Only for whoever knows that no other process uses the store."""

    @abstractmethod
    def redeliver(self, task_id: str, now_ms: int) -> Delivery | None:
        """Make a delivery that is not under way due now, with all its retries; None otherwise."""

    @abstractmethod
    def delivery(self, task_id: str) -> Delivery | None:
        """Give a task's delivery."""

    @abstractmethod
    def deliveries(self, world: str, limit: int, offset: int = 0) -> list[Delivery]:
        """Give deliveries of a world, the newest first."""

    @abstractmethod
    def attempts(self, task_id: str) -> list[Attempt]:
        """Give the recorded attempts of a task's delivery, in their order."""

    @abstractmethod
    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left; one that has never been charged has all it starts with."""

    @abstractmethod
    def close(self) -> None:
        """Release the store. What was accepted stays."""
