"""Responses that never end, expand or trickle: the client bounds what it reads."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apixo_client import (
    Apixo,
    AsyncApixo,
    DownloadError,
    RetryPolicy,
    TransportError,
)

ONCE = RetryPolicy(attempts=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PICTURE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
MIB = 1024 * 1024


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Answer one connection by hand, on a thread."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            try:
                answer(connection)
            except OSError:
                hung_up.set()

    hung_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    def sync_call(url: str, method: str, *args: Any) -> Any:
        with Apixo("key", url, retry=ONCE, http_timeout=1) as client:
            return getattr(client, method)(*args)

    async def async_call(url: str, method: str, *args: Any) -> Any:
        async with AsyncApixo("key", url, retry=ONCE, http_timeout=1) as client:
            return await getattr(client, method)(*args)

    if request.param == "sync":
        return sync_call
    return lambda *args: asyncio.run(async_call(*args))


def endless(connection: socket.socket, head: bytes = OK) -> None:
    connection.sendall(head + b"\r\n")
    while True:
        connection.sendall(b" " * 65536)


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_an_endless_response_is_given_up(call: Callable[..., Any]) -> None:
    with (
        server(endless) as url,
        memory_below(8 * MIB),
        pytest.raises(TransportError, match="longer than 1,048,576 bytes"),
    ):
        call(url, "balance")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_response_that_expands_is_given_up(call: Callable[..., Any], encoding: str) -> None:
    spaces = b" " * (16 * MIB)
    bomb = gzip.compress(spaces) if encoding == "gzip" else zlib.compress(spaces)
    head = b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(bomb))
    with (
        server(lambda connection: connection.sendall(OK + head + bomb)) as url,
        memory_below(8 * MIB),
        pytest.raises(TransportError, match="longer than 1,048,576 bytes"),
    ):
        call(url, "balance")


@pytest.mark.slow
def test_a_response_that_trickles_is_given_up(call: Callable[..., Any]) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b" ")
            threading.Event().wait(0.01)

    with server(trickle) as url, pytest.raises(TransportError, match=r"longer than 2 s"):
        call(url, "balance")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "piece"),
    [(OK + b"X-Slow: ", b"x"), (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")],
    ids=["bytes", "interim responses"],
)
def test_a_head_that_trickles_is_given_up(start: bytes, piece: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            threading.Event().wait(0.01)

    async def run(url: str) -> None:
        async with AsyncApixo("key", url, retry=ONCE, http_timeout=0.5) as client:
            await client.balance()

    with server(trickle) as url, pytest.raises(TransportError, match=r"longer than 1 s"):
        asyncio.run(run(url))


@pytest.mark.slow
def test_a_picture_that_is_sent_along_gets_more_time(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    def answer_late(connection: socket.socket) -> None:
        content = b""
        while not content.endswith(b"}}"):
            piece = connection.recv(65536)
            if not piece:
                return
            content += piece
        for _ in range(5):
            threading.Event().wait(0.5)
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        body = b'{"code": 200, "data": {"taskId": "task_1"}}'
        connection.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    picture = tmp_path / "in.png"
    picture.write_bytes(bytes(MIB))
    with server(answer_late) as url:
        assert call(url, "submit", picture).id == "task_1"


def test_a_result_that_expands_takes_no_memory(call: Callable[..., Any], tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * (16 * MIB))
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with (
        server(lambda connection: connection.sendall(PICTURE + head + bomb)) as url,
        memory_below(8 * MIB),
    ):
        assert call(url, "download", f"{url}/x", tmp_path / "out").stat().st_size == 16 * MIB


def test_a_result_of_a_size_that_no_picture_has_is_not_begun(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    head = PICTURE + b"Content-Length: 1073741825\r\n"
    with (
        server(lambda connection: endless(connection, head)) as url,
        pytest.raises(DownloadError, match="longer than 1,073,741,824 bytes"),
    ):
        call(url, "download", f"{url}/x", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_endless_error_of_a_download_is_not_read(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    gone = b"HTTP/1.1 410 Gone\r\n"
    with (
        server(lambda connection: endless(connection, gone)) as url,
        memory_below(8 * MIB),
        pytest.raises(Exception, match="410"),
    ):
        call(url, "download", f"{url}/x", tmp_path / "out")
