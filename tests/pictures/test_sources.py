"""Where sources come from, and which are refused."""

from __future__ import annotations

import gzip
import os
import ssl
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outbound.receivers import Receiver
from pictures.samples import png_header

from apixo_emulator.domain.pictures import (
    PictureSpec,
    RefusedSource,
    Verdict,
)
from apixo_emulator.exchange import OutboundBroken, OutboundTooLarge
from apixo_emulator.pictures import PictureStore
from apixo_emulator.pictures.render import vips
from apixo_emulator.pictures.sources import decoded

OpenStore = Callable[..., PictureStore]
DataUrl = Callable[[bytes], str]


NO_PICTURES = {
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "html": b"<!doctype html><title>Not found</title>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>",
    "nothing": b"",
    "jpg in name only": b"\xff\xd8\xff\xe0" + b"\0" * 50,
    "png in name only": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "webp in name only": b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 50,
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_other_content_is_rejected(
    site: Any, open_store: OpenStore, data_url: DataUrl, tmp_path: Path, kind: str
) -> None:
    body = NO_PICTURES[kind]
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / "x.jpg").write_bytes(body)
    one = open_store(images=tmp_path)
    assert one.check("fetched", site.give("/x.jpg", body)) is Verdict.REJECTED
    assert one.check("in its URL", data_url(body)) is Verdict.REJECTED
    assert one.check("in the folder", "https://example.com/x.jpg") is Verdict.REJECTED


def test_no_other_loader_can_be_reached() -> None:
    for name in ("gifload_buffer", "svgload_buffer", "tiffload_buffer", "new_from_buffer"):
        options = [""] if name == "new_from_buffer" else []
        with pytest.raises(vips().Error):
            getattr(vips().Image, name)(NO_PICTURES["gif"], *options)


def test_bomb_is_rejected_by_its_header(open_store: OpenStore, data_url: DataUrl) -> None:
    assert open_store().check("task", data_url(png_header(10001, 10000))) is Verdict.TOO_LARGE
    larger_than_can_be = png_header(2_000_000_000, 2_000_000_000)
    assert open_store().check("other", data_url(larger_than_can_be)) is Verdict.REJECTED


def test_bytes_are_limited(
    site: Any, open_store: OpenStore, data_url: DataUrl, rocket: Path
) -> None:
    body = rocket.read_bytes()
    (rocket_url, fetched) = data_url(body), site.give("/rocket.jpg", body)
    in_folder = "https://data/rocket.jpg"
    for spare, verdict in ((0, Verdict.USABLE), (-1, Verdict.TOO_LARGE)):
        one = open_store(max_bytes=len(body) + spare, images=rocket.parent.parent)
        for url in (rocket_url, fetched, in_folder):
            assert one.check(f"{url[:20]} {spare}", url) is verdict


def hang(site: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda _: site.over.wait()


def break_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("refused", "verdict"),
    [
        (RefusedSource.ASSUMED, Verdict.REFUSED),
        (RefusedSource.FAIL, Verdict.REJECTED),
        (RefusedSource.PLACEHOLDER, Verdict.ABSENT),
    ],
)
def test_a_server_that_refuses_the_source(
    site: Any, open_store: OpenStore, refused: RefusedSource, verdict: Verdict
) -> None:
    one = open_store(refused=refused, timeout_s=0.2)
    urls = {
        "hangs": site.answer("/hangs", hang(site)),
        "breaks off": site.answer("/breaks", break_off),
        "no response": site.answer("/closes", lambda handler: handler.connection.close()),
        "error": site.give("/error", b"", status=503),
        "no content": site.give("/no-content", b"", status=204),
        "redirects to itself": site.give("/again", b"", status=302, Location="/again"),
        "cut short": site.give(
            "/cut", gzip.compress(b"x" * 99)[:-9], **{"Content-Encoding": "gzip"}
        ),
    }
    assert {why: one.check(why, url) for why, url in urls.items()} == dict.fromkeys(urls, verdict)


@pytest.mark.parametrize(
    ("location", "verdict"),
    [
        ("http://elsewhere.example/x.jpg", Verdict.ABSENT),
        ("http://169.254.169.254/latest/meta-data", Verdict.ABSENT),
        ("/_emulator/clock", Verdict.ABSENT),
        ("http://127.0.0.1:99999/", Verdict.REFUSED),
    ],
)
def test_redirect_that_is_not_followed(
    site: Any, open_store: OpenStore, location: str, verdict: Verdict
) -> None:
    url = site.give("/", b"", status=302, Location=location)
    assert open_store().check("task", url) is verdict


# Of several headers, each behind a semicolon.
ENCODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity, gzip": gzip.compress,
    "deflate, gzip": lambda body: gzip.compress(zlib.compress(body)),
    "deflate; gzip": lambda body: gzip.compress(zlib.compress(body)),
    "gzip,aws-chunked": gzip.compress,
    "aws-chunked": bytes,
    "base64": bytes,
    "none": bytes,
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_content_encodings_are_undone(
    site: Any, open_store: OpenStore, rocket: Path, encoding: str
) -> None:
    body = ENCODED[encoding](rocket.read_bytes())

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for line in encoding.split("; "):
            handler.send_header("Content-Encoding", line)
        handler.end_headers()
        handler.wfile.write(body)

    url = site.answer("/rocket.jpg", send)
    assert open_store().check("task", url) is Verdict.USABLE
    kept = open_store().source(PictureSpec("task", url, "2k", "jpg"))
    assert kept.body == rocket.read_bytes()


def test_other_forms_of_compression_are_undone(rocket: Path) -> None:
    body = rocket.read_bytes()
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    members = gzip.compress(body[:1000]) + gzip.compress(body[1000:])
    limit = len(body)
    assert decoded(raw.compress(body) + raw.flush(), "deflate", limit) == body
    assert decoded(members, "gzip", limit) == body
    assert decoded(members + b"\0" * 100, "gzip", limit) == body
    assert decoded(gzip.compress(b""), "gzip", limit) == b""
    with pytest.raises(OutboundTooLarge):
        decoded(gzip.compress(b"x" * 10_000_000), "gzip", limit)
    for cut in (gzip.compress(b"x" * 1000)[:-5], members[:-5]):
        with pytest.raises(OutboundBroken, match="cut short"):
            decoded(cut, "gzip", limit)
    for coding in ("gzip", "deflate"):
        with pytest.raises(OutboundBroken, match=f"not compressed as {coding}"):
            decoded(b"<html>", coding, limit)


def test_a_private_authority_can_be_trusted(
    open_store: OpenStore, rocket: Path, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    body = rocket.read_bytes()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    server = Receiver(lambda connection, _: connection.sendall(head + body), context)
    try:
        url = server.url("/x.jpg")
        assert open_store().check("untrusted", url) is Verdict.ABSENT
        assert open_store(ca_file=tmp_path / "ca.pem").check("trusted", url) is Verdict.USABLE
    finally:
        server.close()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.text(st.characters(), max_size=100))
def test_nothing_in_a_url_makes_a_look_raise(
    site: Any, open_store: OpenStore, tmp_path: Path, rest: str
) -> None:
    for images in (None, tmp_path):
        one = open_store(images=images)
        assert one.check(f"task {images}", f"{site.base}/{rest}") in Verdict
        assert one.check(f"task {images}", f"http://localhost{rest}") in Verdict


def test_folder_stands_for_hosts(open_store: OpenStore, rocket: Path, tmp_path: Path) -> None:
    place = tmp_path / "images" / "example.com" / "a b"
    place.mkdir(parents=True)
    (place / "ü.jpg").write_bytes(rocket.read_bytes())
    one = open_store(images=tmp_path / "images")
    for url in (
        "https://example.com/a%20b/%C3%BC.jpg?size=large",
        "http://EXAMPLE.com:8080//a b/ü.jpg#top",
    ):
        assert one.quick_verdict(url) is None
        assert one.check(url, url) is Verdict.USABLE
    assert one.check("elsewhere", "https://example.org/a%20b/%C3%BC.jpg") is Verdict.ABSENT


def test_folder_comes_before_a_loopback_server(
    site: Any, open_store: OpenStore, rocket: Path, tmp_path: Path
) -> None:
    (tmp_path / "127.0.0.1").mkdir()
    (tmp_path / "127.0.0.1" / "in.jpg").write_bytes(rocket.read_bytes())
    one = open_store(images=tmp_path)
    assert one.check("there", f"{site.base}/in.jpg") is Verdict.USABLE
    assert one.check("not there", f"{site.base}/out.jpg") is Verdict.REFUSED
    assert site.asked == ["/out.jpg"]


ESCAPES = [
    "https://host/../secret.jpg",
    "https://host/%2e%2e/secret.jpg",
    "https://host/%2E%2E%2Fsecret.jpg",
    "https://host/a/..%2f..%2f..%2fsecret.jpg",
    "https://host/..%5Csecret.jpg",
    "https://../secret.jpg",
    "https://../%2e%2e/secret.jpg",
    "https://host/link.jpg",
    "https://host/folder/secret.jpg",
    "https://host/loop/x.jpg",
    "https://host/%00",
    "https://host/%F0%9F",
    "https://host/" + "a" * 5000,
    "https://host/",
    "https://host",
    "https://[::1]/secret.jpg",
]


@pytest.mark.parametrize("url", ESCAPES)
def test_folder_is_never_left(
    open_store: OpenStore, rocket: Path, tmp_path: Path, url: str
) -> None:
    (tmp_path / "secret.jpg").write_bytes(rocket.read_bytes())
    host = tmp_path / "images" / "host"
    host.mkdir(parents=True)
    (host / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (host / "folder").symlink_to(tmp_path, target_is_directory=True)
    (host / "loop").symlink_to(host / "loop")
    found = open_store(images=tmp_path / "images").check("task", url)
    assert found in {Verdict.ABSENT, Verdict.NOT_A_URL}


def test_only_files_are_read_from_the_folder(open_store: OpenStore, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    # Opening a pipe that nobody writes to would wait for ever.
    getattr(os, "mkfifo", os.mkdir)(tmp_path / "host" / "pipe.jpg")
    assert open_store(images=tmp_path).check("task", "https://host/pipe.jpg") is Verdict.ABSENT
