"""Where tasks and accounts live. `Store` says what a store does; `SqliteStore` does it."""

from apixo_emulator.storage.base import (
    Charge,
    Claim,
    Entry,
    Order,
    Store,
    StoreError,
    StoreUnavailable,
)
from apixo_emulator.storage.sqlite import SqliteStore
from apixo_emulator.storage.sqlite_file import Durability
from apixo_emulator.storage.steering import (
    AccountRow,
    ListedTask,
    RuleRow,
    TaskQuery,
    WorldRow,
)

__all__ = [
    "AccountRow",
    "Charge",
    "Claim",
    "Durability",
    "Entry",
    "ListedTask",
    "Order",
    "RuleRow",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "TaskQuery",
    "WorldRow",
]
