"""Where tasks and accounts live: `Store` says what a store does, `SqliteStore` and `PostgresStore` do it."""

from apixo_emulator.storage.admin_queries import Store
from apixo_emulator.storage.base import StoreError, StoreUnavailable, log_failure
from apixo_emulator.storage.rows import (
    AccountRow,
    Claim,
    Entry,
    RuleRow,
    TaskQuery,
    WorldRow,
)
from apixo_emulator.storage.sqlite import Durability, SqliteStore
from apixo_emulator.storage.transaction import Transaction

__all__ = [
    "AccountRow",
    "Claim",
    "Durability",
    "Entry",
    "RuleRow",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "TaskQuery",
    "Transaction",
    "WorldRow",
    "log_failure",
]
