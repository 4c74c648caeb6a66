"""Source pictures: GET requests, each hop judged, one deadline, a bounded body."""

from __future__ import annotations

import asyncio
import socket
import threading
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
from apixo_emulator.exchange import (
    OutboundBroken,
    OutboundError,
    OutboundRefused,
    OutboundStopped,
    OutboundTooLarge,
    Response,
)
from apixo_emulator.outbound import OutboundClient, Resolver
from outbound.receivers import Script, Serve, answering

OK = b"HTTP/1.1 200 OK\r\n"
# Loopback addresses only, behind any name.
NAMED_LOOPBACK = AddressPolicy(frozenset({Scope.LOOPBACK}))


def get(url: str, *, resolver: Resolver | None = None, **options: Any) -> Response:
    asked = {"policy": NAMED_LOOPBACK, "max_bytes": 1000, "timeout_s": 5.0, **options}
    return OutboundClient(resolver=resolver).fetch(url, **asked)


def picture(body: bytes, *headers: bytes) -> Script:
    return answering(b"\r\n".join([OK.strip(), *headers, b"", body]))


def test_a_picture_comes_with_its_status_and_headers(serve: Serve) -> None:
    receiver = serve(picture(b"pixels", b"Content-Type: image/png", b"Content-Length: 6"))
    fetched = get(receiver.url("/a ä.png?x=1#top", host="LOCALHOST"))
    assert (fetched.status, fetched.body) == (200, b"pixels")
    assert fetched.headers["content-type"] == "image/png"
    head = receiver.requests[0].decode().lower()
    assert head.startswith("get /a%20%c3%a4.png?x=1 http/1.1\r\n")
    assert f"\r\nhost: localhost:{receiver.port}\r\n" in head
    assert "accept-encoding: identity" in head
    assert "x-apixo-emulator-depth: 1" in head


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


def redirecting(location: str, status: int = 302) -> Script:
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 9\r\n\r\n"
    return answering(head.encode() + b"elsewhere")


def test_a_relative_redirect_stays_on_its_host(serve: Serve) -> None:
    def script(connection: socket.socket, request: bytes) -> None:
        moved = request.startswith(b"GET /a/b ")
        (redirecting("../c?d") if moved else picture(b"c"))(connection, request)

    receiver = serve(script)
    assert get(receiver.url("/a/b"), max_redirects=3).body == b"c"
    assert receiver.requests[1].startswith(b"GET /c?d HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("location", "error", "words"),
    [
        ("http://169.254.169.254/", OutboundRefused, "never called"),
        ("//10.0.0.1/", OutboundRefused, "private address"),
        ("https://example.com/", OutboundRefused, "public address"),
        ("http://metadata.example/", OutboundRefused, "never called"),
        ("/_emulator/clock", OutboundRefused, "control paths"),
        ("file:///etc/passwd", OutboundBroken, "scheme"),
        ("http://127.0.0.1:99999/", OutboundBroken, "malformed"),
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


@pytest.mark.parametrize("length", [1000, 1001])
def test_the_body_is_bounded(serve: Serve, length: int) -> None:
    announced = picture(b"x" * length, b"Content-Length: %d" % length)
    for script in (announced, picture(b"x" * length)):
        receiver = serve(script)
        if length <= 1000:
            assert len(get(receiver.url()).body) == length
        else:
            with pytest.raises(OutboundTooLarge, match="1000"):
                get(receiver.url())


def test_one_deadline_spans_all_redirects(serve: Serve) -> None:
    over = threading.Event()

    def slow_hop(connection: socket.socket, request: bytes) -> None:
        over.wait(0.05)
        redirecting("/next")(connection, request)

    with pytest.raises(OutboundError, match=r"within 0\.3 s"):
        get(serve(slow_hop).url(), timeout_s=0.3, max_redirects=1000)
    over.set()


def test_strict_never_reaches_this_machine(serve: Serve) -> None:
    receiver = serve(picture(b"x"))
    for host in ("127.0.0.1", "localhost", "[::ffff:7f00:1]", "rebound.example"):
        url = f"https://{host}:{receiver.port}/"
        with pytest.raises(OutboundRefused, match="loopback address"):
            get(url, policy=STRICT, resolver=lambda _host, _port: ["127.0.0.1"])
    assert get(receiver.url(), policy=ANY_BUT_FORBIDDEN).body == b"x"
    assert len(receiver.requests) == 1


def test_a_closed_client_ends_its_fetches(serve: Serve) -> None:
    over, reached = threading.Event(), threading.Event()

    def hold(_connection: socket.socket, _request: bytes) -> None:
        reached.set()
        over.wait(10)

    looked_up: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"]

    client = OutboundClient(resolver=resolve)
    url = serve(hold).url(host="localhost")

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
    assert looked_up == ["localhost"]
    over.set()
