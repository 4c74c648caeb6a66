"""`apixo-client listen`: real processes and sockets."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from apixo_schemas import document

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Iterator

SUCCESS: dict[str, Any] = document("callback.json")["examples"][0]
FAILED: dict[str, Any] = {
    "data": {"taskId": "t2", "state": "failed", "failCode": "Timeout", "failMsg": "too late"}
}
PRINTED = "success task_12345678 https://file.apixo.ai/upscaled-image.jpg"


class Listener:
    """The command, and the address of its first line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.first_line = process.stdout.readline()
        self.url = self.first_line.rpartition(" ")[2].strip()

    def post(self, payload: Any) -> int:
        return httpx.post(self.url, json=payload).status_code

    def send(self, raw: bytes) -> bytes:
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(4096), b""))

    def end(self, number: int = signal.SIGTERM) -> tuple[list[str], str]:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[list[str], str]:
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return out.splitlines(), err


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "apixo_client", "listen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def listening(*arguments: str) -> Iterator[Listener]:
    with start("--port", "0", *arguments) as process:
        try:
            yield Listener(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_callback_is_printed_once_and_a_signal_ends_it_with_0(number: int) -> None:
    with listening() as listener:
        assert listener.first_line.startswith("listening for callbacks on http://127.0.0.1:")
        assert [listener.post(each) for each in (SUCCESS, SUCCESS, FAILED, SUCCESS)] == [200] * 4
        out, err = listener.end(number)
    assert out == [PRINTED, "failed t2 Timeout too late"]
    assert err == ""


def test_once_ends_after_the_first() -> None:
    with listening("--once") as listener:
        assert httpx.post(listener.url, content=b"{").status_code == 400
        assert listener.post(SUCCESS) == 200
        out, _err = listener.ended()
    assert out == [PRINTED]


def test_a_task_that_still_runs_is_printed_and_then_its_end() -> None:
    with listening() as listener:
        assert listener.post({"data": {"taskId": "task_12345678", "state": "processing_r2"}}) == 200
        assert listener.post({"data": {"taskId": "stateless"}}) == 200
        assert listener.post(SUCCESS) == 200
        out, _err = listener.end()
    assert out == ["processing_r2 task_12345678", "stateless", PRINTED]


def test_what_a_stranger_sends_neither_steers_the_terminal_nor_adds_lines() -> None:
    hostile = {"taskId": "t\x1b[2J", "state": "failed", "failCode": "X\nsuccess other"}
    with listening() as listener:
        assert listener.post({"data": hostile}) == 200
        out, _err = listener.end()
    assert out == ["failed t\\x1b[2J X\\nsuccess other"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n{}", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n{}", b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
    ],
)
def test_a_wrong_sender_learns_what_was_expected(head: bytes, status: bytes) -> None:
    with listening() as listener:
        answer = listener.send(head)
        out, err = listener.end()
    assert answer.split()[1] == status
    assert b"expected" in answer
    assert out == []
    assert "Traceback" not in err


def test_what_is_no_callback_is_said() -> None:
    with listening() as listener:
        assert httpx.post(listener.url, content=b"{}").status_code == 400
        _out, err = listener.end()
    assert err.startswith("apixo-client: not a callback: expected an object under `data`")


def test_a_chunked_body_is_taken() -> None:
    def pieces() -> Iterator[bytes]:
        yield from (bytes([byte]) for byte in json.dumps(SUCCESS).encode())

    with listening() as listener:
        assert httpx.post(listener.url, content=pieces()).status_code == 200
        out, _err = listener.end()
    assert out == [PRINTED]


def test_a_sender_that_waits_for_leave_gets_it() -> None:
    body = json.dumps(SUCCESS).encode()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with listening() as listener:
        address = urlsplit(listener.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(head % len(body))
            assert connection.recv(4096) == b"HTTP/1.1 100 \r\n\r\n"
            connection.sendall(body)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        out, _err = listener.end()
    assert out == [PRINTED]


def test_a_large_body_is_refused_so_that_its_sender_hears_it() -> None:
    with listening() as listener:
        answer = httpx.post(listener.url, content=b" " * (1024 * 1024 + 1))
        assert (answer.status_code, answer.text[:8]) == (413, "expected")
        listener.end()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(method: str) -> None:
    with listening() as listener:
        answer = httpx.request(method, listener.url)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert answer.text == ("" if method == "HEAD" else "expected a POST")
        listener.end()


def test_a_sender_that_breaks_off_is_one_line() -> None:
    with listening() as listener:
        address = urlsplit(listener.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            # Closed with a reset, after half a call.
            linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert listener.process.stderr is not None
        line = listener.process.stderr.readline()
        assert listener.post(SUCCESS) == 200
        out, err = listener.end()
    assert line.startswith("apixo-client: a call broke off: ")
    assert (out, err) == ([PRINTED], "")


def test_it_listens_on_ipv6() -> None:
    with listening("--host", "::1") as listener:
        assert listener.url.startswith("http://[::1]:")
        assert listener.post(SUCCESS) == 200
        listener.end()


def test_a_second_listener_on_the_port_is_one_clear_line() -> None:
    with listening() as listener:
        ended_badly("--port", str(urlsplit(listener.url).port))
        listener.end()


def test_an_address_that_cannot_be_is_one_clear_line() -> None:
    ended_badly("--host", "192.0.2.1")
    ended_badly("--host", "a..b")


def ended_badly(*arguments: str) -> None:
    with start(*arguments) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("apixo-client: cannot listen on ")
    assert "choose another --port or --host" in err
