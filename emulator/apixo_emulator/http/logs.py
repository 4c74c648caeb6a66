"""The log on stderr: what goes wrong on the emulator's side. Calls are in the journal."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from apixo_emulator.settings import LogFormat, LogLevel


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logs(form: LogFormat, level: LogLevel, *, quiet: bool) -> None:
    """Send this process's log to stderr, from a level on; of libraries, warnings and errors only."""
    handler = logging.NullHandler() if quiet else logging.StreamHandler()
    text = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_Json() if form is LogFormat.JSON else text)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("apixo_emulator").setLevel(level.upper())
