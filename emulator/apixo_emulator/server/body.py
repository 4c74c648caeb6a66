"""Reading a request's body without ever holding more than the limit."""

from __future__ import annotations

from starlette.types import Receive, Scope

from apixo_schemas import contract


class BodyTooLargeError(Exception):
    """The body is larger than the contract's limit (assumption ``body.limit``)."""


class ClientGoneError(Exception):
    """The caller hung up before its body was complete."""


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the whole body; one that announces too much is refused before a byte of it is read.

    Raises:
        BodyTooLargeError: It exceeds the limit.
        ClientGoneError: The caller hung up.
    """
    limit: int = contract().assumed("body.limit")
    if _announced(scope) > limit:
        raise BodyTooLargeError
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")  # the ordinary case: one piece, no copy
        if len(body) > limit:
            raise BodyTooLargeError
        return body
    pieces = bytearray()
    while message["type"] == "http.request":
        pieces += message.get("body", b"")
        if len(pieces) > limit:
            raise BodyTooLargeError
        if not message.get("more_body"):
            return bytes(pieces)
        message = await receive()
    raise ClientGoneError
