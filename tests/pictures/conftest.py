"""A store of pictures, a web server to fetch from, and pictures of all kinds."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from support.receivers import QuietHandler, web_server

from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.pictures import PictureStore, RenderedPicture, SourceOptions
from apixo_emulator.pictures.render import vips

Answer = Callable[[BaseHTTPRequestHandler], None]


def _nothing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


@dataclass
class Site:
    """A web server on this machine: what it answers, by path, and what it was asked."""

    base: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Set when the test is over, for answers that never end.
    over: threading.Event = field(default_factory=threading.Event)

    def give(self, path: str, body: bytes, *, status: int = 200, **headers: str) -> str:
        """Have a path answered; gives its URL."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return self.answer(path, answer)

    def answer(self, path: str, answer: Answer) -> str:
        """Have a path answered by a function; gives its URL."""
        self.answers[path] = answer
        return self.base + path


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on a free port of this machine."""

    found = Site("")

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - its name in http.server
            found.asked.append(self.path)
            found.answers.get(self.path, _nothing)(self)

    with web_server(Handler) as found.base:
        yield found
        found.over.set()


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[..., PictureStore]:
    """Opens picture stores on one and the same folder; options are those of sources."""

    def opened(*, bounds: dict[str, int] | None = None, **sources: Any) -> PictureStore:
        return PictureStore(tmp_path / "pictures", SourceOptions(**sources), **bounds or {})

    return opened


@pytest.fixture
def data_url() -> Callable[..., str]:
    """Packs a picture into a URL."""
    return lambda body: f"data:;base64,{b64encode(body).decode()}"


@pytest.fixture
def small(rocket: Path) -> Any:
    """An upright colour picture of 96x64 without symmetry, in memory."""
    return vips().Image.thumbnail(str(rocket), 96).copy_memory()


@pytest.fixture
def render(
    open_store: Callable[..., PictureStore], data_url: Callable[..., str]
) -> Callable[..., Any]:
    """Has a picture rendered from its bytes and opens what comes out."""

    def run(body: bytes, resolution: str = "2k", output_format: str = "png") -> Any:
        spec = PictureSpec("task", data_url(body), resolution, output_format)
        assert open_store().check(spec.task_id, spec.image_url) == "usable"
        return opened(open_store().render(spec))

    return run


def opened(rendered: RenderedPicture) -> Any:
    loaders = {"image/jpeg": "jpegload", "image/png": "pngload", "image/webp": "webpload"}
    return getattr(vips().Image, loaders[rendered.media_type])(str(rendered.path))


@pytest.fixture
def open_result() -> Callable[[RenderedPicture], Any]:
    """Opens a result with the loader of its media type, so that its format is checked as well."""
    return opened


@pytest.fixture
def label() -> Callable[[RenderedPicture], str]:
    """Reads what stands on a placeholder; empty for a real picture."""

    def read(rendered: RenderedPicture) -> str:
        name = "exif-ifd0-ImageDescription"
        picture = opened(rendered)
        return str(picture.get(name)) if picture.get_typeof(name) else ""

    return read


@pytest.fixture
def difference() -> Callable[[Any, Any], float]:
    """Measures how far two pictures are apart on average, from 0 to 255, at the first's size."""

    def measure(reference: Any, other: Any) -> float:
        across, down = reference.width / other.width, reference.height / other.height
        reduced = other.resize(across, vscale=down)
        assert (reduced.width, reduced.height) == (reference.width, reference.height)
        return float((reference.cast("float") - reduced.cast("float")).abs().avg())

    return measure
