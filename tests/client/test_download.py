"""Downloads over real sockets: complete or not at all."""

from __future__ import annotations

import asyncio
import gzip
import os
import resource
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from apixo_client import ApiError, Apixo, AsyncApixo, DownloadError, NotFoundError
from apixo_schemas import contract

PICTURE = bytes(range(256)) * 2000
Download = Callable[[str, str | Path], Path]


@pytest.fixture(params=["sync", "async"])
def download(request: pytest.FixtureRequest) -> Download:
    """Download by the sync or the async client, over real sockets."""

    def sync_download(url: str, path: str | Path) -> Path:
        with Apixo("secret-key", "https://api.test") as client:
            return client.download(url, path)

    async def async_download(url: str, path: str | Path) -> Path:
        async with AsyncApixo("secret-key", "https://api.test") as client:
            return await client.download(url, path)

    if request.param == "sync":
        return sync_download
    return lambda url, path: asyncio.run(async_download(url, path))


ZIPPED = gzip.compress(PICTURE)
PNG = {"Content-Type": "image/png"}
HUGE = {"Content-Length": str(10**12)}
# Status, body and headers by path.
ANSWERS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "picture": (200, PICTURE, {}),
    "moved": (302, b"", {"Location": "/picture"}),
    "loop": (302, b"", {"Location": "/loop"}),
    "nowhere": (302, b"", {"Location": "http://xn--/"}),
    "short": (200, PICTURE[:1000], {"Content-Length": str(len(PICTURE))}),
    "zipped": (200, ZIPPED, {"Content-Encoding": "gzip"}),
    "zipped_twice": (
        *(200, gzip.compress(PICTURE[:1000]) + gzip.compress(PICTURE[1000:])),
        {"Content-Encoding": "gzip"},
    ),
    "not_zipped": (200, b"no gzip at all", {"Content-Encoding": "gzip"}),
    "half_zipped": (200, ZIPPED[:-4], {"Content-Encoding": "gzip"}),
    "one_and_a_half_zipped": (200, ZIPPED + ZIPPED[:100], {"Content-Encoding": "gzip"}),
    "zipped_nothing": (200, gzip.compress(b""), {"Content-Encoding": "gzip"}),
    "foreign": (200, PICTURE, {"Content-Encoding": "zstd"}),
    # The client must not wait for the rest of them.
    "long_error": (500, b"<html>", HUGE),
    "long_redirect": (302, b"<html>", {**HUGE, "Location": "/picture"}),
    "page": (200, b"<h1>Sign in</h1>", {"Content-Type": "text/html; charset=utf-8"}),
    "envelope": (200, b'{"code": 404}', {"Content-Type": "application/json"}),
    "problem": (200, b"{}", {"Content-Type": "application/problem+json; charset=utf-8"}),
    "part": (206, PICTURE[:100], {"Content-Range": f"bytes 0-99/{len(PICTURE)}"}),
    "accepted": (202, PICTURE, {}),
    "nothing": (204, b"", {}),
    "empty": (200, b"", PNG),
    "expired": (404, b'{"code": 404, "message": "gone"}', {}),
}


class Files(BaseHTTPRequestHandler):
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        status, body, headers = ANSWERS[self.path.strip("/")]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Be quiet."""


@pytest.fixture
def files() -> Iterator[str]:
    Files.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_result_is_written(download: Download, files: str, tmp_path: Path) -> None:
    path = tmp_path / "out.webp"
    assert download(f"{files}/picture", path) == path
    assert path.read_bytes() == PICTURE
    assert list(tmp_path.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_file_server_never_sees_the_key(download: Download, files: str, tmp_path: Path) -> None:
    download(f"{files}/moved", str(tmp_path / "out"))
    assert [path for path, _ in Files.seen] == ["/moved", "/picture"]
    assert "secret-key" not in str(Files.seen)
    assert {headers["accept-encoding"] for _, headers in Files.seen} == {"identity"}


@pytest.mark.parametrize("name", ["zipped", "zipped_twice"])
def test_a_compressed_result_is_written_uncompressed(
    download: Download, files: str, tmp_path: Path, name: str
) -> None:
    assert download(f"{files}/{name}", tmp_path / "out").read_bytes() == PICTURE


def test_the_body_of_a_redirect_is_not_read(download: Download, files: str, tmp_path: Path) -> None:
    assert download(f"{files}/long_redirect", tmp_path / "out").read_bytes() == PICTURE


@pytest.mark.parametrize(
    "name",
    sorted({*ANSWERS} - {"picture", "moved", "long_redirect", "zipped", "zipped_twice"}),
)
def test_a_failure_changes_nothing(
    download: Download, files: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "out.webp"
    path.write_bytes(b"old picture")
    refused = ANSWERS[name][0] >= 400
    with pytest.raises(ApiError if refused else DownloadError):
        download(f"{files}/{name}", path)
    left = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert left == {"out.webp": b"old picture"}


def test_an_expired_link_is_explained(download: Download, files: str, tmp_path: Path) -> None:
    entry = contract().errors["result_not_found"]
    with pytest.raises(NotFoundError) as caught:
        download(f"{files}/expired", tmp_path / "out")
    assert entry.meaning in str(caught.value)
    assert entry.advice in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["no-url", "http://files.test:port/x", "ftp://files.test/x", "http://[", "file:///etc/hosts"],
)
def test_what_cannot_be_fetched_is_a_download_error(
    download: Download, tmp_path: Path, url: str
) -> None:
    with pytest.raises(DownloadError):
        download(url, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_os_error(
    download: Download, files: str, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        download(f"{files}/picture", tmp_path / "no" / "out")
    assert Files.seen == []


def test_a_target_that_is_a_folder_leaves_nothing_behind(
    download: Download, files: str, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="out"):
        download(f"{files}/picture", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_pipe_is_not_replaced_and_a_link_is_followed(
    download: Download, files: str, tmp_path: Path
) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="a regular file was expected"):
        download(f"{files}/picture", pipe)
    assert pipe.is_fifo()
    link.symlink_to(tmp_path / "out.png")
    assert download(f"{files}/picture", link) == link
    assert link.is_symlink()
    assert (tmp_path / "out.png").read_bytes() == PICTURE


def test_a_full_disk_leaves_nothing_behind(download: Download, files: str, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            download(f"{files}/picture", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_download_leaves_nothing_behind(tmp_path: Path) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x"
            started.set()
            await asyncio.Event().wait()

        response = httpx.Response(200, content=endless())
        transport = httpx.MockTransport(lambda _request: response)
        async with AsyncApixo("key", transport=transport) as client:
            task = asyncio.ensure_future(client.download("https://files.test/x", tmp_path / "out"))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_the_async_client_works_under_trio(files: str, tmp_path: Path) -> None:
    async def run() -> Path:
        async with AsyncApixo("secret-key", "https://api.test") as client:
            return await client.download(f"{files}/picture", tmp_path / "out")

    assert trio.run(run).read_bytes() == PICTURE
