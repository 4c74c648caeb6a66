"""Closing a listening socket so that whoever was let in stays in."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from contextlib import suppress

# Linux's number; the standard library does not name it.
_SO_ATTACH_FILTER = 26
# For the kernel's packet filter: a segment with SYN and without ACK is dropped, all others pass.
_NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone: go on, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)


def turn_newcomers_away(sock: socket.socket) -> None:
    """Let nobody begin to connect any more, as far as the system can: he tries again a second later.

    A socket that is closed while somebody connects resets him after he was let in: one of a few
    hundred callers meets that under load.
    """
    if sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *op) for op in _NO_NEWCOMERS))
    program = struct.pack("@HP", len(_NO_NEWCOMERS), ctypes.addressof(code))
    with suppress(OSError):  # the system has no filters; the window is small
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def last_callers(door: socket.socket) -> list[socket.socket]:
    """Close a listening socket; give those that were connected, as far as the system is concerned."""
    waiting = []
    with door, suppress(OSError):  # there is no other, or its caller has gone
        while True:
            waiting.append(door.accept()[0])
    for caller in waiting:
        caller.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return waiting
