"""A data folder with a million tasks, made by copying a row of one that the emulator made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from apixo_bench.servers import CannotRunError, Checkout, emulator, running

_BATCH = 100_000


def fill(checkout: Checkout, folder: Path, tasks: int) -> list[str]:
    """Put this many tasks into a folder for `servers.emulator`; gives the ids of some of them.

    Raises:
        CannotRunError: The emulator does not start, or keeps no tasks in SQLite.
    """
    with running(emulator(checkout, "--latency", "0"), folder) as server:
        for _ in range(min(tasks, 64)):
            server.submit()
    found = sorted(folder.glob("data/*.sqlite3"))
    if not found:
        raise CannotRunError(f"no SQLite file in {folder / 'data'}")
    with closing(sqlite3.connect(found[0])) as db:
        _copy(db, tasks)
        step = max(1, tasks // 256)
        return [row[0] for row in db.execute("SELECT id FROM tasks WHERE number % ? = 0", (step,))]


def _copy(db: sqlite3.Connection, wanted: int) -> None:
    """Copy the first task under ids of their own: random ones, the hardest for an index."""
    columns = [row[1] for row in db.execute("PRAGMA table_info(tasks)")]
    kept = [name for name in columns if name not in ("number", "id")]
    names = ", ".join(kept)
    (there,) = db.execute("SELECT count(*) FROM tasks").fetchone()
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    while there < wanted:
        batch = min(_BATCH, wanted - there)
        db.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)"  # noqa: S608 - names of columns
            f" INSERT INTO tasks (id, {names}) SELECT lower(hex(randomblob(16))), {names}"
            " FROM n, (SELECT * FROM tasks ORDER BY number LIMIT 1)",
            (batch,),
        )
        db.commit()
        there += batch
