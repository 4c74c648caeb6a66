"""Rows of a store and the values that they stand for; the same for every SQL engine."""

from __future__ import annotations

from typing import Any

from apixo_emulator.core.deliveries import Attempt, Delivery, DeliveryState
from apixo_emulator.core.tasks import Task

# The columns stand in the order of the fields.
TASK = (
    "id, account_id, resolution, output_format, request_type, callback_url, image_url,"
    " scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled"
)
TASK_WITHOUT_SOURCE = TASK.replace("image_url", "''")
DELIVERY = "task_id, url, origin, base_url, depth, state, due_ms, attempts, tries"
ATTEMPT = "task_id, number, at_ms, duration_ms, status, excerpt, error"

Row = tuple[Any, ...]


def columns(names: str) -> int:
    """Count the columns of one of the lists above."""
    return names.count(",") + 1


def task_of(row: Row) -> Task:
    """Read a row of `TASK`."""
    return Task(*row)


def row_of_task(task: Task) -> Row:
    """Write a row of `TASK`."""
    return (
        task.id,
        task.account_id,
        task.resolution,
        task.output_format,
        task.request_type,
        task.callback_url,
        task.image_url,
        task.scenario,
        task.created_ms,
        task.starts_ms,
        task.ends_ms,
        task.fail_code,
        task.fail_msg,
        task.settled,
    )


def delivery_of(row: Row) -> Delivery:
    """Read a row of `DELIVERY`."""
    task_id, url, origin, base_url, depth, state, due_ms, attempts, tries = row
    return Delivery(
        task_id=task_id,
        url=url,
        origin=origin,
        base_url=base_url,
        depth=depth,
        state=DeliveryState(state),
        due_ms=due_ms,
        attempts=attempts,
        tries=tries,
    )


def row_of_delivery(delivery: Delivery) -> Row:
    """Write a row of `DELIVERY`."""
    return (
        delivery.task_id,
        delivery.url,
        delivery.origin,
        delivery.base_url,
        delivery.depth,
        delivery.state.value,
        delivery.due_ms,
        delivery.attempts,
        delivery.tries,
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
