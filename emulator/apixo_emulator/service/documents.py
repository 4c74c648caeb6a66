"""The results of control operations, as JSON values."""

from __future__ import annotations

from typing import Any

from apixo_emulator.domain.accounts import Account, usd
from apixo_emulator.domain.deliveries import Attempt, Delivery
from apixo_emulator.domain.tasks import Task
from apixo_emulator.journal.secrets import masked_for_account
from apixo_emulator.scenarios.rules import Rule, rule_to_json
from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.limits import refunds_failed
from apixo_emulator.service.worlds import World
from apixo_emulator.storage import RuleRow
from apixo_schemas import contract

# A list does not carry inlined pictures.
_LONGEST_URL = 300


def task(task: Task, now_ms: int) -> dict[str, Any]:
    """Return a task: its state now, and its plan."""
    return {
        "taskId": task.id,
        "state": str(task.state_at(now_ms)),
        "account": task.account_id,
        "resolution": task.resolution,
        "outputFormat": task.output_format,
        "requestType": task.request_type,
        "imageUrl": _shown(task.image_url, task.account_id),
        "callbackUrl": (
            None if task.callback_url is None else _shown(task.callback_url, task.account_id)
        ),
        "scenario": task.scenario,
        "createTime": task.created_ms,
        "startTime": task.starts_ms,
        "endTime": task.ends_ms if task.settled else None,
        "failCode": task.fail_code,
        "failMsg": task.fail_msg,
        "cost": usd(contract().price_micros),
    }


def _shown(url: str, account_id: str) -> str:
    """Return a URL as it may be shown: cut, and without the account's key and other secrets."""
    # Masked before it is cut: half a key would not be found.
    masked = masked_for_account(url[: 2 * _LONGEST_URL], account_id)
    return masked if len(masked) <= _LONGEST_URL else f"{masked[:_LONGEST_URL]}…"


def delivery(delivery: Delivery, account_id: str) -> dict[str, Any]:
    """Return a callback's state."""
    return {
        "taskId": delivery.task_id,
        "url": _shown(delivery.url, account_id),
        "state": str(delivery.state),
        "dueTime": delivery.due_ms,
        "attempted": delivery.attempts,
    }


def attempt(attempt: Attempt, account_id: str) -> dict[str, Any]:
    """Return what came of one attempt of a callback, without the account's key and other secrets."""
    answer, error = (
        None if text is None else masked_for_account(text, account_id)
        for text in (attempt.excerpt, attempt.error)
    )
    return {
        "number": attempt.number,
        "time": attempt.at_ms,
        "durationMs": attempt.duration_ms,
        "status": attempt.status,
        "answer": answer,
        "error": error,
    }


def rule(rule: Rule, counts: RuleRow) -> dict[str, Any]:
    """Return a rule as it may be shown, with how often it was used."""
    return {
        "id": rule.id,
        **rule_to_json(rule, masked=True),
        "used": counts.used,
        "seen": counts.seen,
    }


def accounts(emulator: Emulator, world: World) -> list[dict[str, Any]]:
    """Return a world's accounts with their balances, in USD, and limits."""
    if refunds_failed():
        now_ms = emulator.worlds.now(world)
        for row in emulator.store.accounts(world.id):
            emulator.limits.balance_micros(Account(row.id, row.label, world.id), now_ms)
    terms = emulator.limits.terms
    return [
        {
            "account": row.id,
            "key": row.label,
            "balance": usd(row.granted_micros - row.spent_micros),
            "spent": usd(row.spent_micros),
            "accepted": row.accepted,
            "limits": terms[row.id].shown() if row.id in terms else None,
        }
        for row in emulator.store.accounts(world.id)
    ]


def config(emulator: Emulator, world: World) -> dict[str, Any]:
    """Return how the emulator behaves, without secrets."""
    options = emulator.options
    latency = options.latency.fixed_ms
    return {
        "world": world.id,
        "seed": emulator.worlds.row(world).seed,
        "worldPerKey": emulator.worlds.per_key,
        "latency": "realistic" if latency is None else latency,
        "startingBalance": usd(options.balance_micros),
        "anyKey": options.api_keys is None,
        "callbacks": {
            "mode": options.callbacks.mode.value,
            "retryDelaysMs": list(options.callbacks.delays_ms),
        },
        "publicUrl": options.public_url,
        "price": usd(contract().price_micros),
    }
