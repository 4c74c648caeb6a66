"""Result files: a flat picture of each tier and format, made once in a process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pyvips

MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
LONG_EDGE = {"2k": 2048, "4k": 4096, "8k": 8192}


@dataclass(frozen=True, slots=True)
class Picture:
    content: bytes
    media_type: str


@cache
def picture(resolution: str, output_format: str) -> Picture:
    """Return a picture three units wide and two high, as large as its tier says."""
    width = LONG_EDGE[resolution]
    black: Any = pyvips.Image.black(width, width * 2 // 3, bands=3)
    flat = black.linear(1, [90, 130, 170], uchar=True).copy(interpretation="srgb")
    # WebP's slow search for a smaller file is of no use here.
    options = {"effort": 0, "lossless": True} if output_format == "webp" else {}
    content = flat.write_to_buffer(f".{output_format}", **options)
    return Picture(content, MEDIA_TYPES[output_format])
