"""The inbox: the emulator's own receiver of callbacks, which keeps the latest ones within bounds."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.service import Emulator
from apixo_emulator.storage import Store, StoreUnavailable
from apixo_schemas import contract

# Percent-encoding makes up to three bytes of one; base64 has few that need it.
_ENCODED = 1.5
_MOST_FIELDS = 100


class TooLargeError(ValueError):
    """The form is larger than what the API itself would take."""


async def read_form(request: Request) -> dict[str, str]:
    """Read a form that is sent URL-encoded; the last of several equal names counts.

    Raises:
        TooLargeError: It is too large.
        ValueError: It has too many fields.
    """
    content = await read_bounded(request, round(contract().assumed("body.limit") * _ENCODED))
    # In a thread: an inlined photograph has megabytes.
    return await asyncio.to_thread(_fields, content)


def _fields(content: bytes) -> dict[str, str]:
    text = content.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))


async def read_bounded(request: Request, most: int) -> bytes:
    """Read a body of at most so many bytes.

    Raises:
        TooLargeError: It is larger.
    """
    content = bytearray()
    try:
        async for piece in request.stream():
            content += piece
            if len(content) > most:
                raise TooLargeError(f"expected at most {most} bytes, found more")
    except ClientDisconnect:
        return b""
    return bytes(content)


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
        """Return what is kept, the newest first."""
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
        return self._store.journal_length(INBOX)

    def put(self, item: Received) -> None:
        """See `Inbox.put`."""
        self._store.add_to_journal(INBOX, [(item.at_ms * 1000, json.dumps(asdict(item)))], _KEPT)

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


_LEAST_STATUS, _MOST_STATUS = 200, 599
_BODILESS = frozenset({204, 205, 304})
# A browser says so when a web page calls; no callback has these.
_OF_PAGES = ("origin", "sec-fetch-site")


class Receiver:
    """Answers callbacks with 200, or with what ``?status=`` asks for, and keeps them."""

    def __init__(self, emulator: Emulator, inbox: Inbox) -> None:
        self._emulator = emulator
        self._inbox = inbox

    async def receive(self, request: Request) -> Response:
        """Take one callback. Receivers are called by their URL alone, so there is no other check."""
        if any(name in request.headers for name in _OF_PAGES):
            return _says(403, "The inbox takes callbacks, not calls of web pages.")
        status = _status(request.query_params.get("status", "200"))
        if status is None:
            return _says(400, f"status: expected {_LEAST_STATUS} to {_MOST_STATUS}")
        try:
            body = await read_bounded(request, contract().assumed("body.limit"))
            await asyncio.to_thread(self._keep, request, body, status)
        except TooLargeError as error:
            return _says(413, str(error))
        except StoreUnavailable as error:
            return _says(503, str(error))
        return _says(status, "received")

    def _keep(self, request: Request, body: bytes, status: int) -> None:
        worlds = self._emulator.worlds
        raw = request.headers.raw
        self._inbox.put(received(worlds.now(worlds.one), mask_of(raw).headers(raw), body, status))


def _status(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) == len(str(_MOST_STATUS))):
        return None
    status = int(text)
    return status if _LEAST_STATUS <= status <= _MOST_STATUS else None


def _says(status: int, words: str) -> Response:
    body = None if status in _BODILESS else f"{words}\n"
    return Response(body, status, media_type="text/plain")
