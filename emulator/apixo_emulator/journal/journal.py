"""The journals of all worlds: the last calls of each, and a bound on the memory of all."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.journal.entry import Answered, JournalEntry, TruncatedBody, entry_of
from apixo_emulator.journal.secrets import LONGEST_FORM
from apixo_emulator.storage import Store

# Calls of a world.
CAPACITY = 2000
# Bytes of the journals of all worlds in a process.
MAX_BYTES = 64 * 2**20
# Bytes of a body.
BODY_LIMIT = 65_536
# What an entry and each of its headers take beside their texts, roughly.
_ENTRY_BYTES = 1024
_HEADER_BYTES = 160
# How often every process looks whether a reader has asked, in seconds.
SHARE_S = 0.1
# How long a reader waits for the other processes, and again while entries come; and at most.
_PATIENCE_S = 0.15
_LONGEST_WAIT_S = 3.0
# Entries that are written at once: 20 ms.
_LOT = 200

# A call, its response, the microseconds it took, its bytes, and bodies that were cut. A plain tuple
# and not a value class: every call makes one.
_Kept = tuple[Answered, HttpResponse, int, int, TruncatedBody | None, TruncatedBody | None]


class JournalBudget:
    """The bytes that the journals of all worlds may take together; the oldest calls go first.

    ``order`` has the journals of all kept calls, the oldest call first, by the identity of what is
    kept. Journals keep it and ``bytes`` up to date themselves, under ``lock``: every call does.
    """

    __slots__ = ("bytes", "lock", "max_bytes", "order")

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.Lock()
        self.bytes = 0
        self.order: OrderedDict[int, Journal] = OrderedDict()

    def make_room(self) -> None:
        """Drop the oldest calls, of any world, until the others fit; the newest one stays."""
        while self.bytes > self.max_bytes and len(self.order) > 1:
            next(iter(self.order.values())).drop_oldest()


class Journal:
    """The journal of one world. It keeps calls as they are, and makes entries of them when read.

    Safe to use from several threads. ``known_keys`` are masked wherever they are in any call,
    beside the key of the call itself.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        budget: JournalBudget | None = None,
        known_keys: Iterable[str] = (),
    ) -> None:
        self._capacity = capacity
        self._budget = budget or JournalBudget()
        self._known = tuple(known_keys)
        self._longest = max(map(len, self._known), default=0)
        self._kept: deque[_Kept] = deque()
        self._last = 0
        self._lock = self._budget.lock

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 where there is none; `clear` starts again at 0."""
        return self._last

    def append(self, call: Answered, response: HttpResponse, duration_us: int) -> int:
        """Keep a call and return its number; the oldest ones make room.

        The journal owns the call from now on, and may put a shorter body into it.
        """
        request = call.request
        head = len(request.query) + len(request.path)
        for name, value in request.headers:
            head += len(name) + len(value) + _HEADER_BYTES
        body, answer = len(request.body), len(response.body)
        if body > BODY_LIMIT or answer > BODY_LIMIT:
            kept = self._truncated(call, response, duration_us, head)
        else:
            size = head + body + answer + _ENTRY_BYTES
            kept = (call, response, duration_us, size, None, None)
        budget = self._budget
        with self._lock:
            self._kept.append(kept)
            self._last += 1
            budget.order[id(kept)] = self
            budget.bytes += kept[3]
            if len(self._kept) > self._capacity:
                self.drop_oldest()
            if budget.bytes > budget.max_bytes:
                budget.make_room()
            return self._last

    def _truncated(
        self, call: Answered, response: HttpResponse, duration_us: int, head: int
    ) -> _Kept:
        """Keep only the two ends of long bodies."""
        # The secrets are in the head, and may take their longest form in a body.
        margin = LONGEST_FORM * max(head, self._longest)
        asked = TruncatedBody.of(call.request.body, BODY_LIMIT, margin)
        answered = TruncatedBody.of(response.body, BODY_LIMIT, margin)
        ends = sum(len(body.head) + len(body.tail) for body in (asked, answered))
        call.request = call.request._replace(body=b"")
        response = response._replace(body=b"")
        return call, response, duration_us, head + ends + _ENTRY_BYTES, asked, answered

    def drop_oldest(self) -> None:
        """Drop the oldest call; the lock of the budget is held."""
        kept = self._kept.popleft()
        del self._budget.order[id(kept)]
        self._budget.bytes -= kept[3]

    def entries(
        self,
        after: int = 0,
        limit: int | None = None,
        where: Callable[[JournalEntry], bool] | None = None,
    ) -> list[JournalEntry]:
        """Return entries with numbers above ``after``, the oldest first, ``limit`` at most.

        ``where`` picks some of them, e.g. `CallFilter.matches`.
        """
        with self._lock:
            first = self._last - len(self._kept) + 1
            skipped = max(0, after - first + 1)
            kept = list(islice(self._kept, skipped, None))
        found: list[JournalEntry] = []
        for number, one in enumerate(kept, start=first + skipped):
            if limit is not None and len(found) >= limit:
                break
            entry = self._entry(number, one)
            if where is None or where(entry):
                found.append(entry)
        return found

    def begin(self, _epoch: int) -> None:
        """Forget everything: the world was reset."""
        self.clear()

    def clear(self) -> None:
        """Forget everything; the next call is number 1 again."""
        with self._lock:
            while self._kept:
                self.drop_oldest()
            self._last = 0

    def _entry(self, number: int, kept: _Kept) -> JournalEntry:
        call, response, duration_us, _, *bodies = kept
        return entry_of(number, call, response, duration_us, bodies=bodies, known=self._known)


class SharedJournal:
    """The journal of a world that several processes serve; it has the methods of `Journal`.

    Calls stay in memory until a reader asks for them: to write each one into the store would cost
    more than to answer it. Then every process writes its own there, see `Worlds.share`.
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
        self._instants: dict[int, int] = {}
        self._shared = 0
        self._lock = threading.Lock()

    def append(self, call: Answered, response: HttpResponse, duration_us: int) -> int:
        """Keep a call; see `Journal.append`. Its number comes when it is shared."""
        number = self._own.append(call, response, duration_us)
        self._instants[number] = _now_us(self._store.now())
        self._instants.pop(number - CAPACITY, None)
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
        """Write the calls that were not shared yet into the store."""
        if not self.unshared:
            return
        with self._lock:
            entries = self._own.entries(after=self._shared)
            for start in range(0, len(entries), _LOT):
                lot = entries[start : start + _LOT]
                now_us = _now_us(self._store.now())  # of a call that is being added
                written = [
                    (self._instants.get(entry.number, now_us), entry.to_text()) for entry in lot
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
        """Return entries of all processes; see `Journal.entries`. Waits a moment for the others."""
        self._gather()
        most = CAPACITY if where or limit is None else limit
        rows = self._store.journal(self._channel, after, most)
        entries = [JournalEntry.from_text(text, number) for number, text in rows]
        return [entry for entry in entries if where is None or where(entry)][:limit]

    def _gather(self) -> None:
        """Wait until all processes have shared: until no more entries come."""
        until = time.monotonic() + _LONGEST_WAIT_S
        last = self.last
        while time.monotonic() < until:
            time.sleep(_PATIENCE_S)
            before, last = last, self._store.journal_length(self._channel)
            if last == before:
                return


def _now_us(store_ms: int) -> int:
    """Return the store's instant in µs: the machine's clock, moved by as many ms as the two differ."""
    machine_us = time.time_ns() // 1000
    return machine_us + (store_ms - machine_us // 1000) * 1000
