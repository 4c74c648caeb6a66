"""Several processes on one socket: start them, replace one that dies, end them together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from apixo_emulator.http.node import Place, run_node
from apixo_emulator.settings import Settings

_log = logging.getLogger("apixo_emulator")
# A forked process would share the parent's locks and threads; a spawned one starts clean.
_SPAWN = multiprocessing.get_context("spawn")
# Longer than a node's own grace.
_END_S = 15.0


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


@dataclass(slots=True)
class _Node:
    process: SpawnProcess
    # A Connection, or on Windows a PipeConnection.
    ready: Any


def supervise(
    settings: Settings, place: Place, sock: socket.socket, started: Callable[[], object]
) -> None:
    """Run ``settings.workers`` nodes until SIGINT or SIGTERM; ``started`` is called when all answer.

    Raises:
        StartError: A node ended before it answered a call.
    """
    with _signals() as stop:
        nodes = [_start(settings, place, sock) for _ in range(settings.workers)]
        try:
            for node in nodes:
                if _comes_up(node, stop) is False:
                    return
            started()
            while (died := _first_dead(nodes, stop)) is not None:
                _log.warning(
                    "worker process %s ended with %s; another takes its place",
                    died.process.pid,
                    died.process.exitcode,
                )
                nodes.remove(died)
                nodes.append(_start(settings, place, sock))
                if _comes_up(nodes[-1], stop) is False:
                    return
        finally:
            # The nodes answer what waits on the socket; what waited on this one would be cut off.
            sock.close()
            _end(nodes)


def _start(settings: Settings, place: Place, sock: socket.socket) -> _Node:
    ready, tell = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_node, args=(settings, place, sock, tell))
    process.start()
    tell.close()
    return _Node(process, ready)


def _node(settings: Settings, place: Place, sock: socket.socket, tell: Any) -> None:
    parent = multiprocessing.parent_process()
    # A node must not outlive its parent, which alone holds the data folder's lock.
    until = None if parent is None else parent.join
    run_node(settings, place, sock, lambda: tell.send(True), until=until)  # noqa: FBT003 - any value


def _comes_up(node: _Node, stop: int) -> bool:
    """Wait until a node answers; False if the server is to stop before."""
    ready = wait([node.ready, stop])
    if stop in ready:
        return False
    try:
        node.ready.recv()
    except EOFError:
        node.process.join()
        raise StartError(
            f"a worker process ended with {node.process.exitcode} before it answered a call; "
            "its own message stands above"
        ) from None
    return True


def _first_dead(nodes: list[_Node], stop: int) -> _Node | None:
    """Wait until a node dies, None if the server is to stop before."""
    by_sentinel = {node.process.sentinel: node for node in nodes}
    ended = wait([*by_sentinel, stop])
    if stop in ended:
        return None
    died = next(by_sentinel[sentinel] for sentinel in by_sentinel if sentinel in ended)
    died.process.join()
    return died


def _end(nodes: list[_Node]) -> None:
    for node in nodes:
        node.process.terminate()
    for node in nodes:
        node.process.join(_END_S)
        if node.process.is_alive():
            _log.error("worker process %s did not end in time and is killed", node.process.pid)
            node.process.kill()
            node.process.join()


@contextmanager
def _signals() -> Iterator[int]:
    """Give a descriptor that becomes readable on SIGINT and SIGTERM."""
    read, write = os.pipe()

    def note(_number: int, _frame: FrameType | None) -> None:
        os.write(write, b"!")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield read
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)
