"""Reading a request's body without ever holding more than the limit."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope

from apixo_schemas import contract

# Bytes.
_LITTLE = 65_536
# For the whole of a body; generous for a slow link, yet nobody holds memory for ever.
_PATIENCE_S = 60.0


class BodyTooLargeError(Exception):
    """The body is larger than the contract's limit (assumption ``body.limit``)."""


class ClientGoneError(Exception):
    """The caller hung up before its body was complete."""


def _announced(scope: Scope) -> int | None:
    """Give the announced length in bytes, None where the body comes in chunks."""
    length: int | None = 0
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
        if name == b"transfer-encoding":
            length = None
    return length


def announces_little(scope: Scope) -> bool:
    """Tell whether reading the body is cheaper than asking first whether it is wanted."""
    announced = _announced(scope)
    return announced is not None and announced <= _LITTLE


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the whole body; one that announces too much is refused before a byte of it is read.

    Raises:
        BodyTooLargeError: It exceeds the limit.
        ClientGoneError: The caller hung up.
        TimeoutError: It did not arrive in time.
    """
    limit: int = contract().assumed("body.limit")
    if (_announced(scope) or 0) > limit:
        raise BodyTooLargeError
    message = await _soon(receive)
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")  # the ordinary case: one piece, no copy
        if len(body) > limit:
            raise BodyTooLargeError
        return body
    async with asyncio.timeout(_PATIENCE_S):
        return await _pieces(message, receive, limit)


async def _soon(receive: Receive) -> Message:
    async with asyncio.timeout(_PATIENCE_S):
        return await receive()


async def _pieces(message: Message, receive: Receive, limit: int) -> bytes:
    pieces = bytearray()
    while message["type"] == "http.request":
        pieces += message.get("body", b"")
        if len(pieces) > limit:
            raise BodyTooLargeError
        if not message.get("more_body"):
            return bytes(pieces)
        message = await receive()
    raise ClientGoneError
