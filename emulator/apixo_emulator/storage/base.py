"""What a store promises. `now` and all decisions come from the caller; a store only keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from apixo_emulator.core.accounts import Account
from apixo_emulator.core.tasks import Task


class StoreError(Exception):
    """The store cannot be used; the message says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an accepted task costs, and what an account starts with, in millionths of a USD."""

    price_micros: int
    starting_micros: int


class Store(Protocol):
    """Tasks and accounts, safe to use from several threads."""

    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed: the proposed one, else the kept one, else a new random one."""
        ...

    def accept(self, account: Account, charge: Charge, draft: Callable[[int], Task]) -> Task | None:
        """Charge the account and keep its next task, both or neither.

        ``draft`` makes the task from the account's count of accepted tasks, this one included.
        None says that the balance does not cover the price; then nothing has changed.
        """
        ...

    def task(self, task_id: str) -> Task | None:
        """Give a task."""
        ...

    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""
        ...

    def settle(self, task: Task) -> None:
        """Write a settled task's end and outcome, unless it was settled already."""
        ...

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left; one that has never been charged has all it starts with."""
        ...

    def close(self) -> None:
        """Release the store. What was accepted stays."""
        ...
