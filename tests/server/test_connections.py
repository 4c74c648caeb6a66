"""How long a connection lives, and what happens to it when the server stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme
from support.process import Running, command, environment, running

AUTH = "Host: a\r\nAuthorization: Bearer sk-test-0123456789abcd\r\n"
HEADERS = {"Authorization": "Bearer sk-test-0123456789abcd"}
BALANCE = f"GET /api/v1/apikeys/current-balance HTTP/1.1\r\n{AUTH}\r\n".encode()
NOPE = f"GET /nope HTTP/1.1\r\n{AUTH}\r\n".encode()
BODY = {"input": {"image_urls": ["https://example.com/input.jpg"]}}
POST = f"POST /api/v1/generateTask/image-upscaler HTTP/1.1\r\n{AUTH}Content-Length: 100\r\n\r\n{{"
MIB = 2**20
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("connections")
    with running("--ephemeral", "--latency", "0", cwd=folder) as server:
        yield server


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Running]:
    """A server that the test stops."""
    with running("--ephemeral", cwd=tmp_path) as server:
        yield server


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one response."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return status, headers, stream.read(int(headers["content-length"]))


def ends(connection: socket.socket) -> float:
    """Wait until the server closes; return after how many seconds."""
    began = time.monotonic()
    with suppress(ConnectionResetError):
        while connection.recv(65_536):
            pass
    return time.monotonic() - began


def test_the_time_that_an_idle_connection_is_kept_is_announced(server: Running) -> None:
    with server.dial() as connection:
        for call in (BALANCE, NOPE):
            connection.sendall(call)
            assert answer(connection)[1]["keep-alive"] == "timeout=75"


@pytest.mark.parametrize("path", ["reset", "inbox", "ui/clock/reset"])
def test_a_request_that_breaks_off_does_nothing(stopped: Running, path: str) -> None:
    control = f"{stopped.origin}/_emulator"
    httpx.post(f"{stopped.base_url}/generateTask/image-upscaler", json=BODY, headers=HEADERS)
    head = (
        f"POST /_emulator/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n"
    )
    own = "" if path == "inbox" else "Origin: http://127.0.0.1\r\n"
    with stopped.dial() as connection:
        connection.sendall(f"{head}{own}\r\nseed=1".encode())
        connection.shutdown(socket.SHUT_WR)
        ends(connection)
    assert len(httpx.get(f"{control}/tasks").json()["tasks"]) == 1
    assert "Nothing was received yet" in httpx.get(f"{control}/inbox").text
    assert stopped.stop()[2] == ""


@pytest.mark.parametrize("begin", [b"", BALANCE, NOPE])
def test_an_idle_connection_is_closed_after_the_configured_time(
    tmp_path: Path, begin: bytes
) -> None:
    options = ("--ephemeral", "--keep-alive", "1", "--header-timeout", "9")
    with running(*options, cwd=tmp_path) as server, server.dial() as connection:
        if begin:
            connection.sendall(begin)
            assert answer(connection)[1]["keep-alive"] == "timeout=1"
        assert ends(connection) >= 1


def test_headers_must_arrive_in_time(tmp_path: Path) -> None:
    with running("--ephemeral", "--header-timeout", "1", cwd=tmp_path) as server:
        for begin in (b"", BALANCE):
            with server.dial() as connection:
                connection.sendall(begin + BALANCE[:40])
                if begin:
                    assert answer(connection)[0] == 200
                status, headers, body = answer(connection)
                assert (status, headers["connection"]) == (408, "close")
                assert json.loads(body)["code"] == 408
                ends(connection)


@pytest.mark.parametrize("more", ["", "Origin: http://localhost\r\n"])
def test_a_client_that_closes_its_side_gets_its_answers(server: Running, more: str) -> None:
    raw = json.dumps(BODY)
    head = POST.partition("Content-Length")[0] + more
    request = f"{head}Content-Length: {len(raw)}\r\n\r\n{raw}".encode()
    with server.dial() as connection:
        connection.sendall(request * 3)
        connection.shutdown(socket.SHUT_WR)
        came = b""
        while piece := connection.recv(65_536):
            came += piece
    assert came.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize("begin", ["GET / HTTP/1.1\r\nHo", POST])
def test_an_incomplete_request_does_not_hold_up_the_end(stopped: Running, begin: str) -> None:
    with stopped.dial() as connection:
        connection.sendall(begin.encode())
        assert httpx.get(f"{stopped.origin}/_emulator/health").is_success
        stopped.process.terminate()
        assert stopped.process.wait(timeout=5) == 0


def test_a_second_interrupt_ends_it_without_a_traceback(stopped: Running) -> None:
    with stopped.dial() as connection:
        connection.sendall(POST.encode())
        assert httpx.get(f"{stopped.origin}/_emulator/health").is_success
        stopped.process.send_signal(signal.SIGINT)
        stopped.process.send_signal(signal.SIGINT)
        _, errors = stopped.process.communicate(timeout=5)
    assert (stopped.process.returncode, errors) == (0, "")


@pytest.mark.parametrize("call", [BALANCE, NOPE], ids=["fast", "plain"])
def test_a_client_that_reads_no_answers_is_not_read_either(server: Running, call: bytes) -> None:
    with server.dial() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(2)
        sent = 0
        with suppress(TimeoutError):
            while sent < 64 * MIB:
                sent += connection.send(call * 500)
        assert sent < 32 * MIB
    with server.dial() as another:
        another.sendall(BALANCE)
        assert answer(another)[0] == 200


def test_large_bodies_do_not_hold_up_other_requests(server: Running) -> None:
    """Every large body is parsed in a thread, whatever the poll beside it."""
    large = b'{"x":[' + b"1," * (9 * MIB) + b"1]}"
    url = f"{server.base_url}/generateTask/image-upscaler"
    statuses: list[int] = []

    def post() -> None:
        statuses.append(httpx.post(url, content=large, headers=HEADERS, timeout=60).status_code)

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    polls = 0
    with server.dial() as connection:
        while any(thread.is_alive() for thread in threads):
            connection.sendall(BALANCE)
            assert answer(connection)[0] == 200
            polls += 1
    assert statuses == [400] * 6
    assert polls > len(threads)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = folder / "chain.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return chain, key, context


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_https(
    tmp_path: Path, certificate: tuple[Path, Path, ssl.SSLContext], workers: int
) -> None:
    chain, key, context = certificate
    options = ("--tls-cert", str(chain), "--tls-key", str(key), "--workers", str(workers))
    with (
        running("--ephemeral", "--latency", "0", *options, cwd=tmp_path) as server,
        httpx.Client(verify=context, headers=HEADERS) as client,
    ):
        assert server.base_url.startswith("https://127.0.0.1:")
        submitted = client.post(f"{server.base_url}/generateTask/image-upscaler", json=BODY)
        task_id = submitted.json()["data"]["taskId"]
        polled = client.get(
            f"{server.base_url}/statusTask/image-upscaler", params={"taskId": task_id}
        )
        (url,) = json.loads(polled.json()["data"]["resultJson"])["resultUrls"]
        assert url.startswith(f"{server.origin}/files/")
        assert client.get(url).is_success
        own = {"Origin": server.origin, "Content-Type": "application/x-www-form-urlencoded"}
        assert client.post(f"{server.origin}/_emulator/ui/clock/reset", headers=own).is_success


def test_each_request_is_logged_at_the_level_debug_only(tmp_path: Path) -> None:
    for level, lines in (
        ("info", 0),
        ("debug", 3),
    ):
        with running("--ephemeral", "--log-level", level, cwd=tmp_path) as server:
            assert httpx.get(f"{server.origin}/nope").status_code == 404
            key = HEADERS["Authorization"].removeprefix("Bearer ")
            path = f"/api/v1/{key}%0D%1B"
            assert httpx.get(f"{server.origin}{path}", headers=HEADERS).status_code == 404
            assert httpx.get(f"{server.base_url}/apikeys/current-balance").status_code == 401
            _, _, errors = server.stop()
        assert errors.count("\n") == lines
        assert ("GET /nope: 404" in errors) == (level == "debug")
        assert (r"GET /api/v1/sk-…abcd\r\x1b: 404" in errors) == (level == "debug")


def test_a_log_that_is_not_read_blocks_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        command("serve", "--port", "0", "--ephemeral", "--log-level", "debug"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
    )
    os.close(write)
    try:
        assert process.stdout is not None
        base_url = process.stdout.readline().removeprefix("apixo-emulator ready: ").strip()
        with httpx.Client(headers=HEADERS, timeout=10) as client:
            for _ in range(2000):  # of about 80 bytes each; a pipe holds 64 KiB
                assert client.get(f"{base_url}/apikeys/current-balance").is_success
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
        process.communicate()
        os.close(read)


CHUNKED = (
    f"POST /api/v1/generateTask/image-upscaler HTTP/1.1\r\n{AUTH}Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        ("0\r\n", "X: y\r\n" * 10_000),
        ("0\r\nX: ", "y" * 65_536),
        ("", "1;" + "x" * 65_536 + "\r\na\r\n"),
        ("", "10000\r\n" + "x" * 65_536 + "\r\n"),
    ],
    ids=["trailers", "a long trailer", "chunk extensions", "content behind a 413"],
)
def test_a_body_without_end_ends_its_connection(server: Running, begin: str, piece: str) -> None:
    sent = 0
    with server.dial() as connection, suppress(ConnectionError):
        connection.sendall((CHUNKED + begin).encode())
        while sent < 160 * MIB:
            connection.sendall(piece.encode())
            sent += len(piece)
    # 20 MiB may be content, 64 come behind a 413; what the sockets hold comes on top.
    assert sent < 110 * MIB


def test_a_client_that_reads_only_after_it_has_sent_all_gets_an_early_answer(
    server: Running,
) -> None:
    with server.dial() as connection:
        head = CHUNKED.replace("Transfer-Encoding: chunked", f"Content-Length: {25 * MIB}")
        connection.sendall(head.replace("Bearer", "Basic").encode() + b" " * 25 * MIB)
        assert answer(connection)[0] == 401
        connection.sendall(BALANCE)
        assert answer(connection)[0] == 200
    closing = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    for scheme, status in (("Bearer", 413), ("Basic", 401)):
        with server.dial() as connection:
            connection.sendall(closing.replace("Bearer", scheme).encode() + b" " * 25 * MIB)
            assert answer(connection)[0] == status


def test_a_trailer_is_dropped(server: Running) -> None:
    content = json.dumps(BODY)
    with server.dial() as connection:
        connection.sendall(
            f"{CHUNKED}{len(content):x}\r\n{content}\r\n0\r\nX-Trace: 1\r\n\r\n".encode()
        )
        assert answer(connection)[0] == 200
        connection.sendall(BALANCE)
        assert answer(connection)[0] == 200
