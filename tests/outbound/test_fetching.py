from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apixo_emulator.domain.addresses import ANY_BUT_FORBIDDEN, LOOPBACK_ONLY, STRICT, AddressPolicy
from apixo_emulator.outbound import (
    OutboundError,
    OutboundFailed,
    OutboundRefused,
    OutboundTimedOut,
    OutboundTooLarge,
    OutboundUntrusted,
)
from apixo_emulator.outbound.fetching import Fetched, fetch
from apixo_emulator.outbound.names import MAX_LOOKUPS, LookupPool
from outbound.receivers import Script, Serve

OK = b"HTTP/1.1 200 OK\r\n"


def get(url: str, *, policy: AddressPolicy = LOOPBACK_ONLY, **options: Any) -> Fetched:
    return fetch(url, **{"policy": policy, "max_bytes": 1000, "timeout_s": 5.0, **options})


def answering(answer: bytes) -> Script:
    return lambda connection, _: connection.sendall(answer)


def picture(body: bytes, *headers: bytes) -> Script:
    return answering(b"\r\n".join([OK.strip(), *headers, b"", body]))


def to_localhost(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_picture_comes_with_its_status_and_headers(serve: Serve) -> None:
    receiver = serve(picture(b"pixels", b"Content-Type: image/png", b"Content-Length: 6"))
    fetched = get(receiver.url("/ä.png?x=1#top", host="LOCALHOST"))
    assert (fetched.status, fetched.body) == (200, b"pixels")
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.url == f"http://localhost:{receiver.port}/%C3%A4.png?x=1"
    head = receiver.requests[0].decode().lower()
    assert head.startswith("get /%c3%a4.png?x=1 http/1.1\r\n")
    assert f"\r\nhost: localhost:{receiver.port}\r\n" in head
    assert "accept-encoding: identity" in head


def test_any_status_is_an_answer(serve: Serve) -> None:
    receiver = serve(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
    assert get(receiver.url()).status == 404


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


def test_the_connection_goes_to_the_first_judged_address(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = serve(picture(b"first"))
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked: list[str] = []
    system = socket.getaddrinfo

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    def addresses_only(host: str, *args: Any, **options: Any) -> Any:
        assert host == "127.0.0.1"  # whoever resolves the name again ends here
        return system(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", addresses_only)
    url = receiver.url(host="rebinding.example")
    assert get(url, resolver=rebinding).body == b"first"
    assert asked == ["rebinding.example"]
    assert f"host: rebinding.example:{receiver.port}" in receiver.requests[0].decode().lower()
    with pytest.raises(OutboundRefused, match="private address is not allowed"):
        get(url, resolver=rebinding)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("found", [["127.0.0.1", "10.0.0.1"], ["169.254.169.254"], ["8.8.8.8"], []])
def test_one_bad_address_refuses_the_name(serve: Serve, found: list[str]) -> None:
    receiver = serve(picture(b"x"))
    with pytest.raises(OutboundRefused) as refused:
        get(receiver.url(host="mixed.example"), resolver=lambda _host, _port: found)
    assert refused.value.url == receiver.url(host="mixed.example")
    assert not receiver.requests


def test_another_judged_address_stands_in_when_nobody_listens(serve: Serve) -> None:
    receiver = serve(picture(b"second"))
    both = ["127.0.0.2", "127.0.0.1"]
    fetched = get(receiver.url(host="two.example"), resolver=lambda _host, _port: both)
    assert fetched.body == b"second"


def redirecting(location: str, status: int = 302) -> Script:
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 9\r\n\r\n"
    return answering(head.encode() + b"elsewhere")


def test_a_redirect_is_the_answer_unless_redirects_are_wanted(serve: Serve) -> None:
    receiver = serve(redirecting("http://169.254.169.254/"))
    assert (get(receiver.url()).status, get(receiver.url()).body) == (302, b"elsewhere")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_by_hand(serve: Serve, status: int) -> None:
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
    ("location", "words"),
    [
        ("http://169.254.169.254/", "never called"),
        ("http://0xa9fea9fe/", "never called"),
        ("http://[::ffff:169.254.169.254]/", "never called"),
        ("//10.0.0.1/", "private address"),
        ("https://example.com/", "public address"),
        ("file:///etc/passwd", "scheme"),
        ("http://user:secret@127.0.0.1/", "user information"),
        ("http://[bad", "no URL|malformed"),
        ("http://metadata.example/", "never called"),
    ],
)
def test_every_redirect_is_judged_again(serve: Serve, location: str, words: str) -> None:
    receiver = serve(redirecting(location))
    known = {"metadata.example": ["169.254.169.254"], "example.com": ["8.8.8.8"]}
    with pytest.raises(OutboundRefused, match=words):
        get(receiver.url(), max_redirects=5, resolver=lambda host, _port: known[host])
    assert len(receiver.requests) == 1


def test_redirects_end(serve: Serve) -> None:
    receiver = serve(redirecting("/again"))
    with pytest.raises(OutboundRefused, match="more than 3 redirects"):
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


@pytest.mark.parametrize(
    ("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)]
)
def test_a_compressed_body_is_bounded_on_both_sides(
    serve: Serve, encoding: bytes, pack: Callable[[bytes], bytes]
) -> None:
    header = b"Content-Encoding: " + encoding
    assert get(serve(picture(pack(b"x" * 1000), header)).url()).body == b"x" * 1000
    with pytest.raises(OutboundTooLarge):
        get(serve(picture(pack(b"x" * 10_000_000), header)).url(), max_bytes=100_000)
    with pytest.raises(OutboundTooLarge):
        get(serve(picture(pack(b"") + b"x" * 1001, header)).url())
    with pytest.raises(OutboundFailed, match="cut short"):
        get(serve(picture(pack(b"x" * 1000)[:-5], header)).url())
    with pytest.raises(OutboundFailed, match="damaged"):
        get(serve(picture(b"no such thing", header)).url())


def test_an_encoding_that_was_not_asked_for_is_named(serve: Serve) -> None:
    with pytest.raises(OutboundFailed, match="encoded as 'br'"):
        get(serve(picture(b"x", b"Content-Encoding: br")).url())


def dripping(start: bytes, over: threading.Event) -> Script:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(b"x")

    return script


@pytest.mark.parametrize(
    "start",
    [OK + b"\r\n", OK + b"X-Slow: ", b"HTTP/1.1 2", b""],
    ids=["body", "head", "status", "all"],
)
def test_a_drip_gains_no_time(serve: Serve, start: bytes) -> None:
    over = threading.Event()
    receiver = serve(dripping(start, over))
    began = time.monotonic()
    try:
        with pytest.raises(OutboundError) as late:
            get(receiver.url(), timeout_s=0.3)
    finally:
        over.set()
    assert time.monotonic() - began < 5  # without the limit it never ends
    if start:
        assert isinstance(late.value, OutboundTimedOut)
        words = f"no complete answer from 127.0.0.1:{receiver.port} within 0.3 s"
        assert str(late.value) == words


def test_one_deadline_spans_all_redirects(serve: Serve) -> None:
    over = threading.Event()

    def slow_hop(connection: socket.socket, request: bytes) -> None:
        over.wait(0.05)
        redirecting("/next")(connection, request)

    receiver = serve(slow_hop)
    with pytest.raises(OutboundTimedOut):
        get(receiver.url(), timeout_s=0.5, max_redirects=1000)
    over.set()
    assert 1 < len(receiver.requests) <= 10


def test_a_hanging_lookup_ends_at_the_deadline(serve: Serve) -> None:
    release = threading.Event()

    def hanging(_host: str, _port: int) -> list[str]:
        release.wait(10)
        return ["127.0.0.1"]

    receiver = serve(picture(b"x"))
    try:
        with pytest.raises(OutboundTimedOut, match=r"slow\.example:\d+ within 0.05 s"):
            get(receiver.url(host="slow.example"), resolver=hanging, timeout_s=0.05)
    finally:
        release.set()
    assert not receiver.requests


def test_no_time_at_all_is_no_call(serve: Serve) -> None:
    receiver = serve(picture(b"x"))
    with pytest.raises(OutboundTimedOut):
        get(receiver.url(), timeout_s=0)
    assert not receiver.requests


def test_hanging_lookups_are_few_and_abandoned_ones_never_begin() -> None:
    pool = LookupPool()
    release = threading.Event()
    running = threading.Semaphore(0)
    begun: list[int] = []

    def lookup(number: int) -> list[str]:
        begun.append(number)
        running.release()
        release.wait(10)
        return [str(number)]

    futures = [pool.submit(partial(lookup, n)) for n in range(3 * MAX_LOOKUPS)]
    for _ in range(MAX_LOOKUPS):
        assert running.acquire(timeout=10)
    assert sorted(begun) == list(range(MAX_LOOKUPS))
    abandoned = futures[MAX_LOOKUPS]
    assert abandoned.cancel()
    release.set()
    kept = [future for future in futures if future is not abandoned]
    assert [future.result(10) for future in kept] == [
        [str(n)] for n in range(3 * MAX_LOOKUPS) if n != MAX_LOOKUPS
    ]
    assert MAX_LOOKUPS not in begun


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name not known"), UnicodeError("label")])
def test_an_unknown_name_is_a_failure_in_words(error: Exception) -> None:
    def failing(_host: str, _port: int) -> list[str]:
        raise error

    with pytest.raises(
        OutboundFailed, match=r"the name no\.example does not resolve: (Name|label)"
    ):
        get("http://no.example/", resolver=failing)


def test_the_system_resolves_a_name(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = serve(picture(b"x"))
    system = socket.getaddrinfo

    def known(host: str, *args: Any, **options: Any) -> Any:
        return system("127.0.0.1" if host == "box.example" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    assert get(receiver.url(host="box.example")).body == b"x"


def test_what_goes_wrong_is_said_in_words(serve: Serve, refused_port: int) -> None:
    with pytest.raises(OutboundFailed, match=f"connection refused by 127.0.0.1:{refused_port}"):
        get(f"http://127.0.0.1:{refused_port}/")
    with pytest.raises(OutboundFailed, match="broke the HTTP protocol"):
        get(serve(answering(b"SSH-2.0-OpenSSH\r\n\r\n")).url())
    with pytest.raises(OutboundFailed, match="broke the HTTP protocol: Server disconnected"):
        get(serve(answering(b"")).url())
    with pytest.raises(OutboundFailed, match="broke the HTTP protocol: peer closed connection"):
        get(serve(picture(b"x", b"Content-Length: 9")).url())
    with pytest.raises(OutboundRefused, match="user information") as refused:
        get("http://user:secret@127.0.0.1/")
    assert "secret" not in str(refused.value)


def test_tls_verifies_the_name_not_the_address(
    serve: Serve, tls_for: Callable[[str], ssl.SSLContext], ca_file: Path
) -> None:
    names: list[str | None] = []
    context = tls_for("files.example")
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    receiver = serve(picture(b"secret"), context)
    url = receiver.url(host="files.example")
    assert get(url, resolver=to_localhost, ca_file=ca_file).body == b"secret"
    assert names == ["files.example"]
    with pytest.raises(OutboundUntrusted, match=r"not trusted: Hostname mismatch"):
        get(receiver.url(host="other.example"), resolver=to_localhost, ca_file=ca_file)
    with pytest.raises(OutboundUntrusted, match="not trusted: unable to get local issuer"):
        get(url, resolver=to_localhost)
    with pytest.raises(OutboundUntrusted, match="not trusted: IP address mismatch"):
        get(receiver.url(), ca_file=ca_file)
    assert len(receiver.requests) == 1


def test_tls_to_a_plain_server_and_a_silent_one(serve: Serve, tmp_path: Path) -> None:
    port = serve(picture(b"x")).port
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OutboundTimedOut):
        get(f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.1)
    with pytest.raises(OutboundError, match=f"127.0.0.1:{port}"):
        get(f"https://127.0.0.1:{port}/", timeout_s=0.3)
    for content in (None, "no certificate"):
        path = tmp_path / "ca.pem"
        if content:
            path.write_text(content)
        with pytest.raises(OutboundFailed, match=r"ca\.pem cannot be read"):
            get("https://127.0.0.1/", ca_file=path)


def test_strict_never_reaches_this_machine(serve: Serve) -> None:
    receiver = serve(picture(b"x"))
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:7f00:1]"):
        with pytest.raises(OutboundRefused, match="loopback address"):
            get(f"https://{host}:{receiver.port}/", policy=STRICT)
    with pytest.raises(OutboundRefused, match="loopback address"):
        get(f"https://rebound.example:{receiver.port}/", policy=STRICT, resolver=to_localhost)
    assert get(receiver.url(), policy=ANY_BUT_FORBIDDEN).body == b"x"
    assert len(receiver.requests) == 1
