"""Small pictures of a task's source and result, and what they are: size in pixels and bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from apixo_emulator.domain.pictures import PictureSpec, sniff
from apixo_emulator.pictures import Gallery
from apixo_emulator.pictures.library import UnreadablePicture, load, vips
from apixo_emulator.pictures.notes import digest_of

# Sharp on a screen of twice the density.
_WIDTH, _HEIGHT = 960, 720
_QUALITY = 82
_KEPT = 64
_FIRST_TRANSPOSED = 5  # EXIF orientations 5 to 8 swap width and height


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as the page shows it; ``size`` is in bytes. Without one, ``reason`` says why."""

    width: int = 0
    height: int = 0
    size: int = 0
    media_type: str = ""
    thumbnail: bytes = b""
    reason: str = ""


class Thumbnails:
    """Makes and keeps a few; safe to use from several threads."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Shown] = OrderedDict()

    def source(self, spec: PictureSpec) -> Shown:
        """Give a task's source, as far as the emulator has it. Blocks."""
        found = self._gallery.source(spec)
        if not found.body:
            return Shown(reason=found.reason)
        name = digest_of(found.body)
        return self._known(name) or self._keep(name, found.body)

    def result(self, spec: PictureSpec) -> Shown:
        """Give a task's result, drawn where it was not yet. Blocks."""
        try:
            path = self._gallery.render(spec).path
            return self._known(path.name) or self._keep(path.name, path.read_bytes())
        except OSError as error:
            return Shown(reason=f"it cannot be drawn: {error.strerror}")

    def source_body(self, spec: PictureSpec) -> tuple[bytes, str]:
        """Give a source's bytes and media type, both empty where the emulator has none."""
        found = self._gallery.source(spec)
        return found.body, found.media_type

    def _known(self, name: str) -> Shown | None:
        with self._lock:
            return self._kept.get(name)

    def _keep(self, name: str, body: bytes) -> Shown:
        shown = _shown(body)
        with self._lock:
            self._kept[name] = shown
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return shown


def _shown(body: bytes) -> Shown:
    media_type = sniff(body) or ""
    try:
        picture = load(body, streaming=True)
        small = vips().Image.thumbnail_buffer(body, _WIDTH, height=_HEIGHT, size="down")
        thumbnail = bytes(small.webpsave_buffer(Q=_QUALITY, effort=0, keep="icc"))
    except (UnreadablePicture, vips().Error) as error:
        return Shown(size=len(body), media_type=media_type, reason=f"it cannot be shown: {error}")
    return Shown(*_measures(picture), len(body), media_type, thumbnail)


def _measures(picture: Any) -> tuple[int, int]:
    """Give width and height as they are seen, upright."""
    turned = picture.get_typeof("orientation") and picture.get("orientation") >= _FIRST_TRANSPOSED
    width, height = int(picture.width), int(picture.height)
    return (height, width) if turned else (width, height)
