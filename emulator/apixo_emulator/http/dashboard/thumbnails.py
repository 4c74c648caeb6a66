"""Small pictures of a task's source and result, and what they are: size in pixels and bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from apixo_emulator.domain.pictures import PictureSpec, sniff
from apixo_emulator.pictures import PictureStore
from apixo_emulator.pictures.formats import UnreadablePicture
from apixo_emulator.pictures.render import thumbnail
from apixo_emulator.pictures.store import digest_of

# Sharp on a screen of twice the density.
_WIDTH, _HEIGHT = 960, 720
_KEPT = 64


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

    def __init__(self, pictures: PictureStore) -> None:
        self._pictures = pictures
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Shown] = OrderedDict()

    def source(self, spec: PictureSpec) -> Shown:
        """Return a task's source, as far as the emulator has it. Blocks."""
        found = self._pictures.source(spec)
        if not found.body:
            return Shown(reason=found.reason)
        name = digest_of(found.body)
        return self._known(name) or self._keep(name, found.body)

    def result(self, spec: PictureSpec) -> Shown:
        """Return a task's result, drawn where it was not yet. Blocks."""
        try:
            path = self._pictures.render(spec).path
            return self._known(path.name) or self._keep(path.name, path.read_bytes())
        except OSError as error:
            return Shown(reason=f"it cannot be drawn: {error.strerror}")

    def source_body(self, spec: PictureSpec) -> tuple[bytes, str]:
        """Return a source's bytes and media type, both empty where the emulator has none."""
        found = self._pictures.source(spec)
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
        width, height, small = thumbnail(body, _WIDTH, _HEIGHT)
    except UnreadablePicture as error:
        return Shown(size=len(body), media_type=media_type, reason=f"it cannot be shown: {error}")
    return Shown(width, height, len(body), media_type, small)
