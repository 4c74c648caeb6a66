"""Result files in process: whole, a part of them, or not at all where the caller has them."""

from __future__ import annotations

import re

from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.testing.studio import Picture

_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")


def result_response(request: HttpRequest, picture: Picture) -> HttpResponse:
    """Answer with a result; a Range that is no single byte range is ignored (RFC 9110, 14.2)."""
    shared = (
        (b"content-type", picture.media_type.encode()),
        (b"etag", picture.etag.encode()),
        (b"cache-control", b"private, max-age=3600"),
        (b"accept-ranges", b"bytes"),
    )
    if _knows(request, picture.etag):
        return HttpResponse(304, b"", shared[1:3])
    size = len(picture.body)
    part = _part(request, picture.etag, size)
    if part is None:
        return HttpResponse(200, picture.body, shared)
    if not part:
        return refusal("range_not_satisfiable", (b"content-range", b"bytes */%d" % size))
    shown = b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)
    body = picture.body[part.start : part.stop]
    return HttpResponse(206, body, (*shared, (b"content-range", shown)))


def _knows(request: HttpRequest, etag: str) -> bool:
    """Tell whether the caller has this version (RFC 9110, 13.1.2: weak comparison)."""
    known = request.header(b"if-none-match")
    if known is None:
        return False
    tags = {tag.strip().removeprefix(b"W/") for tag in known.split(b",")}
    return b"*" in tags or etag.encode() in tags


def _part(request: HttpRequest, etag: str, size: int) -> range | None:
    """Give the bytes that are asked for, none where they lie beyond; None for all."""
    given = _RANGE.fullmatch(request.header(b"range") or b"")
    if given is None or request.header(b"if-range") not in (None, etag.encode()):
        return None
    first, last = given[1], given[2]
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
