"""The built-in receiver of callbacks: keeps the latest ones, within bounds."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from apixo_emulator.storage import Store

INBOX = "inbox"
_KEPT = 200
_KEPT_BODY = 65_536


@dataclass(frozen=True, slots=True)
class Received:
    """A callback that came. ``at_ms`` is the emulator's clock; of a long body the rest is left out.

    ``task_id`` and ``state`` are what its body says, None where it says nothing.
    """

    number: int
    at_ms: int
    headers: tuple[tuple[str, str], ...]
    body: str
    size: int
    answered: int
    task_id: str | None
    state: str | None


def received(
    at_ms: int, headers: tuple[tuple[str, str], ...], body: bytes, answered: int
) -> Received:
    """Make what is kept of a callback; its number comes when it is kept."""
    data = _data(body)
    return Received(
        number=0,
        at_ms=at_ms,
        headers=headers,
        body=body[:_KEPT_BODY].decode("utf-8", "replace"),
        size=len(body),
        answered=answered,
        task_id=_text(data.get("taskId")),
        state=_text(data.get("state")),
    )


def _data(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


class Inbox(Protocol):
    """What was received; safe to use from several threads."""

    @property
    def revision(self) -> int:
        """A number that is another one after each change."""
        ...

    def put(self, item: Received) -> None:
        """Keep a callback; the oldest makes room."""
        ...

    def received(self) -> list[Received]:
        """Give what is kept, the newest first."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class OwnInbox:
    """The inbox of an emulator that is one process: in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Received] = deque(maxlen=_KEPT)
        self._last = 0
        self._revision = 0

    @property
    def revision(self) -> int:
        """See `Inbox.revision`."""
        return self._revision

    def put(self, item: Received) -> None:
        """See `Inbox.put`."""
        with self._lock:
            self._last += 1
            self._revision += 1
            self._kept.appendleft(replace(item, number=self._last))

    def received(self) -> list[Received]:
        """See `Inbox.received`."""
        with self._lock:
            return list(self._kept)

    def clear(self) -> None:
        """See `Inbox.clear`; the next callback is number 1 again."""
        with self._lock:
            self._kept.clear()
            self._last = 0
            self._revision += 1


class SharedInbox:
    """The inbox of several processes: in their store, beside the journals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def revision(self) -> int:
        """See `Inbox.revision`."""
        return self._store.last_in_journal(INBOX)

    def put(self, item: Received) -> None:
        """See `Inbox.put`."""
        self._store.add_to_journal(INBOX, [json.dumps(asdict(item))], _KEPT)

    def received(self) -> list[Received]:
        """See `Inbox.received`."""
        rows = self._store.journal(INBOX, 0, _KEPT)
        return [_read(number, json.loads(text)) for number, text in reversed(rows)]

    def clear(self) -> None:
        """See `Inbox.clear`."""
        self._store.clear_journal(INBOX)


def _read(number: int, written: dict[str, Any]) -> Received:
    headers = tuple((name, value) for name, value in written["headers"])
    return Received(**{**written, "number": number, "headers": headers})
