"""libvips: loaded when the first picture needs it, and limited to what pictures need."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from apixo_emulator.domain.pictures import sniff
from apixo_schemas import contract

# One per format of the contract. Sources are untrusted: the loader is named, never guessed.
_LOADERS = {"jpg": "jpegload_buffer", "png": "pngload_buffer", "webp": "webpload_buffer"}
_LOADER_CLASSES = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp")
_BLOCKED = True
_THREADS = 4


class UnreadablePicture(Exception):
    """A source whose content is not the picture that its first bytes promise."""


@cache
def vips() -> Any:
    """Give pyvips, set up. The first call takes about 0.1 s and 30 MiB, so the start does without."""
    pyvips: Any = import_module("pyvips")
    # Whatever else libvips was built with (SVG, PDF, TIFF, ImageMagick) cannot be reached at all.
    pyvips.operation_block_set("VipsForeignLoad", _BLOCKED)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set(name, not _BLOCKED)
    # No result is asked of libvips twice: results are kept as files.
    pyvips.cache_set_max(0)
    # Each thread has buffers of its own: 4 of them take 19 MiB for an 8k JPG, 8 take 43 MiB and
    # are no faster, as the encoder works alone.
    pyvips.concurrency_set(min(_THREADS, pyvips.concurrency_get()))
    return pyvips


def load(body: bytes, *, streaming: bool) -> Any:
    """Open a source picture; its pixels are read later, ``streaming`` from top to bottom only.

    Raises:
        UnreadablePicture: It is of another format, or its header is damaged.
    """
    media_type = sniff(body)
    if media_type is None:
        raise UnreadablePicture("it is not a JPG, PNG or WebP picture")
    name = next(key for key, form in contract().formats.items() if form.media_type == media_type)
    loader = getattr(vips().Image, _LOADERS[name])
    try:
        return loader(body, access="sequential" if streaming else "random", fail_on="error")
    except vips().Error as error:
        raise UnreadablePicture(f"it is damaged: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Give the last line of libvips' own words, if it has any: it tells most."""
    lines = str(getattr(error, "detail", "")).strip().splitlines()
    return lines[-1] if lines else "it cannot be decoded"
