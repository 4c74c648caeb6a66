"""The journal of a world that several processes serve: through the store, a moment later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import orjson

from apixo_emulator.core.journal import Answered, JournalEntry
from apixo_emulator.core.wire import HttpResponse
from apixo_emulator.service.journal import CAPACITY, Journal
from apixo_emulator.storage import Store

# Every process shares what it has answered after this time at the latest.
SHARE_S = 0.1
# A reader waits so long for the others, so that all that was answered before it came is there.
_PATIENCE_S = 0.15


class SharedJournal:
    """The face of `Journal`; calls are kept in memory until `share` writes them into the store."""

    def __init__(self, store: Store, world_id: str, known_keys: Iterable[str] = ()) -> None:
        self._store = store
        self._world_id = world_id
        self._own = Journal(known_keys=known_keys)
        self._shared = 0
        self._lock = threading.Lock()

    def append(self, call: Answered, response: HttpResponse, duration_us: int) -> int:
        """Keep a call; see `Journal.append`. Its number comes when it is shared."""
        return self._own.append(call, response, duration_us)

    def share(self) -> None:
        """Write what was not shared yet into the store."""
        if self._own.last == self._shared:
            return
        with self._lock:
            entries = self._own.entries(after=self._shared)
            if not entries:
                return
            written = [orjson.dumps(entry.to_json()).decode() for entry in entries]
            self._store.add_to_journal(self._world_id, written, CAPACITY)
            self._shared = entries[-1].number

    @property
    def last(self) -> int:
        """The number of the newest entry that was shared."""
        self.share()
        return self._store.last_in_journal(self._world_id)

    def entries(
        self,
        after: int = 0,
        limit: int | None = None,
        where: Callable[[JournalEntry], bool] | None = None,
    ) -> list[JournalEntry]:
        """Give entries of all processes; see `Journal.entries`. Waits a moment for the others."""
        self.share()
        time.sleep(_PATIENCE_S)
        rows = self._store.journal(self._world_id, after, CAPACITY)
        entries = [JournalEntry.from_json(orjson.loads(text), number) for number, text in rows]
        return [entry for entry in entries if where is None or where(entry)][:limit]

    def entry(self, number: int) -> JournalEntry | None:
        """Give one entry, None where it never was or has made room."""
        self.share()
        found = self._store.journal(self._world_id, number - 1, 1)
        if not found or found[0][0] != number:
            return None
        return JournalEntry.from_json(orjson.loads(found[0][1]), number)

    def clear(self) -> None:
        """Forget everything that was answered until now."""
        with self._lock:
            self._own.clear()
            self._shared = 0
            self._store.clear_journal(self._world_id)
