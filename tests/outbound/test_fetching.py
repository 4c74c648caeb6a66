"""Source pictures: GET requests, each hop judged, one deadline, a bounded body."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    LOOPBACK_ONLY,
    STRICT,
    AddressPolicy,
    Scope,
)
from apixo_emulator.outbound import (
    OutboundBroken,
    OutboundClient,
    OutboundError,
    OutboundRefused,
    OutboundStopped,
    OutboundTooLarge,
    OutboundUnreachable,
    Resolver,
    Response,
)
from outbound.receivers import Script, Serve

OK = b"HTTP/1.1 200 OK\r\n"
# Loopback addresses only, behind any name.
NAMED_LOOPBACK = AddressPolicy(frozenset({Scope.LOOPBACK}))


def get(url: str, *, resolver: Resolver | None = None, **options: Any) -> Response:
    asked = {"policy": NAMED_LOOPBACK, "max_bytes": 1000, "timeout_s": 5.0, **options}
    return OutboundClient(resolver=resolver).fetch(url, **asked)


def answering(answer: bytes) -> Script:
    return lambda connection, _: connection.sendall(answer)


def picture(body: bytes, *headers: bytes) -> Script:
    return answering(b"\r\n".join([OK.strip(), *headers, b"", body]))


def to_localhost(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_picture_comes_with_its_status_and_headers(serve: Serve) -> None:
    receiver = serve(picture(b"pixels", b"Content-Type: image/png", b"Content-Length: 6"))
    fetched = get(receiver.url("/a ä.png?x=1#top", host="LOCALHOST"))
    assert (fetched.status, fetched.body) == (200, b"pixels")
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.url == f"http://localhost:{receiver.port}/a%20%C3%A4.png?x=1"
    head = receiver.requests[0].decode().lower()
    assert head.startswith("get /a%20%c3%a4.png?x=1 http/1.1\r\n")
    assert f"\r\nhost: localhost:{receiver.port}\r\n" in head
    assert "accept-encoding: identity" in head
    assert "x-apixo-emulator-depth: 1" in head


def test_any_status_is_a_response(serve: Serve) -> None:
    receiver = serve(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    assert get(receiver.url()).status == 404


def test_it_works_in_a_thread_that_runs_an_event_loop(serve: Serve) -> None:
    receiver = serve(picture(b"x"))

    async def blocking() -> bytes:
        return get(receiver.url()).body

    assert asyncio.run(blocking()) == b"x"


def test_the_environment_gives_neither_proxy_nor_password(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused_port: int
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refused_port}")
    receiver = serve(picture(b"x"))
    assert get(receiver.url()).body == b"x"
    assert b"authorization" not in receiver.requests[0].lower()


@pytest.mark.parametrize("found", [["127.0.0.1", "10.0.0.1"], ["169.254.169.254"], ["8.8.8.8"], []])
def test_one_bad_address_refuses_the_name(serve: Serve, found: list[str]) -> None:
    receiver = serve(picture(b"x"))
    with pytest.raises(OutboundRefused):
        get(receiver.url(host="mixed.example"), resolver=lambda _host, _port: found)
    assert not receiver.requests


def redirecting(location: str, status: int = 302) -> Script:
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 9\r\n\r\n"
    return answering(head.encode() + b"elsewhere")


def test_a_redirect_is_the_response_unless_redirects_are_wanted(serve: Serve) -> None:
    receiver = serve(redirecting("http://169.254.169.254/"))
    assert (get(receiver.url()).status, get(receiver.url()).body) == (302, b"elsewhere")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(serve: Serve, status: int) -> None:
    there = serve(picture(b"there"))
    here = serve(redirecting(there.url("/x"), status))
    fetched = get(here.url(), max_redirects=1)
    assert (fetched.body, fetched.url) == (b"there", there.url("/x"))


def test_a_relative_redirect_stays_on_its_host(serve: Serve) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        moved = request.startswith(b"GET /a/b ")
        (redirecting("../c?d") if moved else picture(b"c"))(connection, request)

    receiver = serve(script)
    assert get(receiver.url("/a/b"), max_redirects=3).url == receiver.url("/c?d")


@pytest.mark.parametrize(
    ("location", "error", "words"),
    [
        ("http://169.254.169.254/", OutboundRefused, "never called"),
        ("http://0xa9fea9fe/", OutboundRefused, "never called"),
        ("http://[::ffff:169.254.169.254]/", OutboundRefused, "never called"),
        ("//10.0.0.1/", OutboundRefused, "private address"),
        ("https://example.com/", OutboundRefused, "public address"),
        ("http://user:secret@127.0.0.1/", OutboundRefused, "user information"),
        ("http://metadata.example/", OutboundRefused, "never called"),
        ("/_emulator/clock", OutboundRefused, "control paths"),
        ("/%5Femulator/inbox", OutboundRefused, "control paths"),
        ("file:///etc/passwd", OutboundBroken, "scheme"),
        ("http://127.0.0.1:99999/", OutboundBroken, "malformed"),
        ("http://[bad", OutboundBroken, "no URL|malformed"),
    ],
)
def test_every_redirect_is_judged_again(
    serve: Serve, location: str, error: type[OutboundError], words: str
) -> None:
    receiver = serve(redirecting(location))
    known = {"metadata.example": ["169.254.169.254"], "example.com": ["8.8.8.8"]}
    with pytest.raises(error, match=words):
        get(receiver.url(), max_redirects=5, resolver=lambda host, _port: known[host])
    assert len(receiver.requests) == 1


def test_a_redirect_to_another_machine_is_refused_before_its_name_is_looked_up(
    serve: Serve,
) -> None:
    def never(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("resolved")

    receiver = serve(redirecting("http://elsewhere.example/"))
    with pytest.raises(OutboundRefused, match="not looked up"):
        get(receiver.url(), policy=LOOPBACK_ONLY, max_redirects=5, resolver=never)


def test_redirects_end(serve: Serve) -> None:
    receiver = serve(redirecting("/again"))
    with pytest.raises(OutboundBroken, match="more than 3 redirects"):
        get(receiver.url(), max_redirects=3)
    assert len(receiver.requests) == 4


@pytest.mark.parametrize("length", [999, 1000, 1001, 5000])
def test_the_body_is_bounded(serve: Serve, length: int) -> None:
    announced = picture(b"x" * length, b"Content-Length: %d" % length)
    for script in (announced, picture(b"x" * length)):
        receiver = serve(script)
        if length <= 1000:
            assert len(get(receiver.url()).body) == length
        else:
            with pytest.raises(OutboundTooLarge, match="1000"):
                get(receiver.url())


def test_an_endless_body_is_cut_off(serve: Serve) -> None:
    def endless(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:  # ends when the caller hangs up
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    with pytest.raises(OutboundTooLarge, match="longer than the 100000 bytes"):
        get(serve(endless).url(), max_bytes=100_000)


def test_one_deadline_spans_all_redirects(serve: Serve) -> None:
    over = threading.Event()

    def slow_hop(connection: socket.socket, request: bytes) -> None:
        over.wait(0.05)
        redirecting("/next")(connection, request)

    receiver = serve(slow_hop)
    began = time.monotonic()
    with pytest.raises(OutboundError, match=r"within 0\.5 s"):
        get(receiver.url(), timeout_s=0.5, max_redirects=1000)
    over.set()
    assert time.monotonic() - began < 5
    assert 1 < len(receiver.requests) <= 10


def test_no_time_at_all_is_no_call(serve: Serve) -> None:
    receiver = serve(picture(b"x"))
    with pytest.raises(OutboundUnreachable):
        get(receiver.url(), timeout_s=0)
    assert not receiver.requests


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name not known"), UnicodeError("label")])
def test_an_unknown_name_is_told(error: Exception) -> None:
    def failing(_host: str, _port: int) -> list[str]:
        raise error

    words = r"the name no\.example does not resolve: (Name|label)"
    with pytest.raises(OutboundUnreachable, match=words):
        get("http://no.example/", resolver=failing)


def test_the_system_resolves_a_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = serve(picture(b"x"))
    system = socket.getaddrinfo

    def known(host: str, *args: Any, **options: Any) -> Any:
        return system("127.0.0.1" if host == "box.example" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    assert get(receiver.url(host="box.example")).body == b"x"


def test_strict_never_reaches_this_machine(serve: Serve) -> None:
    receiver = serve(picture(b"x"))
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:7f00:1]"):
        with pytest.raises(OutboundRefused, match="loopback address"):
            get(f"https://{host}:{receiver.port}/", policy=STRICT)
    with pytest.raises(OutboundRefused, match="loopback address"):
        get(f"https://rebound.example:{receiver.port}/", policy=STRICT, resolver=to_localhost)
    assert get(receiver.url(), policy=ANY_BUT_FORBIDDEN).body == b"x"
    assert len(receiver.requests) == 1


def test_a_closed_client_ends_its_fetches(serve: Serve) -> None:
    over, reached = threading.Event(), threading.Event()

    def hold(_connection: socket.socket, _request: bytes) -> None:
        reached.set()
        over.wait(10)

    client = OutboundClient()
    url = serve(hold).url()

    def fetch() -> Response:
        return client.fetch(url, policy=LOOPBACK_ONLY, max_bytes=1, timeout_s=60)

    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(fetch)
        assert reached.wait(10)
        client.close()
        with pytest.raises(OutboundStopped):
            fetching.result(10)
    with pytest.raises(OutboundStopped):
        fetch()
    over.set()
