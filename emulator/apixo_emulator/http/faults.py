"""Break a response on the wire as its fault says: reset, cut off, or sent a byte at a time."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.responses import announced_bytes
from apixo_emulator.domain.wire import HttpResponse, WireFault

# The scope's extension in which `EnvelopeProtocol` passes the transport of a connection.
TRANSPORT = "apixo.transport"
# Closing with this option discards unsent data and resets the connection.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DRIP_S = 0.01


async def send_faulty(response: HttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response that has a fault.

    Servers other than ``serve`` offer no access to the connection: there a reset shows as a response
    that ends early.

    Raises:
        ConnectionResetError: To make such a server close the connection.
    """
    transport = scope.get("extensions", {}).get(TRANSPORT)
    if response.fault is WireFault.DRIP:
        await _send_slowly(response, send)
    elif transport is not None:
        break_off(response, transport)
        # The server must see the connection end before this returns, else it would answer 500.
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        await send(_start(response))
        if response.fault is WireFault.TRUNCATED:
            await send({"type": "http.response.body", "body": response.body, "more_body": True})
        raise ConnectionResetError(f"the scenario asks for this fault: {response.fault}")


def break_off(response: HttpResponse, transport: asyncio.Transport) -> None:
    """End a connection by a reset, or after less than the response announces."""
    if response.fault is WireFault.RESET:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        return
    transport.write(head(response, announced_bytes(response)) + response.body)
    transport.close()


async def send_slowly(response: HttpResponse, transport: asyncio.Transport) -> None:
    """Write a response a byte at a time, then close the connection."""
    for value in head(response, len(response.body)) + response.body:
        if transport.is_closing():  # the client has disconnected
            return
        transport.write(bytes((value,)))
        await asyncio.sleep(_DRIP_S)
    transport.close()


def head(response: HttpResponse, length: int) -> bytes:
    """Return the head of the last response on a connection, without the server's own headers."""
    phrase = HTTPStatus(response.status).phrase.encode()
    lines = b"".join(b"%b: %b\r\n" % header for header in response.headers)
    return b"HTTP/1.1 %d %b\r\n%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (
        response.status,
        phrase,
        lines,
        length,
    )


def _start(response: HttpResponse) -> dict[str, object]:
    length = (b"content-length", b"%d" % announced_bytes(response))
    headers = [*response.headers, length]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


async def _send_slowly(response: HttpResponse, send: Send) -> None:
    await send(_start(response))
    for value in response.body:
        await send({"type": "http.response.body", "body": bytes((value,)), "more_body": True})
        await asyncio.sleep(_DRIP_S)
    await send({"type": "http.response.body", "body": b""})
