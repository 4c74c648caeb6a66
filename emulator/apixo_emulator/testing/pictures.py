"""Sources and results in process, as the server has them, but with shared placeholders.

A placeholder of the server names its task. Here all tasks of a tier and format share one, so that a
thousand tests do not draw a thousand. Nothing is imported before a picture is needed.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
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
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.settings import Settings

if TYPE_CHECKING:
    from apixo_emulator.pictures import PictureStore, RenderedPicture

# What a shared placeholder says: no task's id, and the address that stands for all others.
_ANY_TASK = "any, in process"
_ELSEWHERE = "https://example.com/"


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

    def answer(self, spec: PictureSpec) -> HttpResponse:
        """Answer with a result, which is drawn if it has to be; blocks meanwhile.

        Raises:
            OSError: The disk is full.
        """
        verdict = self._by_its_url(spec.image_url) or self.check(spec.task_id, spec.image_url)
        if verdict is Verdict.USABLE:
            body, drawn = _rendered(self._store(), spec)
        else:
            body, drawn = _placeholder(spec.resolution, spec.output_format)
        # Ranges and conditions may be ignored (RFC 9110, 13.1 and 14.2).
        headers = (
            (b"content-type", drawn.media_type.encode()),
            (b"etag", drawn.etag.encode()),
            (b"cache-control", b"private, max-age=3600"),
            (b"last-modified", formatdate(spec.made_ms / 1000, usegmt=True).encode()),
        )
        return HttpResponse(200, body, headers)

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
def _placeholder(resolution: str, output_format: str) -> tuple[bytes, RenderedPicture]:
    from apixo_emulator.pictures import PictureStore

    _load_vips()
    spec = PictureSpec(_ANY_TASK, _ELSEWHERE, resolution, output_format)
    with tempfile.TemporaryDirectory(prefix="apixo-emulator-") as folder:
        return _rendered(PictureStore(Path(folder)), spec)


def _rendered(pictures: PictureStore, spec: PictureSpec) -> tuple[bytes, RenderedPicture]:
    drawn = pictures.render(spec)
    return drawn.path.read_bytes(), drawn


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
