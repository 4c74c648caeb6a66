"""Source files that no encoder writes."""

from __future__ import annotations

import zlib
from struct import pack
from typing import Any


def chunk(name: bytes, content: bytes) -> bytes:
    return pack(">I", len(content)) + name + content + pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, *extra: bytes, row: bytes = b"") -> bytes:
    """A PNG whose lines are all the same; black without a ``row``."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    line = b"\0" + (row or bytes((width * channels * depth + 7) // 8))
    packer = zlib.compressobj()
    content = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", content), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def with_profile(name: str, picture: Any, profile: bytes) -> bytes:
    """A source of a format with a profile as it is, whatever it holds."""
    if name == "jpg":
        encoded = picture.jpegsave_buffer(Q=95, keep="none")
        segment = b"ICC_PROFILE\0\1\1" + profile
        marker = b"\xff\xe2" + pack(">H", len(segment) + 2) + segment
        return bytes(encoded[:2] + marker + encoded[2:])
    if name == "png":
        encoded = picture.pngsave_buffer(keep="none")
        return bytes(
            encoded[:33] + chunk(b"iCCP", b"x\0\0" + zlib.compress(profile, 0)) + encoded[33:]
        )
    encoded = picture.webpsave_buffer(Q=95, keep="none")
    head = pack("<I", picture.width - 1)[:3] + pack("<I", picture.height - 1)[:3]
    body = b"WEBPVP8X" + pack("<I", 10) + b"\x20\0\0\0" + head
    body += b"ICCP" + pack("<I", len(profile)) + profile + b"\0" * (len(profile) % 2) + encoded[12:]
    return bytes(b"RIFF" + pack("<I", len(body)) + body)


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    header = pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")
