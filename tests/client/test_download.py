"""Downloads over real sockets: whole or not at all."""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from apixo_client import (
    ApiError,
    AsyncApixo,
    DownloadError,
    NotFoundError,
    RetryPolicy,
    TransportError,
)
from apixo_client._download import AtomicFile
from apixo_schemas import contract

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PICTURE = bytes(range(256)) * 2000


class Files(BaseHTTPRequestHandler):
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        getattr(self, f"get_{self.path.strip('/')}")()

    def send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def get_picture(self) -> None:
        self.send(200, PICTURE)

    def get_moved(self) -> None:
        self.send(302, b"", Location="/picture")

    def get_short(self) -> None:
        self.send(200, PICTURE[:1000], Content_Length=str(len(PICTURE)))

    def get_loop(self) -> None:
        self.send(302, b"", Location="/loop")

    def get_expired(self) -> None:
        self.send(404, b'{"code": 404, "message": "gone"}')

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


REAL = {"transport": None, "retry": RetryPolicy(attempts=2)}


def test_a_result_is_written(service: Any, files: str, tmp_path: Path) -> None:
    path = tmp_path / "out.webp"
    assert service.call("download", f"{files}/picture", path, client=REAL) == path
    assert path.read_bytes() == PICTURE
    assert list(tmp_path.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_file_server_never_sees_the_key(service: Any, files: str, tmp_path: Path) -> None:
    service.call("download", f"{files}/moved", str(tmp_path / "out"), client=REAL)
    assert [path for path, _ in Files.seen] == ["/moved", "/picture"]
    assert not any("authorization" in headers for _, headers in Files.seen)


@pytest.mark.parametrize("before", [None, b"old picture"])
@pytest.mark.parametrize(
    ("name", "kind"),
    [("short", DownloadError), ("loop", DownloadError), ("expired", NotFoundError)],
)
def test_a_failure_leaves_nothing_behind(
    service: Any,
    files: str,
    tmp_path: Path,
    *,
    name: str,
    kind: type[Exception],
    before: bytes | None,
) -> None:
    path = tmp_path / "out.webp"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(kind):
        service.call("download", f"{files}/{name}", path, client=REAL)
    left = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}
    assert left == ({} if before is None else {"out.webp": before})


def test_a_short_result_is_an_error_whatever_carries_it(service: Any, tmp_path: Path) -> None:
    service.answer(httpx.Response(200, headers={"Content-Length": "9"}, stream=Chunks([b"abc"])))
    with pytest.raises(DownloadError, match=r"3 of 9 bytes from files\.test") as caught:
        service.call("download", "https://files.test/x", tmp_path / "out")
    assert (caught.value.status, caught.value.request) == (200, service.requests[0])
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_untold_length_is_taken_as_it_comes(service: Any, tmp_path: Path) -> None:
    service.answer(httpx.Response(200, stream=Chunks([b"abc", b"def"])))
    path = service.call("download", "https://files.test/x", tmp_path / "out")
    assert path.read_bytes() == b"abcdef"


def test_an_expired_link_is_explained(service: Any, tmp_path: Path) -> None:
    service.answer(httpx.Response(404))
    entry = contract().errors["result_not_found"]
    with pytest.raises(NotFoundError) as caught:
        service.call("download", "https://files.test/x", tmp_path / "out")
    assert entry.meaning in str(caught.value)
    assert entry.advice in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["no-url", "http://files.test:port/x", "ftp://files.test/x", "http://[", "file:///etc/hosts"],
)
def test_what_cannot_be_fetched_is_a_download_error(service: Any, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        service.call("download", url, tmp_path / "out", client=REAL)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_os_error(service: Any, tmp_path: Path) -> None:
    service.answer(httpx.Response(200, content=b"x"))
    with pytest.raises(FileNotFoundError):
        service.call("download", "https://files.test/x", tmp_path / "no" / "out")


def test_a_target_that_is_a_folder_leaves_nothing_behind(service: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    service.answer(httpx.Response(200, content=b"x"))
    with pytest.raises(OSError, match="out"):
        service.call("download", "https://files.test/x", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_result_downloads_itself(service: Any, tmp_path: Path) -> None:
    options = {"transport": None, "http_client": None}
    service.accept()
    service.succeed()
    with_result(service, options, tmp_path / "out.webp")
    assert (tmp_path / "out.webp").read_bytes() == b"picture"
    assert "Authorization" not in service.requests[-1].headers


def with_result(service: Any, options: dict[str, Any], path: Path) -> None:
    transport = httpx.MockTransport(service.handle)
    service.answer(httpx.Response(200, content=b"picture"))
    if service.kind == "sync":
        options["http_client"] = httpx.Client(transport=transport)
        result = service.call("upscale", "https://x.test/i.jpg", client=options)
        assert result.download(path) == path
        return

    async def run() -> None:
        client = AsyncApixo("key", transport=transport, sleep=service.asleep)
        result = await client.upscale("https://x.test/i.jpg")
        assert await result.download(path) == path
        await client.aclose()

    asyncio.run(run())


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


def test_discarding_twice_is_discarding_once(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "out")
    file.discard()
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_nobody_listening_is_told(service: Any) -> None:
    with unused_port() as port:
        options = REAL | {"base_url": f"http://127.0.0.1:{port}"}
        with pytest.raises(TransportError, match=r"127\.0\.0\.1") as caught:
            service.call("submit", "https://x.test/i.jpg", client=options)
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert type(caught.value) is TransportError
    assert len(service.slept) == 1


def test_the_default_ways_to_wait_are_those_of_the_language(new_service: Any) -> None:
    service = new_service("async")
    service.refuse(429)
    service.data(1)

    async def run() -> None:
        transport = httpx.MockTransport(service.handle)
        retry = RetryPolicy(base_s=0)
        async with AsyncApixo("key", transport=transport, retry=retry) as client:
            assert await client.balance() == 1

    asyncio.run(run())


@contextmanager
def unused_port() -> Iterator[int]:
    # Bound but not listening, so that nobody else can take it meanwhile.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def test_a_file_server_that_fails_is_an_api_error(service: Any, tmp_path: Path) -> None:
    service.answer(httpx.Response(503, html="<html>"))
    with pytest.raises(ApiError):
        service.call("download", "https://files.test/x", tmp_path / "out")
