"""How long a connection is kept, what ends with it, and who is waited for."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from support.process import Running, running

pytestmark = pytest.mark.slow

AUTH = "Host: a\r\nAuthorization: Bearer sk-test-0123456789abcd\r\n"
POLL = f"GET /api/v1/statusTask/image-upscaler?taskId=x HTTP/1.1\r\n{AUTH}\r\n".encode()
NOPE = f"GET /nope HTTP/1.1\r\n{AUTH}\r\n".encode()
# A connection that is kept for nothing ends after 5 s. No waiting for anything: the pauses are what is
# tested.
PAUSE_S = 4.0
LEFT_S = 1.6
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    with running("--ephemeral", "--latency", "0", "--balance", "1", cwd=folder) as running_:
        yield running_


def submit(url: str) -> bytes:
    body = json.dumps({"input": {"image_urls": [url]}})
    head = f"POST /api/v1/generateTask/image-upscaler HTTP/1.1\r\n{AUTH}"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def balance(server: Running) -> float:
    headers = {"Authorization": "Bearer sk-test-0123456789abcd"}
    answer = httpx.get(f"{server.base_url}/apikeys/current-balance", headers=headers)
    return float(answer.json()["data"])


def test_every_call_and_every_answer_keeps_the_connection(server: Running) -> None:
    """An answer of either way, and a call that has begun to come."""
    with server.dial() as one, server.dial() as other:
        for connection in (one, other):
            connection.sendall(POLL)
            assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        time.sleep(PAUSE_S)
        one.sendall(NOPE)
        assert one.recv(65536).startswith(b"HTTP/1.1 404")
        other.sendall(POLL[:40])
        time.sleep(LEFT_S)
        one.sendall(POLL)
        assert one.recv(65536).startswith(b"HTTP/1.1 404")
        other.sendall(POLL[40:])
        assert other.recv(65536).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("scenario", ["drip", "truncated", "reset"])
def test_nothing_is_answered_or_charged_behind_an_answer_that_ends_the_connection(
    server: Running, scenario: str
) -> None:
    before = balance(server)
    spoilt = submit(f"https://example.com/emulate/{scenario}.jpg")
    came = b""
    with server.dial() as connection:
        connection.sendall(spoilt + POLL + submit("https://example.com/input.jpg"))
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                came += more
                with suppress(OSError):  # behind the beginning of the answer, too
                    connection.sendall(submit("https://example.com/input.jpg"))
    assert came.count(b"HTTP/1.1") == (0 if scenario == "reset" else 1)
    assert balance(server) == pytest.approx(before - 0.01)


@pytest.mark.parametrize("call", [POLL, NOPE])
def test_a_caller_that_reads_no_answers_is_not_read_either(server: Running, call: bytes) -> None:
    with server.dial() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(2)
        sent = 0
        with suppress(TimeoutError):
            while sent < 64 * MIB:
                sent += connection.send(call * 500)
        assert sent < 32 * MIB
    with server.dial() as another:
        another.sendall(POLL)
        assert another.recv(65536).startswith(b"HTTP/1.1 404")
