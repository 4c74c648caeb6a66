"""A listening socket: several processes let callers in in turn, and whoever was let in stays in."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

_log = logging.getLogger("apixo_emulator")
# No descriptor or memory is left; others may give some back.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S = 1.0
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


class Doorkeeper:
    """Lets callers in one by one, a turn of the event loop each, while `stop` was not called.

    For a socket that several processes share: an event loop of its own accepts all that wait at once, so
    that the first to wake has all connections of a client's pool and the others have none. This way
    one that is busy comes round less often, and lets in fewer.
    """

    def __init__(self, door: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        door.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._door = door
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._open()

    def _open(self) -> None:
        self._loop.add_reader(self._door, self._let_in)

    def _let_in(self) -> None:
        try:
            caller, _ = self._door.accept()
        except BlockingIOError:
            # Another process was quicker. Linux wakes first whoever came last: next time it is our turn.
            self._loop.remove_reader(self._door)
            self._open()
            return
        except OSError as error:  # mostly the caller has gone
            if error.errno in _EXHAUSTED:
                _log.error("nobody can be let in for %d s: %s", _PAUSE_S, error.strerror)
                self._loop.remove_reader(self._door)
                self._later = self._loop.call_later(_PAUSE_S, self._open)
            return
        caller.setblocking(False)  # noqa: FBT003 - the standard library's signature
        coming = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, caller))
        self._coming.add(coming)
        coming.add_done_callback(self._came)

    def _came(self, coming: asyncio.Task[object]) -> None:
        self._coming.discard(coming)
        if not coming.cancelled() and (error := coming.exception()):  # he has gone meanwhile
            _log.debug("a caller could not be let in: %s", error)

    def stop(self) -> None:
        """Let nobody in any more."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._door)


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
