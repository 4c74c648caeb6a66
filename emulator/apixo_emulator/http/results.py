"""Delivering a result picture: drawn in a thread, sent as a file with ranges and conditions."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.http.precedence import stand_back
from apixo_emulator.pictures import Gallery, RenderedPicture

# Threads that may wait for a picture; how many are drawn at once the gallery bounds itself.
_ASKED_AT_ONCE = 8
_UNSATISFIABLE = 416
_BYTE_RANGE = re.compile(rb"(\d{0,18})-(\d{0,18})")


class ResultDesk:
    """Sends results. Drawing happens in threads of its own and never delays an API call."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._pool = ThreadPoolExecutor(
            _ASKED_AT_ONCE, thread_name_prefix="render", initializer=stand_back
        )

    async def send(self, spec: PictureSpec, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the picture, or the part of it that a Range header asks for."""
        try:
            response = await self._response(spec, scope)
        except FileNotFoundError:
            # Evicted from the bounded cache since it was found there: it is drawn again.
            response = await self._response(spec, scope)
        await response(_understood(scope), receive, _with_envelope(send))

    async def _response(self, spec: PictureSpec, scope: Scope) -> Response:
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(self._pool, self._gallery.render, spec)
        return _response(picture, Headers(scope=scope))

    def close(self) -> None:
        """Stop; a drawing under way is finished first."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _response(picture: RenderedPicture, asked: Headers) -> Response:
    headers = {"etag": picture.etag, "cache-control": "private, max-age=3600"}
    if _known(picture.etag, asked.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        picture.path,
        headers=headers,
        media_type=picture.media_type,
        stat_result=picture.path.stat(),
    )


def _understood(scope: Scope) -> Scope:
    """Leave out a Range header that is no byte range: it is to be ignored (RFC 9110, 14.2)."""
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"range" or _is_byte_ranges(value)
    ]
    return {**scope, "headers": headers}


def _is_byte_ranges(value: bytes) -> bool:
    unit, _, ranges = value.partition(b"=")
    found = [_BYTE_RANGE.fullmatch(part.strip()) for part in ranges.split(b",")]
    return unit.lower() == b"bytes" and all(
        part and (part[1] or part[2]) and not (part[1] and part[2] and int(part[1]) > int(part[2]))
        for part in found
    )


def _with_envelope(send: Send) -> Send:
    """Answer a range beyond the file as an error of the catalogue, not as plain text."""
    replaced: HttpResponse | None = None

    async def sending(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] == _UNSATISFIABLE:
            kept = [header for header in message["headers"] if header[0] == b"content-range"]
            replaced = refusal("range_not_satisfiable", *kept)
            length = (b"content-length", b"%d" % len(replaced.body))
            message = {**message, "headers": [*replaced.headers, length]}
        elif replaced is not None:
            message = {**message, "body": replaced.body}
        await send(message)

    return sending


def _known(etag: str, if_none_match: str | None) -> bool:
    """Tell whether the caller has this version (RFC 9110, 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
