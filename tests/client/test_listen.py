"""`CallbackServer` over real sockets, and the command `apixo-client listen`, which prints what comes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from apixo_client import CallbackReply, CallbackRequest, CallbackServer
from apixo_schemas import document

SUCCESS: dict[str, Any] = document("callback.json")["examples"][0]
BODY = json.dumps(SUCCESS).encode()
FAILED = {"data": {"taskId": "t2", "state": "failed", "failCode": "Timeout", "failMsg": "too late"}}
PRINTED = "success task_12345678 https://file.apixo.ai/upscaled-image.jpg"


# The server


class Receiver:
    """A server that keeps what it received."""

    def __init__(self) -> None:
        self.calls: list[CallbackRequest] = []
        self.url = ""

    def answer(self, call: CallbackRequest) -> CallbackReply:
        self.calls.append(call)
        return CallbackReply(200, "ok")

    def send(self, *pieces: bytes) -> list[bytes]:
        """Send pieces on one connection, and return what was answered after each."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            answers = []
            for piece in pieces:
                connection.sendall(piece)
                answers.append(connection.recv(4096))
            return answers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with CallbackServer(receiver.answer) as server:
        receiver.url = server.url
        yield receiver


def test_a_call_is_received_as_it_was_sent(receiver: Receiver) -> None:
    answer = httpx.post(f"{receiver.url}/hook?secret=s", content=BODY, headers={"X-Trace": "1"})
    assert (answer.status_code, answer.text) == (200, "ok")
    (call,) = receiver.calls
    assert (call.method, call.target, call.body) == ("POST", "/hook?secret=s", BODY)
    assert ("X-Trace", "1") in call.headers


def test_a_chunked_body_is_taken(receiver: Receiver) -> None:
    httpx.post(receiver.url, content=(bytes([byte]) for byte in BODY))
    assert receiver.calls[0].body == BODY


def test_a_sender_that_expects_100_continue_gets_it(receiver: Receiver) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    interim, final = receiver.send(head % len(BODY), BODY)
    assert interim == b"HTTP/1.1 100 \r\n\r\n"
    assert final.startswith(b"HTTP/1.1 200 ")


def test_a_head_call_is_answered_without_a_body(receiver: Receiver) -> None:
    answer = httpx.head(receiver.url)
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_host_that_is_no_name_is_refused_at_once() -> None:
    for host in ("a..b", "ü..x"):
        with pytest.raises(UnicodeError):
            CallbackServer(Receiver().answer, host=host)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n{}", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n{}", b"413"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
    ],
)
def test_a_wrong_sender_learns_what_was_expected(
    receiver: Receiver, head: bytes, status: bytes
) -> None:
    (answer,) = receiver.send(head)
    assert answer.split()[1] == status
    assert b"expected" in answer
    assert receiver.calls == []


def test_the_sender_of_a_large_body_hears_that_it_is_refused(receiver: Receiver) -> None:
    answer = httpx.post(receiver.url, content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.text[:8]) == (413, "expected")


def test_a_sender_that_breaks_off_does_not_end_the_server(receiver: Receiver) -> None:
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        # Closed with a reset, after half a call.
        linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    assert httpx.post(receiver.url, content=BODY).status_code == 200


def test_a_failure_of_the_receiver_is_a_500() -> None:
    def fail(_call: CallbackRequest) -> CallbackReply:
        raise ZeroDivisionError

    with CallbackServer(fail, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.post(server.url, content=BODY).status_code == 500


# The command


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apixo_client", "listen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def listening(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command, and yield it with the address of its first line."""
    with start("--port", "0", *arguments) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("listening for callbacks on http://127.0.0.1:")
            yield process, first.rpartition(" ")[2].strip()
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_callback_is_printed_once_and_a_signal_ends_it_with_0(number: int) -> None:
    running = {"data": {"taskId": "task_12345678", "state": "processing_r2"}}
    # It neither controls the terminal nor adds lines.
    hostile = {"data": {"taskId": "t\x1b[2J", "state": "failed", "failCode": "X\nsuccess other"}}
    with listening() as (process, url):
        for body in (running, SUCCESS, SUCCESS, FAILED, SUCCESS, hostile):
            assert httpx.post(url, json=body).status_code == 200
        assert httpx.get(url).status_code == 405
        assert httpx.post(url, json={}).status_code == 400
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert out.splitlines() == [
        "processing_r2 task_12345678",
        PRINTED,
        "failed t2 Timeout too late",
        "failed t\\x1b[2J X\\nsuccess other",
    ]
    not_a_post, no_callback = err.splitlines()
    assert not_a_post == "apixo-client: not a callback: expected a POST"
    assert no_callback.startswith("apixo-client: not a callback: expected an object under `data`")
    assert process.returncode == 0


@pytest.mark.slow
def test_once_ends_after_the_first() -> None:
    with listening("--once") as (process, url):
        assert httpx.post(url, content=b"{").status_code == 400
        assert httpx.post(url, json=SUCCESS).status_code == 200
        assert process.communicate(timeout=30)[0] == f"{PRINTED}\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_an_address_that_cannot_be_listened_on_is_one_clear_line() -> None:
    for host in ("192.0.2.1", "a..b"):
        with start("--host", host) as process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("apixo-client: cannot listen on ")
        assert "choose another --port or --host" in err
