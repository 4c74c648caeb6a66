"""The embedded store: one SQLite file in WAL mode, or memory."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from apixo_emulator.core.accounts import Account
from apixo_emulator.core.tasks import Task
from apixo_emulator.storage.base import Charge, StoreError

_COLUMNS = (
    "id, account_id, resolution, output_format, request_type, callback_url, image_url,"
    " scenario, created_ms, starts_ms, ends_ms, fail_code, fail_msg, settled"
)
_INSERT = f"INSERT INTO tasks ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - constants
_SELECT = f"SELECT {_COLUMNS} FROM tasks"  # noqa: S608 - constants
# Another process may hold the write lock for the length of one small transaction.
_BUSY_TIMEOUT_S = 10.0
_SEED_BITS = 63


def _task(row: tuple[Any, ...]) -> Task:
    return Task(*row)  # the columns stand in the order of the fields


def _row(task: Task) -> tuple[object, ...]:
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


def _statements(script: str) -> Iterator[str]:
    """Cut a script, since sqlite3 runs a whole one only outside a transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _migrations() -> list[str]:
    folder = files("apixo_emulator.storage") / "migrations"
    scripts = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=str)
    return [entry.read_text("utf-8") for entry in scripts]


class SqliteStore:
    """A store in one SQLite file; ``path`` None keeps it in memory.

    A submit is committed before it is answered and survives the death of the process
    (``synchronous=NORMAL``: after a loss of power the last submits may be gone, the file is sound).

    Raises:
        StoreError: The file cannot be opened, is no store, or was made by a newer version.
    """

    def __init__(self, path: Path | None) -> None:
        self._where = str(path) if path else ":memory:"
        # One connection for all threads: writes are short, and memory is bound to its connection.
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(
                self._where,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot use {self._where} as the emulator's store: {error}. "
                "Choose another folder with --data, or --ephemeral to keep nothing."
            ) from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._migrate()

    def _migrate(self) -> None:
        scripts = _migrations()
        with self._transaction():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(scripts):
                raise StoreError(
                    f"{self._where} was written by a newer apixo-emulator (schema {version}, this "
                    f"one knows {len(scripts)}). Upgrade apixo-emulator, or choose another --data."
                )
            for script in scripts[version:]:
                for statement in _statements(script):
                    self._db.execute(statement)
            # PRAGMA takes no parameters; the number is this program's own.
            self._db.execute(f"PRAGMA user_version={len(scripts)}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def seed(self, proposed: int | None) -> int:
        """Keep and give the seed; see `Store.seed`."""
        with self._transaction():
            row = self._db.execute("SELECT value FROM settings WHERE name='seed'").fetchone()
            if proposed is None:
                proposed = int(row[0]) if row else secrets.randbits(_SEED_BITS)
            self._db.execute("INSERT OR REPLACE INTO settings VALUES ('seed', ?)", (str(proposed),))
        return proposed

    def accept(self, account: Account, charge: Charge, draft: Callable[[int], Task]) -> Task | None:
        """Charge the account and keep its next task, both or neither; see `Store.accept`."""
        with self._transaction():
            row = self._charge(account, charge)
            if row is None:
                self._db.execute(
                    "INSERT INTO accounts VALUES (?,?,?,0,0) ON CONFLICT DO NOTHING",
                    (account.id, account.label, charge.starting_micros),
                )
                row = self._charge(account, charge)
            if row is None:
                return None
            task = draft(row[0])
            self._db.execute(_INSERT, _row(task))
        return task

    def _charge(self, account: Account, charge: Charge) -> tuple[int] | None:
        price = charge.price_micros
        found = self._db.execute(
            "UPDATE accounts SET spent_micros=spent_micros+?, accepted=accepted+1"
            " WHERE id=? AND granted_micros-spent_micros>=? RETURNING accepted",
            (price, account.id, price),
        ).fetchone()
        return (found[0],) if found else None

    def task(self, task_id: str) -> Task | None:
        """Give a task."""
        with self._lock:
            row = self._db.execute(f"{_SELECT} WHERE id=?", (task_id,)).fetchone()
        return _task(row) if row else None

    def unsettled_tasks(self) -> list[Task]:
        """Give the tasks whose source picture still has to be looked at, the oldest first."""
        with self._lock:
            rows = self._db.execute(f"{_SELECT} WHERE settled=0 ORDER BY number").fetchall()
        return [_task(row) for row in rows]

    def settle(self, task: Task) -> None:
        """Write a settled task's end and outcome, unless it was settled already."""
        with self._lock:
            self._db.execute(
                "UPDATE tasks SET settled=1, ends_ms=?, fail_code=?, fail_msg=?"
                " WHERE id=? AND settled=0",
                (task.ends_ms, task.fail_code, task.fail_msg, task.id),
            )

    def balance_micros(self, account: Account, starting_micros: int) -> int:
        """Give what the account has left, in millionths of a USD."""
        with self._lock:
            row = self._db.execute(
                "SELECT granted_micros-spent_micros FROM accounts WHERE id=?", (account.id,)
            ).fetchone()
        return int(row[0]) if row else starting_micros

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()
