"""Values that a store keeps, the rows that they are kept in, and the SQL that both engines speak."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import orjson

from apixo_emulator.domain.accounts import AccountState, Bucket
from apixo_emulator.domain.clock import ClockState
from apixo_emulator.domain.deliveries import Attempt, Delivery, DeliveryState
from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.tasks import Task

T = TypeVar("T")
Row = tuple[Any, ...]
# How an engine stores a text that a caller or a receiver wrote; it may hold a NUL character.
Stored = Callable[[str], object]


class Sql(Protocol):
    """The statements of one transaction.

    Placeholders are ``?``. Texts of callers and receivers go through `stored` and come back as text.
    """

    # What ends a SELECT whose rows the transaction is going to change; the second passes over rows
    # that another transaction has locked.
    lock: ClassVar[str]
    lock_free: ClassVar[str]
    # The name by which the engine finds a row of any table at once.
    row_id: ClassVar[str]

    @staticmethod
    def stored(text: str) -> object:
        """Return a text as the engine keeps it."""

    def run(self, query: str, *values: object) -> None:
        """Run a statement; in a transaction it may fail only at its end."""

    def insert(self, table: str, columns: str, values: Iterable[Row], conflict: str = "") -> None:
        """Insert rows; ``conflict`` is the clause about those that are there already."""

    def one(self, query: str, *values: object) -> Row | None:
        """Run a statement and return its first row."""

    def all(self, query: str, *values: object) -> list[Row]:
        """Run a statement and return its rows."""
        ...

    def later(self, query: str, *values: object) -> Callable[[], list[Row]]:
        """Run a statement and return what returns its rows.

        Several that are sent before the first is asked for share a round trip.
        """
        ...


class Entry(NamedTuple):
    """A task, and its delivery if it has one."""

    task: Task
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class WorldRow:
    """A world as it is kept; ``label`` is how a person may see its id.

    ``epoch`` is another number after each reset; ``rules`` is how many rules there are.
    """

    id: str
    label: str
    seed: int
    clock: ClockState = field(default_factory=ClockState)
    epoch: int = 0
    rules: int = 0


@dataclass(slots=True)
class RuleRow:
    """A rule as it is kept: its document, how often it was seen to fit, and how often it decided."""

    id: str
    document: str
    seen: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Which process claims deliveries, for how long in ms of the store's clock, and how many at most."""

    owner: str
    lease_ms: int
    limit: int
    # Receivers that have enough attempts under way already.
    skip_origins: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account that was charged or topped up at least once; money in millionths of a USD."""

    id: str
    label: str
    granted_micros: int
    spent_micros: int
    accepted: int


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list, the newest first; ``text`` is looked for in ids, names and codes.

    ``before`` is the number of the task after which the page begins; ``state`` is one of the four
    at ``now_ms``.
    """

    world: str
    now_ms: int
    limit: int = 100
    before: int | None = None
    state: str | None = None
    account_id: str | None = None
    text: str = ""


def padded(rows: Sequence[T]) -> list[T]:
    """Return rows with the last one repeated until their number is a power of two.

    Statements of few different lengths are the only ones that an engine has prepared.
    """
    return [*rows, *repeat(rows[-1], (1 << (len(rows) - 1).bit_length()) - len(rows))]


@lru_cache(maxsize=64)
def places(count: int, width: int = 0) -> str:
    """Return a list of placeholders, or of rows of so many placeholders each."""
    return ",".join(["?" if not width else f"({places(width)})"] * count)


# Columns in the order of the fields, to be read from `TASKS`: the tasks of the present epochs.
_PLAN = (
    "resolution, output_format, request_type, callback_url, image_url, scenario, created_ms,"
    " starts_ms, ends_ms, fail_code, fail_msg, settled, limited, effects"
)
TASK = f"tasks.id, worlds.id, tasks.epoch, account_id, {_PLAN}"
TASK_WITHOUT_SOURCE = TASK.replace("image_url", "''")
# For lists: an inlined picture may be megabytes.
TASK_WITH_A_GLANCE = TASK.replace("image_url", "substr(image_url, 1, 200)")
TASKS = "tasks JOIN worlds ON worlds.epoch = tasks.epoch"
TASK_COLUMNS = f"id, epoch, account_id, {_PLAN}"

_CALL = "url, origin, base_url, depth, state, due_ms, attempts, tries, accepted"
DELIVERY = f"deliveries.task_id, worlds.id, deliveries.epoch, {_CALL}"
DELIVERIES = "deliveries JOIN worlds ON worlds.epoch = deliveries.epoch"
DELIVERY_COLUMNS = f"task_id, epoch, {_CALL}"

ATTEMPT = "attempts.task_id, attempts.number, at_ms, duration_ms, status, excerpt, error"
ATTEMPT_COLUMNS = "epoch, task_id, number, at_ms, duration_ms, status, excerpt, error"

WORLD = "id, label, seed, real_base_ms, virtual_base_ms, rate, epoch, rules"
ACCOUNT = "id, granted_micros, spent_micros, accepted, callbacks, tokens, tokens_at_ms"


def task_of(row: Row) -> Task:
    """Read a row of `TASK`."""
    if row[-1] is None:
        return Task(*row)
    return Task(*row)._replace(effects=_effects(row[-1]))


@lru_cache(maxsize=1024)
def _effects(text: str) -> Effects:
    return Effects.from_json(orjson.loads(text))


def row_of_task(task: Task, stored: Stored) -> Row:
    """Return the values of `TASK_COLUMNS`."""
    callback_url = None if task.callback_url is None else stored(task.callback_url)
    effects = orjson.dumps(task.effects.to_json()).decode() if task.effects else None
    sources = (callback_url, stored(task.image_url))
    return (task.id, *task[2:7], *sources, *task[9:-2], int(task.limited), effects)


def delivery_of(row: Row) -> Delivery:
    """Read a row of `DELIVERY`."""
    values = list(row)
    values[7] = DeliveryState(row[7])
    return Delivery(*values)


def row_of_delivery(delivery: Delivery, stored: Stored) -> Row:
    """Return the values of `DELIVERY_COLUMNS`."""
    return (
        delivery.task_id,
        delivery.epoch,
        *map(stored, (delivery.url, delivery.origin, delivery.base_url)),
        delivery.depth,
        delivery.state.value,
        delivery.due_ms,
        delivery.attempts,
        delivery.tries,
        delivery.accepted,
    )


def row_of_attempt(epoch: int, attempt: Attempt, stored: Stored) -> Row:
    """Return the values of `ATTEMPT_COLUMNS`."""
    return (
        epoch,
        attempt.task_id,
        attempt.number,
        attempt.at_ms,
        attempt.duration_ms,
        attempt.status,
        stored(attempt.excerpt),
        None if attempt.error is None else stored(attempt.error),
    )


def world_of(row: Row) -> WorldRow:
    """Read a row of `WORLD`."""
    world_id, label, seed, real_base_ms, virtual_base_ms, rate, epoch, rules = row
    clock = ClockState(real_base_ms, virtual_base_ms, rate)
    return WorldRow(world_id, label, int(seed), clock, epoch, rules)


def account_of(row: Row) -> AccountState:
    """Read a row of `ACCOUNT`."""
    _, granted, spent, accepted, callbacks, tokens, at_ms = row
    bucket = None if tokens is None else Bucket(tokens, at_ms)
    return AccountState(granted, spent, accepted, callbacks, bucket)


def values_of_account(account: AccountState) -> Row:
    """Return the values of `ACCOUNT` that change."""
    bucket = account.bucket
    return (
        account.granted_micros,
        account.spent_micros,
        account.accepted,
        account.callbacks,
        None if bucket is None else bucket.tokens,
        None if bucket is None else bucket.at_ms,
    )


def number(sql: Sql, query: str, *values: object, default: int = 0) -> int:
    """Run a statement and return the number that it finds, ``default`` where it finds none."""
    row = sql.one(query, *values)
    return default if row is None or row[0] is None else int(row[0])


def askable(name: str) -> str:
    """Return an id that a caller asks for; "" in place of one that no row can have."""
    return name if name.isascii() and "\0" not in name else ""
