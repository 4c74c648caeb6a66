"""Sending an answer: whole, or broken on the wire as its fault says."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from apixo_emulator.domain.faults import announced_bytes
from apixo_emulator.domain.wire import HttpResponse, WireFault

# Where the protocol leaves the connection for those who have to break it.
TRANSPORT = "apixo.transport"
# Closing with this option throws away what is unsent and resets the connection.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_DRIP_S = 0.01


async def send_response(response: HttpResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer to a call."""
    if response.fault is WireFault.DRIP:
        await _dripping(response, send)
    elif response.fault is not None:
        break_off(response, scope["extensions"][TRANSPORT])
        await _gone(receive)
    else:
        body = b"" if scope["method"] == "HEAD" else response.body
        await send(_start(response))
        await send({"type": "http.response.body", "body": body})


def _start(response: HttpResponse) -> dict[str, Any]:
    length = b"%d" % len(response.body)
    headers = [*response.headers, (b"content-length", length)]
    return {"type": "http.response.start", "status": response.status, "headers": headers}


def break_off(response: HttpResponse, transport: asyncio.Transport) -> None:
    """Perform a fault that ends the connection: reset it, or announce more than comes."""
    if response.fault is WireFault.RESET:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        return
    head = b"HTTP/1.1 %d %b\r\n" % (
        response.status,
        HTTPStatus(response.status).phrase.encode(),
    )
    headers = (*response.headers, (b"content-length", b"%d" % announced_bytes(response)))
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    transport.write(head + lines + b"\r\n" + response.body)
    transport.close()


async def _dripping(response: HttpResponse, send: Send) -> None:
    await send(_start(response))
    for value in response.body:
        await send({"type": "http.response.body", "body": bytes((value,)), "more_body": True})
        await asyncio.sleep(_DRIP_S)
    await send({"type": "http.response.body", "body": b""})


async def drip(written: bytes, transport: asyncio.Transport) -> None:
    """Write an answer a byte at a time."""
    for value in written:
        if transport.is_closing():  # the caller has gone
            return
        transport.write(bytes((value,)))
        await asyncio.sleep(_DRIP_S)


async def _gone(receive: Receive) -> None:
    """Wait until the server has seen that the connection is gone, so that it answers nothing."""
    while (await receive())["type"] != "http.disconnect":
        pass
