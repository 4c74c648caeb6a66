"""The page under ``/_emulator/``: every task live, and what steers them, rendered on the server."""

from apixo_emulator.http.dashboard.routes import Dashboard

__all__ = ["Dashboard"]
