"""Where sources come from, and which are refused."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apixo_emulator.domain.pictures import FetchMode, PictureSpec, Verdict
from apixo_emulator.pictures import Gallery, PictureLimits
from apixo_emulator.pictures.library import vips

OpenGallery = Callable[..., Gallery]
DataUrl = Callable[[bytes], str]


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")


NO_PICTURES = {
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "html": b"<!doctype html><title>Not found</title>",
    "pdf": b"%PDF-1.7\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>",
    "tiff": b"II*\0\x08\0\0\0",
    "nothing": b"",
    "other RIFF": b"RIFF\x20\0\0\0WAVEfmt ",
    "jpg in name only": b"\xff\xd8\xff\xe0" + b"\0" * 50,
    "png in name only": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "webp in name only": b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 50,
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_other_content_is_rejected(
    site: Any, gallery: OpenGallery, data_url: DataUrl, tmp_path: Path, kind: str
) -> None:
    body = NO_PICTURES[kind]
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / "x.jpg").write_bytes(body)
    one = gallery(images=tmp_path)
    assert one.check("fetched", site.give("/x.jpg", body)) is Verdict.REJECTED
    assert one.check("in its URL", data_url(body)) is Verdict.REJECTED
    assert one.check("in the folder", "https://example.com/x.jpg") is Verdict.REJECTED


def test_no_other_loader_can_be_reached() -> None:
    for name in ("gifload_buffer", "svgload_buffer", "tiffload_buffer", "new_from_buffer"):
        options = [""] if name == "new_from_buffer" else []
        with pytest.raises(vips().Error):
            getattr(vips().Image, name)(NO_PICTURES["gif"], *options)


def test_rejected_source_still_gives_a_picture(
    gallery: OpenGallery, open_result: Any, label: Any, data_url: DataUrl
) -> None:
    rendered = gallery().render(PictureSpec("t", data_url(NO_PICTURES["svg"]), "2k", "jpg"))
    assert open_result(rendered).width == 2048
    assert "no URL of a JPG, PNG or WebP" in label(rendered).replace("\n", " ")


@pytest.mark.parametrize(
    ("size", "verdict"),
    [
        ((10001, 10000), Verdict.TOO_LARGE),
        # Larger than a picture of the format can be.
        ((2_000_000_000, 2_000_000_000), Verdict.REJECTED),
    ],
)
def test_bomb_is_rejected_by_its_header(
    gallery: OpenGallery, data_url: DataUrl, size: tuple[int, int], verdict: Verdict
) -> None:
    assert gallery().check("task", data_url(png_header(*size))) is verdict


def test_data_url_that_is_malformed_further_on_is_rejected(
    gallery: OpenGallery, data_url: DataUrl, rocket: Path
) -> None:
    url = data_url(rocket.read_bytes()) + "!"
    assert gallery().quick_verdict(url) is None
    assert gallery().check("task", url) is Verdict.REJECTED


def test_file_that_cannot_be_read_is_absent(
    gallery: OpenGallery, rocket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    one = gallery(images=rocket.parent.parent)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        found = one._sources.look("https://data/rocket.jpg")
    assert (found.verdict, found.reason[-17:]) == (Verdict.ABSENT, "Permission denied")


def test_pixels_are_limited(gallery: OpenGallery, data_url: DataUrl, small: Any) -> None:
    url = data_url(small.pngsave_buffer())
    allowed = gallery(limits=PictureLimits(source_pixels=96 * 64))
    refused = gallery(limits=PictureLimits(source_pixels=96 * 64 - 1))
    assert allowed.check("one", url) is Verdict.USABLE
    assert refused.check("other", url) is Verdict.TOO_LARGE


def test_bytes_are_limited(
    site: Any, gallery: OpenGallery, data_url: DataUrl, rocket: Path
) -> None:
    body = rocket.read_bytes()
    (rocket_url, fetched) = data_url(body), site.give("/rocket.jpg", body)
    in_folder = "https://data/rocket.jpg"
    for spare, verdict in ((0, Verdict.USABLE), (-1, Verdict.TOO_LARGE)):
        limits = PictureLimits(source_bytes=len(body) + spare)
        one = gallery(limits=limits, images=rocket.parent.parent)
        for url in (rocket_url, fetched, in_folder):
            assert one.check(f"{url[:20]} {spare}", url) is verdict


def test_endless_download_is_rejected(site: Any, gallery: OpenGallery) -> None:
    def pour(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while not site.over.is_set():
                handler.wfile.write(b"\xff\xd8\xff" + b"\0" * 65536)

    one = gallery(limits=PictureLimits(source_bytes=1_000_000))
    assert one.check("task", site.answer("/endless", pour)) is Verdict.TOO_LARGE


def test_silent_server_is_given_up(site: Any, gallery: OpenGallery) -> None:
    def wait(_: BaseHTTPRequestHandler) -> None:
        site.over.wait()

    one = gallery(limits=PictureLimits(fetch_seconds=0.1))
    assert one.check("task", site.answer("/silent", wait)) is Verdict.ABSENT


@pytest.mark.parametrize("status", [204, 301, 403, 404, 500])
def test_other_status_is_absent(
    site: Any, gallery: OpenGallery, rocket: Path, label: Any, status: int
) -> None:
    url = site.give("/rocket.jpg", b"" if status == 204 else rocket.read_bytes(), status=status)
    one = gallery()
    assert one.check("task", url) is Verdict.ABSENT
    assert f"status {status}" in label(one.render(PictureSpec("task", url, "2k", "jpg")))


def test_closed_port_is_absent(gallery: OpenGallery) -> None:
    # Port 1 is assigned to a protocol of 1988 that nobody serves.
    assert gallery().check("task", "http://127.0.0.1:1/x.jpg") is Verdict.ABSENT


def redirects(site: Any, count: int, rocket: Path) -> str:
    site.give("/0", rocket.read_bytes())
    for left in range(1, count + 1):
        site.give(f"/{left}", b"", status=302, Location=f"/{left - 1}")
    return str(site.base + f"/{count}")


def test_redirects_are_followed_up_to_the_limit(
    site: Any, gallery: OpenGallery, rocket: Path
) -> None:
    assert gallery().check("five", redirects(site, 5, rocket)) is Verdict.USABLE
    assert gallery().check("six", redirects(site, 6, rocket)) is Verdict.ABSENT


@pytest.mark.parametrize("mode", FetchMode)
def test_redirect_to_a_forbidden_address_is_not_followed(
    site: Any, gallery: OpenGallery, mode: FetchMode
) -> None:
    url = site.give("/", b"", status=302, Location="http://169.254.169.254/latest/meta-data")
    assert gallery(fetch=mode).check("task", url) is Verdict.ABSENT


def test_other_hosts_are_not_fetched_from_by_default(gallery: OpenGallery) -> None:
    one = gallery()
    assert one.quick_verdict("https://example.com/input.jpg") is Verdict.ABSENT
    assert one.check("task", "https://example.com/input.jpg") is Verdict.ABSENT
    assert gallery(fetch=FetchMode.PUBLIC).quick_verdict("https://example.com/input.jpg") is None


def test_fetched_once_for_check_and_render(
    site: Any, gallery: OpenGallery, rocket: Path, open_result: Any
) -> None:
    url = site.give("/rocket.jpg", rocket.read_bytes())
    assert gallery().check("task", url) is Verdict.USABLE
    site.answers.clear()
    rendered = gallery().render(PictureSpec("task", url, "2k", "jpg"))
    assert open_result(rendered).height == 1366
    assert gallery().check("task", url) is Verdict.USABLE
    assert site.asked == ["/rocket.jpg"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.text(st.characters(), max_size=100))
def test_nothing_in_a_url_makes_a_look_raise(
    site: Any, gallery: OpenGallery, tmp_path: Path, rest: str
) -> None:
    for images in (None, tmp_path):
        one = gallery(images=images)
        assert one.check(f"task {images}", f"{site.base}/{rest}") in Verdict
        assert one.check(f"task {images}", f"http://localhost{rest}") in Verdict


@pytest.mark.parametrize("query", ["", "?size=large", "#top"])
def test_folder_stands_for_hosts(
    gallery: OpenGallery, rocket: Path, tmp_path: Path, query: str
) -> None:
    place = tmp_path / "images" / "example.com" / "a b"
    place.mkdir(parents=True)
    (place / "ü.jpg").write_bytes(rocket.read_bytes())
    one = gallery(images=tmp_path / "images")
    for url in (
        f"https://example.com/a%20b/%C3%BC.jpg{query}",
        f"http://EXAMPLE.com:8080//a b/ü.jpg{query}",
    ):
        assert one.quick_verdict(url) is None
        assert one.check(url, url) is Verdict.USABLE
    assert one.check("elsewhere", f"https://example.org/a%20b/%C3%BC.jpg{query}") is Verdict.ABSENT


def test_folder_comes_before_a_loopback_server(
    site: Any, gallery: OpenGallery, rocket: Path, tmp_path: Path
) -> None:
    (tmp_path / "127.0.0.1").mkdir()
    (tmp_path / "127.0.0.1" / "in.jpg").write_bytes(rocket.read_bytes())
    one = gallery(images=tmp_path)
    assert one.check("there", f"{site.base}/in.jpg") is Verdict.USABLE
    assert one.check("not there", f"{site.base}/out.jpg") is Verdict.ABSENT
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
    "https://host/%F0%9F\ud800",
    "https://host/" + "a" * 5000,
    "https://host/",
    "https://host",
    "https://[::1]/secret.jpg",
]


@pytest.mark.parametrize("url", ESCAPES)
def test_folder_is_never_left(gallery: OpenGallery, rocket: Path, tmp_path: Path, url: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(rocket.read_bytes())
    host = tmp_path / "images" / "host"
    host.mkdir(parents=True)
    (host / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (host / "folder").symlink_to(tmp_path, target_is_directory=True)
    (host / "loop").symlink_to(host / "loop")
    assert gallery(images=tmp_path / "images").check("task", url) is Verdict.ABSENT


def test_link_inside_the_folder_works(gallery: OpenGallery, rocket: Path, tmp_path: Path) -> None:
    (tmp_path / "a.example").mkdir()
    (tmp_path / "a.example" / "x.jpg").write_bytes(rocket.read_bytes())
    (tmp_path / "b.example").symlink_to(tmp_path / "a.example", target_is_directory=True)
    assert gallery(images=tmp_path).check("t", "https://b.example/x.jpg") is Verdict.USABLE


def test_only_files_are_read_from_the_folder(gallery: OpenGallery, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    # Opening a pipe that nobody writes to would wait for ever.
    getattr(os, "mkfifo", os.mkdir)(tmp_path / "host" / "pipe.jpg")
    assert gallery(images=tmp_path).check("task", "https://host/pipe.jpg") is Verdict.ABSENT
