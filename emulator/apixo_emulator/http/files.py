"""Result files: rendered in a thread, sent with ranges and conditions."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.responses import refusal
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.pictures import PictureStore, RenderedPicture

# Threads that may wait for a picture; the store of pictures bounds how many are rendered at once.
_THREADS = 8
# API calls go before rendering where all cores are busy.
_NICENESS = 10
_UNSATISFIABLE = 416
_BYTE_RANGE = re.compile(rb"(\d{0,18})-(\d{0,18})")


def _lower_priority() -> None:
    if sys.platform == "linux":  # elsewhere this would be the whole process
        os.nice(_NICENESS)


render_threads = ThreadPoolExecutor(_THREADS, "render", _lower_priority)


async def send_file(
    pictures: PictureStore, spec: PictureSpec, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer with the result, or the part of it that a Range header asks for."""
    try:
        response = await _response(pictures, spec, scope)
    except FileNotFoundError:
        # Evicted from the bounded store since it was found there: it is rendered again.
        response = await _response(pictures, spec, scope)
    await response(_without_other_ranges(scope), receive, _with_envelope(send))


async def _response(pictures: PictureStore, spec: PictureSpec, scope: Scope) -> Response:
    loop = asyncio.get_running_loop()
    picture: RenderedPicture = await loop.run_in_executor(render_threads, pictures.render, spec)
    headers = {
        "etag": picture.etag,
        "cache-control": "private, max-age=3600",
        "vary": "origin",  # a page may show a picture first, and then load it by a script
        # When the task ended, not when the file was rendered: that may happen more than once.
        "last-modified": formatdate(spec.made_ms / 1000, usegmt=True),
    }
    if _matches(picture.etag, Headers(scope=scope).get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        picture.path,
        headers=headers,
        media_type=picture.media_type,
        stat_result=picture.path.stat(),
    )


def _without_other_ranges(scope: Scope) -> Scope:
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


def _matches(etag: str, if_none_match: str | None) -> bool:
    """True if the client has this version (RFC 9110, 13.1.2: weak comparison)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
