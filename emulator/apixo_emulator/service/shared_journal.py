"""The journal of a world that several processes serve: through the store, a moment later."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

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

    def __init__(self, store: Store, world_id: str) -> None:
        self._store = store
        self._world_id = world_id
        self._own = Journal()
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
        entries = [_read(number, orjson.loads(text)) for number, text in rows]
        return [entry for entry in entries if where is None or where(entry)][:limit]

    def entry(self, number: int) -> JournalEntry | None:
        """Give one entry, None where it never was or has made room."""
        self.share()
        found = self._store.journal(self._world_id, number - 1, 1)
        return _read(number, orjson.loads(found[0][1])) if found and found[0][0] == number else None

    def clear(self) -> None:
        """Forget everything that was answered until now."""
        with self._lock:
            self._own.clear()
            self._shared = 0
            self._store.clear_journal(self._world_id)


def _read(number: int, written: Mapping[str, Any]) -> JournalEntry:
    asked, answered = written["request"], written["response"]
    return JournalEntry(
        number=number,
        at_ms=written["time"],
        duration_us=written["durationUs"],
        world=written["world"],
        key=written["key"],
        method=asked["method"],
        path=asked["path"],
        query=asked["query"],
        request_headers=_pairs(asked["headers"]),
        request_body=_bytes(asked),
        request_bytes=asked["bytes"],
        status=answered["status"],
        response_headers=_pairs(answered["headers"]),
        response_body=_bytes(answered),
        response_bytes=answered["bytes"],
        endpoint=written["endpoint"],
        task_id=written["taskId"],
        broken_rule=written["brokenRule"],
        decision=written["decision"],
        scenario=written["scenario"],
        rule=written["rule"],
        why_not=tuple((entry["rule"], entry["reason"]) for entry in written["whyNot"]),
        fault=written["fault"],
        base_url=asked["url"].removesuffix(_target(asked)),
    )


def _target(asked: Mapping[str, Any]) -> str:
    return f"{asked['path']}{'?' if asked['query'] else ''}{asked['query']}"


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)


def _bytes(message: Mapping[str, Any]) -> bytes:
    text: str = message["body"]
    return base64.b64decode(text) if "encoding" in message else text.encode()
