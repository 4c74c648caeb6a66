"""Where tasks and accounts live. `Store` says what a store does; `SqliteStore` does it."""

from apixo_emulator.storage.base import Charge, Store, StoreError
from apixo_emulator.storage.sqlite import SqliteStore

__all__ = ["Charge", "SqliteStore", "Store", "StoreError"]
