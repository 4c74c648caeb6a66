"""The journal of a world: its last calls, bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.journal.entry import Answered, JournalEntry, entry_of
from apixo_emulator.journal.kept_body import KeptBody, kept_body
from apixo_emulator.journal.masking import LONGEST_FORM

CAPACITY = 2000
MAX_BYTES = 16 * 2**20
# Of a body, in bytes.
BODY_LIMIT = 65_536
# What an entry and each of its headers take beside their texts, roughly.
_ENTRY_BYTES = 1024
_HEADER_BYTES = 160

# A call, its answer, the microseconds it took, its bytes, and bodies that were cut. A plain tuple
# and not a value class: every call makes one.
_Kept = tuple[Answered, HttpResponse, int, int, KeptBody | None, KeptBody | None]


class Journal:
    """Keeps calls as they are, and makes entries of them when somebody reads.

    Safe to use from several threads. ``known_keys`` are masked wherever they stand in any call,
    beside the key of the call itself.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        max_bytes: int = MAX_BYTES,
        known_keys: Iterable[str] = (),
    ) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._known = tuple(known_keys)
        self._longest = max(map(len, self._known), default=0)
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        self._last = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 where there is none; `clear` starts again at 0."""
        return self._last

    @property
    def bytes(self) -> int:
        """What the kept calls take, roughly."""
        return self._bytes

    def append(self, call: Answered, response: HttpResponse, duration_us: int) -> int:
        """Keep a call; the oldest ones make room. Gives its number.

        The journal has the call from now on, and may put a shorter body into it.
        """
        request = call.request
        head = len(request.query) + len(request.path)
        for name, value in request.headers:
            head += len(name) + len(value) + _HEADER_BYTES
        body, answer = len(request.body), len(response.body)
        size = head + body + answer + _ENTRY_BYTES
        if body > BODY_LIMIT or answer > BODY_LIMIT:
            kept = self._cut(call, response, duration_us, head)
        else:
            kept = (call, response, duration_us, size, None, None)
        with self._lock:
            self._kept.append(kept)
            self._bytes += kept[3]
            self._last += 1
            if len(self._kept) > self._capacity or self._bytes > self._max_bytes:
                self._make_room()
            return self._last

    def _cut(self, call: Answered, response: HttpResponse, duration_us: int, head: int) -> _Kept:
        """Keep the two ends of long bodies only."""
        # Whatever secrets the head holds, in any form.
        margin = LONGEST_FORM * max(head, self._longest)
        asked = kept_body(call.request.body, BODY_LIMIT, margin)
        answered = kept_body(response.body, BODY_LIMIT, margin)
        ends = sum(len(body.head) + len(body.tail) for body in (asked, answered))
        call.request = call.request._replace(body=b"")
        response = response._replace(body=b"")
        return call, response, duration_us, head + ends + _ENTRY_BYTES, asked, answered

    def _make_room(self) -> None:
        while len(self._kept) > self._capacity or (
            self._bytes > self._max_bytes and len(self._kept) > 1
        ):
            self._bytes -= self._kept.popleft()[3]

    def entries(
        self,
        after: int = 0,
        limit: int | None = None,
        where: Callable[[JournalEntry], bool] | None = None,
    ) -> list[JournalEntry]:
        """Give entries with numbers above ``after``, the oldest first, ``limit`` at most.

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

    def entry(self, number: int) -> JournalEntry | None:
        """Give one entry, None where it never was or has made room."""
        with self._lock:
            at = number - (self._last - len(self._kept) + 1)
            kept = self._kept[at] if 0 <= at < len(self._kept) else None
        return self._entry(number, kept) if kept else None

    def clear(self) -> None:
        """Forget everything; the next call is number 1 again."""
        with self._lock:
            self._kept.clear()
            self._bytes = self._last = 0

    def __len__(self) -> int:
        return len(self._kept)

    def _entry(self, number: int, kept: _Kept) -> JournalEntry:
        call, response, duration_us, _, asked, answered = kept
        return entry_of(
            number,
            call,
            response,
            duration_us,
            asked=asked,
            answered=answered,
            known=self._known,
        )
