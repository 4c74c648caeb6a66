from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.addresses import ANY_BUT_FORBIDDEN, LOOPBACK_ONLY, STRICT
from apixo_emulator.outbound import (
    Answer,
    CallbackSender,
    OutboundError,
    OutboundFailed,
    OutboundRefused,
    OutboundTimedOut,
    OutboundUntrusted,
    Timeouts,
)
from apixo_emulator.outbound.names import MAX_LOOKUPS, system_resolver
from apixo_emulator.outbound.posting import MAX_ANSWER_BYTES, MAX_EXCERPT_BYTES
from outbound.receivers import Script, Serve

OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"code": 200}'
JSON = {"Content-Type": "application/json"}


def answering(answer: bytes) -> Script:
    return lambda connection, _: connection.sendall(answer)


def resolving(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    left = list(answers)

    async def resolver(_host: str, _port: int) -> list[str]:
        return left.pop(0)

    return resolver


def post(url: str, sender_options: dict[str, Any] | None = None, **options: Any) -> Answer:
    async def once() -> Answer:
        sender = CallbackSender(**(sender_options or {}))
        return await sender.post(url, BODY, JSON, **{"policy": LOOPBACK_ONLY, **options})

    return asyncio.run(once())


def test_a_callback_is_posted_byte_for_byte(serve: Serve) -> None:
    answer = OK + b"Content-Type: text/plain\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok"
    receiver = serve(answering(answer))
    given = post(receiver.url("/hook?x=1", host="localhost"))
    assert (given.status, given.excerpt) == (200, "ok")
    assert given.headers == {"content-type": "text/plain", "content-length": "2"}
    assert 0 < given.duration_ms < 5000
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
        ]
    )


def test_headers_that_frame_the_request_are_the_senders_own(serve: Serve) -> None:
    receiver = serve(answering(OK + b"\r\n"))
    evil = {
        "Host": "evil.example",
        "content-length": "1",
        "Transfer-Encoding": "chunked",
        "X-A": "b",
    }

    async def once() -> Answer:
        return await CallbackSender().post(receiver.url(), b"", evil, policy=LOOPBACK_ONLY)

    assert asyncio.run(once()).status == 200
    head = receiver.requests[0].decode().lower()
    assert "evil" not in head
    assert "chunked" not in head
    assert "x-a: b" in head
    assert "content-length: 0" in head


@pytest.mark.parametrize("value", ["b\r\nX-Evil: c", "é", "\ud800"])
def test_a_header_that_is_none_is_a_failure(serve: Serve, value: str) -> None:
    receiver = serve(answering(OK + b"\r\n"))

    async def once() -> None:
        sent = {"X-A": value}
        await CallbackSender().post(receiver.url(), b"", sent, policy=LOOPBACK_ONLY)

    with pytest.raises(OutboundFailed, match="header"):
        asyncio.run(once())
    assert not receiver.requests


@pytest.mark.parametrize("status", [204, 302, 410, 500])
def test_every_status_is_an_answer_and_no_redirect_is_followed(serve: Serve, status: int) -> None:
    head = f"HTTP/1.1 {status} So\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    receiver = serve(answering(head.encode()))
    given = post(receiver.url())
    assert (given.status, given.headers["location"]) == (status, "http://169.254.169.254/")
    assert len(receiver.requests) == 1


def test_only_the_beginning_of_an_answer_is_read(serve: Serve) -> None:
    sent = threading.Event()

    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(OK + b"Location: /" + b"a" * 5000 + b"\r\n\r\n\xff")
        try:
            while True:
                connection.sendall(b"x" * MAX_ANSWER_BYTES)
        finally:
            sent.set()

    given = post(serve(endless).url())
    assert given.excerpt == "\ufffd" + "x" * (MAX_EXCERPT_BYTES - 1)
    assert len(given.headers["location"]) == 256
    assert sent.wait(10)  # the connection was closed on it


def test_the_connection_goes_to_the_first_judged_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_args: Any, **_options: Any) -> None:
        raise AssertionError("resolved a second time")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    receiver = serve(answering(OK + b"\r\n"))
    url = receiver.url(host="rebinding.example")
    sender = {"resolver": resolving(["127.0.0.1"], ["10.0.0.1"])}
    assert post(url, sender).status == 200
    assert f"host: rebinding.example:{receiver.port}" in receiver.requests[0].decode().lower()
    with pytest.raises(OutboundRefused, match="private address"):
        post(url, sender)
    assert len(receiver.requests) == 1


def test_another_judged_address_stands_in_when_nobody_listens(
    serve: Serve, refused_port: int
) -> None:
    receiver = serve(answering(OK + b"\r\n"))
    both = {"resolver": resolving(["127.0.0.2", "127.0.0.1"])}
    assert post(receiver.url(host="two.example"), both).status == 200
    neither = {"resolver": resolving(["127.0.0.1"])}
    with pytest.raises(OutboundFailed, match=f"refused by two.example:{refused_port}"):
        post(f"http://two.example:{refused_port}/", neither)


@pytest.mark.parametrize(
    ("url", "found", "words"),
    [
        ("http://hook.example/", ["127.0.0.1", "10.0.0.1"], "private address"),
        ("http://hook.example/", ["169.254.169.254"], "never called"),
        ("http://169.254.169.254/", [], "never called"),
        ("http://user:secret@127.0.0.1/", [], "user information"),
        ("nonsense", [], "no URL"),
    ],
)
def test_what_must_not_be_called_is_refused(url: str, found: list[str], words: str) -> None:
    with pytest.raises(OutboundRefused, match=words) as refused:
        post(url, {"resolver": resolving(found)})
    assert "secret" not in str(refused.value)
    assert refused.value.url == url


def test_strict_is_public_and_https() -> None:
    with pytest.raises(OutboundRefused, match="scheme"):
        post("http://hook.example/", policy=STRICT)
    mixed = {"resolver": resolving(["8.8.8.8", "10.0.0.1"])}
    with pytest.raises(OutboundRefused, match="private"):
        post("https://hook.example/", mixed, policy=STRICT)


def silent(over: threading.Event, start: bytes = b"") -> Script:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(start)
        over.wait(10)

    return script


def test_each_time_limit_has_its_words(serve: Serve) -> None:
    over = threading.Event()
    quiet, stuck = serve(silent(over)), serve(silent(over, OK + b"Content-Length: 5\r\n\r\nok"))
    try:
        with pytest.raises(
            OutboundTimedOut, match=f"no answer from {quiet.url()[7:-1]} within 0.1 s"
        ):
            post(quiet.url(), timeouts=Timeouts(read=0.1))
        with pytest.raises(OutboundTimedOut, match=r"no complete answer from .* within 0\.1 s"):
            post(quiet.url(), timeouts=Timeouts(total=0.1))
        with pytest.raises(OutboundTimedOut, match=r"no complete answer from .* within 0\.2 s"):
            post(stuck.url(), timeouts=Timeouts(total=0.2))
    finally:
        over.set()


def test_a_drip_gains_no_time(serve: Serve) -> None:
    over = threading.Event()

    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(OK + b"\r\n")
        while not over.wait(0.02):
            connection.sendall(b"x")

    receiver = serve(drip)
    began = time.monotonic()
    with pytest.raises(OutboundTimedOut):
        post(receiver.url(), timeouts=Timeouts(read=0.2, total=0.3))
    over.set()
    assert time.monotonic() - began < 5  # without the limit it never ends


def test_a_receiver_that_takes_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        async def large() -> None:
            limits = Timeouts(write=0.1)
            body = b"x" * 50_000_000
            await CallbackSender().post(url, body, {}, policy=LOOPBACK_ONLY, timeouts=limits)

        with pytest.raises(OutboundTimedOut, match=r"did not take the request within 0\.1 s"):
            asyncio.run(large())


def test_tls_that_never_begins_is_a_connection_in_vain() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(OutboundTimedOut, match=r"no connection to .* within 0\.1 s"):
            post(url, timeouts=Timeouts(connect=0.1))


def test_a_lookup_that_hangs_or_fails_has_its_words() -> None:
    async def hanging(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    async def failing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    async def timing_out(_host: str, _port: int) -> list[str]:
        raise TimeoutError(110, "Connection timed out")

    slow, url = Timeouts(connect=0.05), "http://slow.example/"
    with pytest.raises(OutboundTimedOut, match=r"slow\.example did not resolve within 0\.05 s"):
        post(url, {"resolver": hanging}, timeouts=slow)
    with pytest.raises(OutboundTimedOut, match=r"slow\.example within 0\.05 s"):
        post(url, {"resolver": hanging}, timeouts=Timeouts(total=0.05))
    with pytest.raises(OutboundFailed, match="does not resolve: Name or service not known"):
        post(url, {"resolver": failing})
    with pytest.raises(OutboundFailed, match="does not resolve: Connection timed out"):
        post(url, {"resolver": timing_out})


def test_what_goes_wrong_is_said_in_words(serve: Serve, refused_port: int) -> None:
    with pytest.raises(OutboundFailed, match=f"connection refused by 127.0.0.1:{refused_port}$"):
        post(f"http://127.0.0.1:{refused_port}/")
    with pytest.raises(OutboundFailed, match="broke the HTTP protocol: Server disconnected"):
        post(serve(answering(b"")).url())
    with pytest.raises(OutboundFailed, match="broke the HTTP protocol"):
        post(serve(answering(b"SSH-2.0-OpenSSH\r\n\r\n")).url())

    def reset(connection: socket.socket, _request: bytes) -> None:
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # on, for no time: close sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    receiver = serve(reset)
    with pytest.raises(OutboundFailed, match=f"127.0.0.1:{receiver.port} broke"):
        post(receiver.url())


def test_tls_verifies_the_name_not_the_address(
    serve: Serve, tls_for: Callable[[str], ssl.SSLContext], ca_file: Path
) -> None:
    receiver = serve(answering(OK + b"\r\n"), tls_for("hook.example"))
    local: dict[str, Any] = {"resolver": resolving(*[["127.0.0.1"]] * 9)}
    trusting = {**local, "ca_file": ca_file}
    assert post(receiver.url(host="hook.example"), trusting).status == 200
    with pytest.raises(OutboundUntrusted, match="not trusted: Hostname mismatch"):
        post(receiver.url(host="other.example"), trusting)
    with pytest.raises(OutboundUntrusted, match="not trusted: unable to get local issuer"):
        post(receiver.url(host="hook.example"), local)
    plain = serve(answering(b"no TLS here"))
    with pytest.raises(OutboundError):
        post(f"https://127.0.0.1:{plain.port}/", trusting, timeouts=Timeouts(connect=0.2))
    assert len(receiver.requests) == 1


def test_at_most_so_many_posts_at_once(serve: Serve) -> None:
    lock = threading.Lock()
    inside: list[int] = [0, 0]
    pair = threading.Barrier(2)

    def counted(connection: socket.socket, _request: bytes) -> None:
        with lock:
            inside[0] += 1
            inside[1] = max(inside)
        pair.wait(10)
        with lock:
            inside[0] -= 1
        connection.sendall(OK + b"\r\n")

    receiver = serve(counted)

    async def all_at_once() -> list[Answer]:
        sender = CallbackSender(max_connections=2)
        posts = [
            sender.post(receiver.url(), BODY, JSON, policy=ANY_BUT_FORBIDDEN) for _ in range(10)
        ]
        return await asyncio.gather(*posts)

    assert {answer.status for answer in asyncio.run(all_at_once())} == {200}
    assert inside[1] == 2


def test_a_cancelled_post_leaves_its_slot(serve: Serve) -> None:
    over = threading.Event()
    reached = threading.Event()

    def hold(connection: socket.socket, request: bytes) -> None:
        if b"/hold" in request:
            reached.set()
            over.wait(10)
        connection.sendall(OK + b"\r\n")

    receiver = serve(hold)

    async def cancel_one() -> Answer:
        sender = CallbackSender(max_connections=1)
        held = asyncio.create_task(
            sender.post(receiver.url("/hold"), BODY, JSON, policy=LOOPBACK_ONLY)
        )
        await asyncio.to_thread(reached.wait, 10)
        held.cancel()
        with pytest.raises(asyncio.CancelledError):
            await held
        return await sender.post(receiver.url(), BODY, JSON, policy=LOOPBACK_ONLY)

    assert asyncio.run(cancel_one()).status == 200
    over.set()


def test_hanging_system_lookups_leave_the_loops_own_threads_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def hanging(*_args: Any, **_options: Any) -> list[Any]:
        release.wait(10)
        raise socket.gaierror(-3, "Try again")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)

    async def many() -> list[object]:
        sender = CallbackSender()
        limits = Timeouts(connect=0.1)
        posts = [
            sender.post("http://hang.example/", b"", {}, policy=LOOPBACK_ONLY, timeouts=limits)
            for _ in range(3 * MAX_LOOKUPS)
        ]
        ended = await asyncio.gather(*posts, return_exceptions=True)
        assert await asyncio.to_thread(lambda: "free") == "free"
        return list(ended)

    try:
        ended = asyncio.run(many())
    finally:
        release.set()
    assert {type(error) for error in ended} == {OutboundTimedOut}


def test_loopback_names_never_ask_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_args: Any, **_options: Any) -> None:
        raise AssertionError("asked the system")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    for name in ("localhost", "hooks.localhost"):
        assert asyncio.run(system_resolver(name, 80)) == ["127.0.0.1", "::1"]
