"""What a page's form sends, read within bounds."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

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
