"""Name resolution that can be given up: `getaddrinfo` blocks and knows no time limit.

A few daemon threads do the lookups, so that hanging ones exhaust neither the event loop's own threads nor
memory, and hold up no shutdown.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from typing import Final

from apixo_emulator.domain.addresses import is_loopback_name

MAX_LOOKUPS: Final = 8
"""Lookups that run at once; further ones wait, within their caller's time limit."""

BlockingResolver = Callable[[str, int], list[str]]
AsyncResolver = Callable[[str, int], Awaitable[list[str]]]
_Job = tuple[Future[list[str]], Callable[[], list[str]]]


class LookupPool:
    """Daemon threads around a queue; started one by one as lookups come in."""

    def __init__(self, threads: int = MAX_LOOKUPS) -> None:
        self._queue: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._to_start = threads

    def submit(self, lookup: Callable[[], list[str]]) -> Future[list[str]]:
        """Queue a lookup; cancelling the future drops it if it has not begun."""
        future: Future[list[str]] = Future()
        self._queue.put((future, lookup))
        with self._lock:
            if self._to_start:
                self._to_start -= 1
                threading.Thread(target=self._work, name="apixo-lookup", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            future, lookup = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(lookup())
                except Exception as error:  # noqa: BLE001 - belongs to whoever waits for the future
                    future.set_exception(error)
            del future, lookup  # an idle thread keeps nothing alive


@cache
def lookup_pool() -> LookupPool:
    """The pool of this process."""
    return LookupPool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lookup_pool.cache_clear)  # threads do not survive a fork


def system_addresses(host: str, port: int) -> list[str]:
    """Resolve a name as the system does, except that loopback names never leave the machine.

    Raises:
        OSError: the name does not resolve.
    """
    if is_loopback_name(host):
        return ["127.0.0.1", "::1"]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


async def system_resolver(host: str, port: int) -> list[str]:
    """Resolve as `system_addresses` does, without blocking the event loop."""
    return await asyncio.wrap_future(lookup_pool().submit(lambda: system_addresses(host, port)))
