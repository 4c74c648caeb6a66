"""The journal of a world that several processes serve: through the store, when somebody reads it.

A call is written there only once one of them is asked for the journal: to write each would cost more
than to answer it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import orjson

from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.journal.entry import Answered, JournalEntry
from apixo_emulator.journal.journal import CAPACITY, Journal, JournalBudget
from apixo_emulator.storage import Store

# So often every process looks whether one was asked.
SHARE_S = 0.1
# A reader waits so long for the others, and again while entries come, so that all that was answered
# before it came is there; but not for ever.
_PATIENCE_S = 0.15
_LONGEST_WAIT_S = 3.0
# Entries that are written at once: 20 ms.
_LOT = 200


class SharedJournal:
    """The face of `Journal`; calls are kept in memory until `share` writes them into the store.

    Whoever reads asks the other processes to share, see `Worlds.share`.
    """

    def __init__(
        self,
        store: Store,
        epoch: int,
        budget: JournalBudget | None = None,
        known_keys: Iterable[str] = (),
    ) -> None:
        self._store = store
        # Entries of an epoch lie together, so that those from before a reset are never seen again.
        self._channel = str(epoch)
        self._own = Journal(budget=budget, known_keys=known_keys)
        # When the entries were made, by their numbers, to put those of all processes in order.
        self._instants = [0] * CAPACITY
        self._shared = 0
        self._lock = threading.Lock()

    def append(self, call: Answered, response: HttpResponse, duration_us: int) -> int:
        """Keep a call; see `Journal.append`. Its number comes when it is shared."""
        number = self._own.append(call, response, duration_us)
        self._instants[number % CAPACITY] = _now_us(self._store.now())
        return number

    def begin(self, epoch: int) -> None:
        """Forget everything: the world was reset, by this process or another."""
        with self._lock:
            self._channel = str(epoch)
            self._own.clear()
            self._shared = 0

    @property
    def unshared(self) -> bool:
        """Whether calls were answered that are not in the store yet."""
        return self._own.last != self._shared

    def share(self) -> None:
        """Write what was not shared yet into the store."""
        if not self.unshared:
            return
        with self._lock:
            entries = self._own.entries(after=self._shared)
            for start in range(0, len(entries), _LOT):
                lot = entries[start : start + _LOT]
                written = [
                    (
                        self._instants[entry.number % CAPACITY],
                        orjson.dumps(entry.to_json()).decode(),
                    )
                    for entry in lot
                ]
                self._store.add_to_journal(self._channel, written, CAPACITY)
                self._shared = lot[-1].number

    @property
    def last(self) -> int:
        """The number of the newest entry that was shared; the others' follow in a moment."""
        self.share()
        self._store.ask_for_journal()
        return self._store.journal_length(self._channel)

    def entries(
        self,
        after: int = 0,
        limit: int | None = None,
        where: Callable[[JournalEntry], bool] | None = None,
    ) -> list[JournalEntry]:
        """Give entries of all processes; see `Journal.entries`. Waits a moment for the others."""
        self._gather()
        rows = self._store.journal(self._channel, after, CAPACITY)
        entries = [JournalEntry.from_json(orjson.loads(text), number) for number, text in rows]
        return [entry for entry in entries if where is None or where(entry)][:limit]

    def _gather(self) -> None:
        """Have all processes share."""
        until = time.monotonic() + _LONGEST_WAIT_S
        last = self.last
        while time.monotonic() < until:
            time.sleep(_PATIENCE_S)
            before, last = last, self._store.journal_length(self._channel)
            if last == before:
                return

    def entry(self, number: int) -> JournalEntry | None:
        """Give one entry, None where it never was or has made room."""
        self.share()
        found = self._store.journal(self._channel, number - 1, 1)
        if not found or found[0][0] != number:
            return None
        return JournalEntry.from_json(orjson.loads(found[0][1]), number)


def _now_us(store_ms: int) -> int:
    """Return the store's instant in µs: the machine's clock, moved by as many ms as the two differ."""
    machine_us = time.time_ns() // 1000
    return machine_us + (store_ms - machine_us // 1000) * 1000
