"""Callbacks: one POST to a judged address, with a message for each failure."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.addresses import ANY_BUT_FORBIDDEN, parse_target
from apixo_emulator.exchange import (
    MAX_INTERIM,
    Exchange,
    OutboundBroken,
    OutboundRefused,
    OutboundTooLarge,
    OutboundUnreachable,
    OutboundUntrusted,
    Request,
    Response,
)
from apixo_emulator.outbound import MAX_CALLBACK_BODY, MAX_LOOKUPS, OutboundClient, Resolver
from outbound.receivers import Script, Serve, answering

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"code": 200}'


def resolving(*answers: list[str]) -> Resolver:
    left = list(answers)

    def resolver(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0)

    return resolver


def post(url: str, client_options: dict[str, Any] | None = None, **options: Any) -> Response:
    client = OutboundClient(**(client_options or {}))
    asked = {"policy": ANY_BUT_FORBIDDEN, "timeout_s": 10.0, **options}
    return asyncio.run(client.post(url, BODY, **asked))


def test_a_callback_is_posted_byte_for_byte(serve: Serve) -> None:
    answer = OK + b"Content-Type: text/plain\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok"
    receiver = serve(answering(answer))
    given = post(receiver.url("/hook?x=1", host="localhost"), depth=3)
    assert (given.status, given.body, given.headers["set-cookie"]) == (200, b"ok", "a=b")
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /hook?x=1 http/1.1"
    assert sorted(lines[1:]) == sorted(
        [
            f"host: localhost:{receiver.port}",
            "connection: close",
            "content-type: application/json",
            f"content-length: {len(BODY)}",
            "accept: */*",
            f"user-agent: apixo-emulator/{version('apixo-emulator')}",
            "x-apixo-emulator-depth: 3",
        ]
    )


@pytest.mark.parametrize("status", [302, 500])
def test_every_status_is_a_response_and_no_redirect_is_followed(serve: Serve, status: int) -> None:
    head = f"HTTP/1.1 {status} So\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    receiver = serve(answering(head.encode()))
    given = post(receiver.url())
    assert (given.status, given.headers["location"]) == (status, "http://169.254.169.254/")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Type: text/plain\n\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 200\r\n\r\nok",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * MAX_INTERIM + OK + b"\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    ],
    ids=["bare LF", "1.0", "no reason", "interim", "chunked"],
)
def test_unusual_responses_are_read(serve: Serve, answer: bytes) -> None:
    given = post(serve(answering(answer)).url())
    assert (given.status, given.body) == (200, b"ok")


def test_only_the_beginning_of_a_body_is_read(serve: Serve) -> None:
    sent = threading.Event()

    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(OK + b"\r\n")
        try:
            while True:
                connection.sendall(b"x" * MAX_CALLBACK_BODY)
        finally:
            sent.set()

    assert post(serve(endless).url()).body == b"x" * MAX_CALLBACK_BODY
    assert sent.wait(10)  # the connection was closed on it


def pouring(start: bytes, more: bytes, pause_s: float = 0) -> Script:
    """Send the start, then more until the caller hangs up."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(start)
        while not (pause_s and threading.Event().wait(pause_s)):
            connection.sendall(more)

    return script


def silent_after(start: bytes) -> Script:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(start)
        connection.recv(1)  # until the caller hangs up

    return script


def reset(connection: socket.socket, _request: bytes) -> None:
    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for no time: close sends a reset
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
NO_HTTP = r"sent no HTTP/1\.1 response but b'(SSH-2|.x15)"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
WRONG: dict[str, tuple[Script, str, float]] = {
    "closed": (answering(b""), "closed the connection without a response", 10),
    "another protocol": (answering(b"SSH-2.0-OpenSSH\r\n"), NO_HTTP, 10),
    "its first message": (answering(b"SSH-2.0-OpenSSH\r\n\r\n"), NO_HTTP, 10),
    "a TLS alert": (answering(b"\x15\x03\x01"), NO_HTTP, 10),
    "a NUL": (answering(OK + b"X: \0\r\n\r\n"), re.escape(r"illegal header line: ('X: \x00')"), 10),
    "a switch": (answering(SWITCH), "answered 101", 10),
    "reset": (reset, r"127\.0\.0\.1:\d+ broke", 10),
    "endless headers": (pouring(OK + b"X-Endless: ", b"x" * 1000), "sent more than 64 KiB of headers", 10),
    "endless interim": (pouring(b"", b"HTTP/1.1 103 Hints\r\n\r\n"), "sent more than 16 interim responses", 10),
    "endless framing": (pouring(CHUNKED, b"1;" + b"x" * 30_000 + b"\r\na\r\n"), "more framing than content", 10),
    "silent": (silent_after(b""), r"no response from 127\.0\.0\.1:\d+ within 0\.5 s", 0.5),
    "half": (silent_after(OK + b"Content-Length: 5\r\n\r\nok"), r"no complete response from .* within 0\.5 s", 0.5),
    # A drip gains no time.
    "drip of a body": (pouring(OK + b"\r\n", b"0", 0.02), r"within 0\.5 s", 0.5),
    "drip of a header": (pouring(OK + b"X-Slow: ", b"0", 0.02), r"within 0\.5 s", 0.5),
}  # fmt: skip


@pytest.mark.parametrize(("script", "words", "timeout_s"), WRONG.values(), ids=WRONG)
def test_what_goes_wrong_is_told(
    serve: Serve, script: Script, words: str, timeout_s: float
) -> None:
    with pytest.raises((OutboundBroken, OutboundTooLarge), match=words) as ended:
        post(serve(script).url(), timeout_s=timeout_s)
    assert len(str(ended.value)) <= 300


def test_the_connection_goes_to_the_judged_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_args: Any, **_options: Any) -> None:
        raise AssertionError("resolved a second time")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    receiver = serve(answering(OK + b"\r\n"))
    url = receiver.url(host="rebinding.example")
    client = {"resolver": resolving(["127.0.0.1"], ["169.254.169.254"])}
    assert post(url, client).status == 200
    assert f"host: rebinding.example:{receiver.port}" in receiver.requests[0].decode().lower()
    with pytest.raises(OutboundRefused, match="never called"):
        post(url, client)
    assert len(receiver.requests) == 1


def test_another_judged_address_stands_in_when_nothing_listens(
    serve: Serve, refused_port: int
) -> None:
    receiver = serve(answering(OK + b"\r\n"))
    both = {"resolver": resolving(["127.0.0.2", "127.0.0.1"])}
    assert post(receiver.url(host="two.example"), both).status == 200
    neither = {"resolver": resolving(["127.0.0.1"])}
    with pytest.raises(OutboundUnreachable, match=f"refused by two.example:{refused_port}"):
        post(f"http://two.example:{refused_port}/", neither)


@pytest.mark.parametrize(
    ("url", "found", "words"),
    [
        ("http://hook.example/", ["127.0.0.1", "169.254.169.254"], "never called"),
        ("http://hook.example/", [], "has no address"),
        ("http://user:secret@127.0.0.1/", [], "user information"),
        ("http://127.0.0.1:8787/_emulator/reset", [], "control paths"),
        ("nonsense", [], "no URL"),
    ],
)
def test_what_must_not_be_called_is_refused(url: str, found: list[str], words: str) -> None:
    with pytest.raises(OutboundRefused, match=words) as refused:
        post(url, {"resolver": resolving(found)})
    assert "secret" not in str(refused.value)


def test_a_receiver_that_reads_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        large = OutboundClient().post(
            url, b"x" * 50_000_000, policy=ANY_BUT_FORBIDDEN, timeout_s=0.5
        )
        with pytest.raises(OutboundBroken, match=r"did not read the request within 0\.5 s"):
            asyncio.run(large)


def test_a_lookup_that_hangs_or_fails_has_its_message() -> None:
    release = threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        release.wait(10)
        return []

    def failing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    url = "http://slow.example/"
    with pytest.raises(OutboundUnreachable, match=r"slow\.example did not resolve within 0\.05 s"):
        post(url, {"resolver": hanging}, timeout_s=0.05)
    release.set()
    with pytest.raises(OutboundUnreachable, match="does not resolve: Name or service not known"):
        post(url, {"resolver": failing})


def test_tls_verifies_the_name_not_the_address(
    serve: Serve, tls_for: Callable[[str], ssl.SSLContext], ca_file: Path
) -> None:
    receiver = serve(answering(OK + b"\r\n"), tls_for("hook.example"))
    local: dict[str, Any] = {"resolver": resolving(*[["127.0.0.1"]] * 9)}
    trusting = {**local, "ca_file": ca_file}
    assert post(receiver.url(host="hook.example"), trusting).status == 200
    with pytest.raises(OutboundUntrusted, match="not trusted: Hostname mismatch"):
        post(receiver.url(host="other.example"), trusting)
    with pytest.raises(OutboundUntrusted, match=re.escape("--ca FILE (also: --callback-ca)")):
        post(receiver.url(host="hook.example"), local)
    plain = serve(answering(b"no TLS here"))
    with pytest.raises(OutboundUnreachable):
        post(f"https://127.0.0.1:{plain.port}/", trusting, timeout_s=0.5)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(OutboundUntrusted, match=r"ca\.pem cannot be read"):
        post("https://127.0.0.1/", {"ca_file": path})


def test_hanging_lookups_are_few_and_abandoned_ones_never_begin() -> None:
    release, running = threading.Event(), threading.Semaphore(0)
    begun: list[str] = []

    def hanging(host: str, _port: int) -> list[str]:
        begun.append(host)
        running.release()
        release.wait(10)
        return ["127.0.0.1"]

    async def many() -> list[object]:
        client = OutboundClient(resolver=hanging)
        posts = [
            client.post(f"http://{n}.example/", b"", policy=ANY_BUT_FORBIDDEN, timeout_s=0.5)
            for n in range(3 * MAX_LOOKUPS)
        ]
        ended = await asyncio.gather(*posts, return_exceptions=True)
        assert await asyncio.to_thread(lambda: "free") == "free"  # the loop's own threads
        return list(ended)

    ended = asyncio.run(many())
    assert {type(error) for error in ended} == {OutboundUnreachable}
    assert 0 < len(begun) <= MAX_LOOKUPS
    release.set()


def test_between_chunks_of_one_byte_other_connections_are_served() -> None:
    """All of them have arrived, so reading alone would never wait."""
    chunks = 10_000

    async def turns() -> int:
        """Count what else the event loop does while the body is read."""
        reader = asyncio.StreamReader()
        reader.feed_data(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * chunks)
        reader.feed_data(b"0\r\n\r\n")
        target = parse_target("http://127.0.0.1/", ANY_BUT_FORBIDDEN)
        exchange = Exchange(reader, Request("POST", target, {}, BODY, chunks, cut=False))
        exchange.written()
        await exchange.head()
        reading = asyncio.create_task(exchange.body(""))
        count = 0
        while not reading.done():
            count += 1
            await asyncio.sleep(0)
        assert len(reading.result()) == chunks
        return count

    assert asyncio.run(turns()) > 100
