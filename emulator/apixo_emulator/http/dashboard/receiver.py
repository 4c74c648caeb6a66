"""The inbox's door: the one call of the dashboard that anybody may make."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from apixo_emulator.http.dashboard.forms import TooLargeError, read_bounded
from apixo_emulator.http.dashboard.inbox import Inbox, received
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.service import Emulator
from apixo_emulator.storage import StoreUnavailable
from apixo_schemas import contract

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
