"""Where tasks and accounts live. `Store` says what a store does; `SqliteStore` does it."""

from apixo_emulator.storage.base import (
    Charge,
    Claim,
    Entry,
    Store,
    StoreError,
    StoreUnavailable,
)
from apixo_emulator.storage.sqlite import Durability, SqliteStore

__all__ = [
    "Charge",
    "Claim",
    "Durability",
    "Entry",
    "SqliteStore",
    "Store",
    "StoreError",
    "StoreUnavailable",
]
