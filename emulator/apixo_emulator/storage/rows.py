"""Rows of a store and the values that they stand for; the same for every SQL engine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from apixo_emulator.domain.deliveries import Attempt, Delivery, DeliveryState
from apixo_emulator.domain.effects import Effects
from apixo_emulator.domain.tasks import Task

# The columns stand in the order of the fields.
TASK = (
    "id, world, account_id, resolution, output_format, request_type, callback_url, image_url,"
    " scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled, limited, effects"
)
TASK_WITHOUT_SOURCE = TASK.replace("image_url", "''")
# For lists: an inlined picture may be megabytes.
TASK_WITH_A_GLANCE = TASK.replace("image_url", "substr(image_url, 1, 200)")
DELIVERY = "task_id, world, url, origin, base_url, depth, state, due_ms, attempts, tries, accepted"
ATTEMPT = "task_id, number, at_ms, duration_ms, status, excerpt, error"

Row = tuple[Any, ...]


def columns(names: str) -> int:
    """Count the columns of one of the lists above."""
    return names.count(",") + 1


def task_of(row: Row) -> Task:
    """Read a row of `TASK`."""
    if row[-1] is None:
        return Task(*row)
    return Task(*row)._replace(effects=_effects(row[-1]))


@lru_cache(maxsize=1024)
def _effects(text: str) -> Effects:
    return Effects.from_json(orjson.loads(text))


def row_of_task(task: Task) -> Row:
    """Write a row of `TASK`."""
    effects = orjson.dumps(task.effects.to_json()).decode() if task.effects else None
    return (*task[:-2], int(task.limited), effects)


def delivery_of(row: Row) -> Delivery:
    """Read a row of `DELIVERY`."""
    task_id, world, url, origin, base_url, depth, state, due_ms, attempts, tries, accepted = row
    return Delivery(
        task_id=task_id,
        world=world,
        url=url,
        origin=origin,
        base_url=base_url,
        depth=depth,
        state=DeliveryState(state),
        due_ms=due_ms,
        attempts=attempts,
        tries=tries,
        accepted=accepted,
    )


def row_of_delivery(delivery: Delivery) -> Row:
    """Write a row of `DELIVERY`."""
    return (
        delivery.task_id,
        delivery.world,
        delivery.url,
        delivery.origin,
        delivery.base_url,
        delivery.depth,
        delivery.state.value,
        delivery.due_ms,
        delivery.attempts,
        delivery.tries,
        delivery.accepted,
    )


def attempt_of(row: Row) -> Attempt:
    """Read a row of `ATTEMPT`."""
    return Attempt(*row)


def row_of_attempt(attempt: Attempt) -> Row:
    """Write a row of `ATTEMPT`."""
    return (
        attempt.task_id,
        attempt.number,
        attempt.at_ms,
        attempt.duration_ms,
        attempt.status,
        attempt.excerpt,
        attempt.error,
    )
