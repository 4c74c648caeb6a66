"""Hostile and unusual calls over a real socket: always the envelope, never a closed connection."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.process import Running, running

KEY = "sk-test-0123456789abcd"
SUBMIT = "/api/v1/generateTask/image-upscaler"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(
        "--ephemeral", "--latency", "0", cwd=tmp_path_factory.mktemp("server")
    ) as running_:
        yield running_


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=server.origin, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    ) as client:
        yield client


def assert_envelope(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    body = answer.json()
    assert set(body) == {"code", "message", "data"}
    assert body["code"] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", SUBMIT, 405),
        ("PUT", SUBMIT, 405),
        ("OPTIONS", SUBMIT, 405),
        ("PROPFIND", SUBMIT, 405),
        ("GET", "/favicon.ico", 404),
        ("GET", "/api/v1/statusTask/image-upscaler", 400),
        ("GET", "/api/v1/statusTask/image-upscaler?taskId=" + "x" * 5000, 404),
        ("GET", "/api/v1/statusTask/image-upscaler?taskId=%00%ff", 404),
        ("GET", "/files/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/_emulator/nope", 404),
        ("POST", SUBMIT, 400),
    ],
)
def test_every_answer_is_the_envelope(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    assert_envelope(client.request(method, path), status)


def test_head_has_no_body(client: httpx.Client) -> None:
    answer = client.head("/docs/models/schemas/index.json")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[" * 100_000, b'"\xff"', b'{"input":"\\ud800"}', b"null", b"[]", b"\x00" * 1000],
)
def test_a_hostile_body_is_refused_and_the_connection_lives_on(
    client: httpx.Client, raw: bytes
) -> None:
    assert_envelope(client.post(SUBMIT, content=raw), 400)
    assert_envelope(client.get("/api/v1/apikeys/current-balance"), 200)


def test_50_mb_are_refused(client: httpx.Client) -> None:
    assert_envelope(client.post(SUBMIT, content=b" " * (50 * MIB)), 413)
    assert_envelope(client.get("/api/v1/apikeys/current-balance"), 200)


def test_50_mb_in_chunks_are_refused(client: httpx.Client) -> None:
    chunks = (b" " * MIB for _ in range(50))
    assert_envelope(client.post(SUBMIT, content=chunks), 413)
    assert_envelope(client.get("/api/v1/apikeys/current-balance"), 200)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, json.loads(stream.read(length))


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(server: Running) -> None:
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
    with server.dial() as connection:
        connection.sendall(f"{head}Content-Length: {50 * MIB}\r\n\r\n".encode())
        assert read_answer(connection)[0] == 413


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (SUBMIT, False, 401),
        ("/api/v1/generateTask/nope", True, 404),
        ("/nope", True, 404),
        (SUBMIT, True, 413),
    ],
)
def test_key_and_model_come_before_a_large_body(
    server: Running, *, path: str, key: bool, status: int
) -> None:
    authorization = "Authorization: Bearer k\r\n" if key else ""
    with server.dial() as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{authorization}"
        connection.sendall(f"{head}Content-Length: {50 * MIB}\r\n\r\n".encode())
        assert read_answer(connection)[0] == status


@pytest.mark.parametrize("packets", [1, 2])
def test_an_upgrade_header_is_ignored_and_the_body_read(server: Running, packets: int) -> None:
    body = json.dumps({"input": {"image_urls": ["https://example.com/a.jpg"]}}).encode()
    head = (
        f"POST {SUBMIT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with server.dial() as connection:
        for part in (head, body) if packets == 2 else (head + body,):
            connection.sendall(part)
        assert read_answer(connection)[0] == 200


def test_a_head_without_end_is_refused(server: Running) -> None:
    with server.dial() as connection:
        connection.sendall(b"GET /api/v1 HTTP/1.1\r\nX: " + b"a" * 100_000)
        status, body = read_answer(connection)
    assert body["code"] == status == 431


def test_a_caller_that_hangs_up_in_its_body_harms_nobody(server: Running) -> None:
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n"
    with server.dial() as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert httpx.get(f"{server.origin}/_emulator/health").status_code == 200


def test_an_http_1_0_call_without_a_host_gets_links_that_work(server: Running) -> None:
    body = json.dumps({"input": {"image_urls": ["https://example.com/a.jpg"]}})
    head = "Authorization: Bearer k\r\n"
    with server.dial() as connection:
        connection.sendall(
            f"POST {SUBMIT} HTTP/1.0\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        task_id = read_answer(connection)[1]["data"]["taskId"]
    with server.dial() as connection:
        path = f"/api/v1/statusTask/image-upscaler?taskId={task_id}"
        connection.sendall(f"GET {path} HTTP/1.0\r\n{head}\r\n".encode())
        data = read_answer(connection)[1]["data"]
    assert json.loads(data["resultJson"])["resultUrls"][0].startswith(server.origin + "/files/")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("emulator:8787", "http://emulator:8787"),
        ("my_service", "http://my_service"),
        ("[::1]:99", "http://[::1]:99"),
        ('evil"host', None),
        ("a/b?c", None),
    ],
)
def test_the_result_s_link_follows_the_host_that_the_caller_used(
    client: httpx.Client, server: Running, host: str, expected: str | None
) -> None:
    body = {"input": {"image_urls": ["https://example.com/a.jpg"]}}
    task_id = client.post(SUBMIT, json=body).json()["data"]["taskId"]
    answer = client.get(
        "/api/v1/statusTask/image-upscaler", params={"taskId": task_id}, headers={"Host": host}
    )
    url = json.loads(answer.json()["data"]["resultJson"])["resultUrls"][0]
    assert url == f"{expected or server.origin}/files/{task_id}.jpg"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /%zz%ff HTTP/1.1", 404),
        ("GET //api/v1//statusTask HTTP/1.1", 404),
        ("GET http://elsewhere.example/api/v1/nope HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET /api/v1/ü HTTP/1.1", 400),
        ("hello", 400),
        ("GET / HTTP/1.1\r\nContent-Length: x", 400),
    ],
)
def test_a_strange_request_is_answered_with_the_envelope(
    server: Running, line: str, expected: int
) -> None:
    with server.dial() as connection:
        head = f"{line}\r\nHost: a\r\nAuthorization: Bearer k\r\nX-Strange: é\r\n\r\n"
        connection.sendall(head.encode())
        status, body = read_answer(connection)
    assert body["code"] == status == expected


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("rebound.example:8787", "http://rebound.example:8787", 403),
        ("rebound.example:8787", None, 200),
        ("127.0.0.1:8787", "http://127.0.0.1:8787", 200),
        ("192.168.1.7:8787", "http://192.168.1.7:8787", 200),
        ("127.0.0.1:8787", "http://localhost:3000", 200),
    ],
)
def test_a_web_page_under_a_rebound_name_is_refused(
    client: httpx.Client, host: str, origin: str | None, status: int
) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    body = {"input": {"image_urls": ["https://example.com/a.jpg"]}}
    answer = client.post(SUBMIT, json=body, headers=headers)
    assert answer.status_code == answer.json()["code"] == status


def test_a_websocket_handshake_is_refused(client: httpx.Client) -> None:
    answer = client.get(
        "/api/v1/apikeys/current-balance",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    assert_envelope(answer, 200)


def test_many_at_once_are_all_answered(server: Running, tmp_path: Path) -> None:
    assert tmp_path
    connections = [server.dial() for _ in range(200)]
    call = f"GET /api/v1/apikeys/current-balance HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    for connection in connections:
        connection.sendall(call.encode())
    answers = [read_answer(connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert {status for status, _ in answers} == {200}
