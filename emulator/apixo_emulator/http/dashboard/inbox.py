"""The inbox: the emulator's own receiver of callbacks, which keeps the latest ones within bounds."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from apixo_emulator.http.control import TooLargeError, read_body
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.runtime import Runtime
from apixo_emulator.storage import StoreUnavailable
from apixo_schemas import contract

INBOX = "inbox"
_KEPT = 200
_KEPT_BODY = 65_536
_LEAST_STATUS, _MOST_STATUS = 200, 599
_BODILESS = frozenset({204, 205, 304})
# A browser says so when a web page calls; no callback has these.
_OF_PAGES = ("origin", "sec-fetch-site")


class Inbox:
    """What was received, kept in the store: the processes of one server share it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def revision(self) -> int:
        """A number that is another one after each change."""
        return self._runtime.emulator.store.journal_length(INBOX)

    def received(self) -> list[dict[str, Any]]:
        """Return the callbacks that are kept, the newest first.

        Each has a ``number``, ``at_ms`` on the emulator's clock, ``headers``, ``body`` (cut), its
        ``size`` in bytes, the status that was ``answered``, and what its body says of a task.
        """
        rows = self._runtime.emulator.store.journal(INBOX, 0, _KEPT)
        return [{**json.loads(text), "number": number} for number, text in reversed(rows)]

    def clear(self) -> None:
        """Forget everything; the next callback is number 1."""
        self._runtime.emulator.store.clear_journal(INBOX)

    async def receive(self, request: Request) -> Response:
        """Take one callback; answer 200, or what ``?status=`` asks for.

        Receivers are called by their URL alone, so there is no other check.
        """
        if any(name in request.headers for name in _OF_PAGES):
            return _says(403, "The inbox takes callbacks, not calls of web pages.")
        asked = request.query_params.get("status", "200")
        status = int(asked) if asked.isascii() and asked.isdigit() and len(asked) == 3 else 0  # noqa: PLR2004 - digits of a status
        if not _LEAST_STATUS <= status <= _MOST_STATUS:
            return _says(400, f"status: expected {_LEAST_STATUS} to {_MOST_STATUS}")
        try:
            body = await read_body(request, contract().assumed("body.limit"))
            await asyncio.to_thread(self._keep, request, body, status)
        except TooLargeError as error:
            return _says(413, str(error))
        except StoreUnavailable as error:
            return _says(503, str(error))
        return _says(status, "received")

    def _keep(self, request: Request, body: bytes, status: int) -> None:
        emulator, raw = self._runtime.emulator, request.headers.raw
        at_ms = emulator.worlds.now(emulator.worlds.one)
        masked = mask_of(raw)
        # Masked before it is cut: half a secret would not be found.
        shown = masked.text(body[: 2 * _KEPT_BODY].decode("utf-8", "replace"))
        data = _data(shown)
        item = {
            "at_ms": at_ms,
            "headers": masked.headers(raw),
            "body": shown[:_KEPT_BODY],
            "size": len(body),
            "answered": status,
            "task_id": _text(data.get("taskId")),
            "state": _text(data.get("state")),
        }
        emulator.store.add_to_journal(INBOX, [(at_ms * 1000, json.dumps(item))], _KEPT)


def _data(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)["data"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _says(status: int, words: str) -> Response:
    body = None if status in _BODILESS else f"{words}\n"
    return Response(body, status, media_type="text/plain")


# Forms

# Percent-encoding makes up to three bytes of one; base64 has few that need it.
_ENCODED = 1.5
_MOST_FIELDS = 100


async def read_form(request: Request) -> dict[str, str]:
    """Read a form that is sent URL-encoded; the last of several equal names counts.

    Raises:
        TooLargeError: It is too large.
        ValueError: It has too many fields.
    """
    content = await read_body(request, round(contract().assumed("body.limit") * _ENCODED))
    # In a thread: an inlined photograph has megabytes.
    return await asyncio.to_thread(_fields, content)


def _fields(content: bytes) -> dict[str, str]:
    text = content.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
