"""Sources and results in process, as the server has them, but with shared placeholders.

Nothing is imported and no folder is made before a picture is needed. A placeholder of the server
names its task. Here all tasks of a tier and format share one, so that a thousand tests do not draw
a thousand.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.pictures import (
    PictureSpec,
    Verdict,
    is_data_url,
    quick_verdict,
    web_target,
)
from apixo_emulator.domain.responses import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.settings import Settings

if TYPE_CHECKING:
    from apixo_emulator.pictures import PictureStore

# What a shared placeholder says: no task's id, and the address that stands for all others.
_ANY_TASK = "any, in process"
_ELSEWHERE = "https://example.com/"
_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn result; its ``etag`` is strong and quoted."""

    body: bytes
    media_type: str
    etag: str


class Pictures:
    """The sources and results of one emulator."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: PictureStore | None = None
        # Whether any source had to be left to the background, where it is fetched.
        self.fetches = False

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Judge a source at once unless it has to be fetched, so that nothing is left to chance."""
        verdict = self._by_its_url(image_url)
        if verdict is not None:
            return verdict
        target = web_target(image_url)
        if is_data_url(image_url) or (target and not is_loopback_name(target.host)):
            return self._store().check(_ANY_TASK, image_url)
        self.fetches = True
        return None

    def _by_its_url(self, image_url: str) -> Verdict | None:
        has_folder = self._settings.images is not None
        return quick_verdict(image_url, fetch=self._settings.fetch, has_folder=has_folder)

    def check(self, task_id: str, image_url: str) -> Verdict:
        """Look at a source that has to be fetched; blocks meanwhile."""
        return self._store().check(task_id, image_url)

    def answer(self, request: HttpRequest, spec: PictureSpec) -> HttpResponse:
        """Answer with a result, which is drawn if it has to be; blocks meanwhile.

        Raises:
            OSError: The disk is full.
        """
        verdict = self._by_its_url(spec.image_url) or self.check(spec.task_id, spec.image_url)
        if verdict is Verdict.USABLE:
            picture = _rendered(self._store(), spec)
        else:
            picture = _placeholder(spec.resolution, spec.output_format)
        return _response(request, picture, spec.made_ms)

    def _store(self) -> PictureStore:
        with self._lock:
            if self._opened is None:
                from apixo_emulator.pictures import PictureStore

                _load_vips()
                folder = Path(tempfile.mkdtemp(prefix="apixo-emulator-"))
                weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
                self._opened = PictureStore(folder, self._settings.source_options())
            return self._opened


@cache
def _placeholder(resolution: str, output_format: str) -> Picture:
    from apixo_emulator.pictures import PictureStore

    _load_vips()
    spec = PictureSpec(_ANY_TASK, _ELSEWHERE, resolution, output_format)
    with tempfile.TemporaryDirectory(prefix="apixo-emulator-") as folder:
        return _rendered(PictureStore(Path(folder)), spec)


def _rendered(pictures: PictureStore, spec: PictureSpec) -> Picture:
    drawn = pictures.render(spec)
    return Picture(drawn.path.read_bytes(), drawn.media_type, drawn.etag)


@cache
def _load_vips() -> None:
    """Load libvips and leave its process-wide settings to the application, as they were found.

    The server blocks all loaders but three, stops caching, and bounds the threads. Sources go to a
    named loader either way.
    """
    from apixo_emulator.pictures.render import vips

    pyvips: Any = import_module("pyvips")  # it ships no types
    kept, threads = pyvips.cache_get_max(), pyvips.concurrency_get()
    vips()
    pyvips.operation_block_set("VipsForeignLoad", False)  # noqa: FBT003 - its signature
    pyvips.cache_set_max(kept)
    pyvips.concurrency_set(threads)


def _response(request: HttpRequest, picture: Picture, made_ms: int) -> HttpResponse:
    """Answer with a result; a Range that is no single byte range is ignored (RFC 9110, 14.2)."""
    shared = (
        (b"content-type", picture.media_type.encode()),
        (b"accept-ranges", b"bytes"),
        (b"etag", picture.etag.encode()),
        (b"cache-control", b"private, max-age=3600"),
        (b"last-modified", formatdate(made_ms / 1000, usegmt=True).encode()),
    )
    known = request.header(b"if-none-match") or b""
    if b"*" in known or picture.etag.encode() in known:  # RFC 9110, 13.1.2: weak comparison
        return HttpResponse(304, b"", shared[2:])
    size = len(picture.body)
    part = _part(request, picture.etag, size)
    if part is None:
        return HttpResponse(200, picture.body, shared)
    if not part:
        return refusal("range_not_satisfiable", (b"content-range", b"bytes */%d" % size))
    shown = b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)
    body = picture.body[part.start : part.stop]
    return HttpResponse(206, body, (*shared, (b"content-range", shown)))


def _part(request: HttpRequest, etag: str, size: int) -> range | None:
    """Return the bytes that are asked for, none where they lie beyond; None for all."""
    given = _RANGE.fullmatch(request.header(b"range") or b"")
    if given is None or request.header(b"if-range") not in (None, etag.encode()):
        return None
    first, last = given[1], given[2]
    if not first:
        return range(max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)
