"""The log on stderr. A reader that does not read it never blocks the emulator."""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

from apixo_emulator.settings import LogFormat, LogLevel

# Lines that wait to be written; more are dropped.
_MOST_WAITING = 10_000
_LAST_LINES_S = 1.0


class _Text(logging.Formatter):
    """One line for each message: it may repeat what a client has sent, line ends included."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the parent
        """Return the line of a record, with escapes for what is not printable."""
        line = super().formatMessage(record)
        if line.isprintable():
            return line
        return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in line)


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _BackgroundHandler(logging.Handler):
    """Writes lines to stderr in a thread: a full pipe blocks the thread and not the caller."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; a thread writes it."""
        with suppress(queue.Full):
            self._lines.put_nowait(self.format(record))

    def flush(self) -> None:
        """Write what waits, unless stderr takes too long; nothing is written afterwards."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(_LAST_LINES_S)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            # Not by `sys.stderr.write`: it would hold a lock that the end of the process waits for.
            with suppress(OSError, ValueError):  # stderr is closed
                os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))


def configure_logs(form: LogFormat, level: LogLevel, *, quiet: bool) -> None:
    """Send this process's log to stderr in a format, or with ``quiet`` nowhere."""
    handler = logging.NullHandler() if quiet else _BackgroundHandler()
    text = _Text("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_Json() if form is LogFormat.JSON else text)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("apixo_emulator").setLevel(level.upper())
