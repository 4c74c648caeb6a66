"""Source files without the parts that rendering does not need.

While libvips reads a header, it copies all text, comments and profiles of a file. In PNG files it
inflates them: a file of 2 MB can take 4 GB. So libvips gets only the picture, its colour profile if that
is consistent, and its EXIF data, which hold the orientation.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from apixo_emulator.domain.pictures import sniff
from apixo_schemas import contract

_MAX_PARTS = 65_536
_MAX_PROFILE = 4 << 20
_MAX_EXIF = 1 << 16
_Part = tuple[int, int, bool]  # begin, end, and whether it stays


class UnreadablePicture(Exception):
    """A source that is not a picture of the format of its first bytes."""


def stripped(body: bytes) -> tuple[str, bytes]:
    """Return the contract's name of a source's format, and the source without needless parts.

    Raises:
        UnreadablePicture: It is of another format, or has very many parts.
    """
    media_type = sniff(body)
    for name, form in contract().formats.items():
        if form.media_type == media_type:
            return name, _STRIPPERS[name](body)
    raise UnreadablePicture("it is not a JPG, PNG or WebP picture")


def _joined(body: bytes, parts: Iterator[_Part]) -> bytes:
    """Return the parts that stay; the body itself where all do."""
    found = list(islice(parts, _MAX_PARTS + 1))
    if len(found) > _MAX_PARTS:
        raise UnreadablePicture(f"it has more than {_MAX_PARTS} parts")
    view = memoryview(body)
    kept = b"".join(view[first:last] for first, last, stays in found if stays)
    return body if len(kept) == len(body) else kept


def _is_profile(profile: bytes) -> bool:
    """True if the length in a colour profile is right, and the signature is there (ICC.1:2022, 7.2)."""
    length = int.from_bytes(profile[:4], "big")
    return length == len(profile) <= _MAX_PROFILE and profile[36:40] == b"acsp"


# PNG: chunks of length, name, content and checksum

_PNG_HEAD = 8
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PROFILE_NAME = 80  # bytes, its end included


def _png_parts(body: bytes) -> Iterator[_Part]:
    yield 0, _PNG_HEAD, True
    place = _PNG_HEAD
    name = b""
    seen: set[bytes] = set()
    while place < len(body) and name != b"IEND":
        length = int.from_bytes(body[place : place + 4], "big")
        name = body[place + 4 : place + 8]
        content = memoryview(body)[place + 8 : place + 8 + length]
        stays = name in _PNG_KEPT
        if name not in seen and name == b"iCCP":
            stays = _is_profile(_png_profile(content))
        elif name not in seen and name == b"eXIf":
            stays = length <= _MAX_EXIF
        seen.add(name)
        yield place, place + 12 + length, stays
        place += 12 + length


def _png_profile(content: memoryview) -> bytes:
    """Return the profile of an iCCP chunk (PNG, 11.3.2.3); empty where it is too long or damaged."""
    begin = bytes(content[:_PROFILE_NAME]).find(b"\0") + 2  # then comes the method of compression
    try:
        return zlib.decompressobj().decompress(content[begin:], _MAX_PROFILE + 1)
    except zlib.error:
        return b""


# JPEG: segments of marker, length and content, then the scans

_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)
_SCAN, _END = 0xDA, 0xD9
_EXIF_SEGMENT, _PROFILE_SEGMENT, _COMMENT = 0xE1, 0xE2, 0xFE
# JFIF and Adobe: they hold how colours are stored.
_APPLICATION_KEPT = frozenset({0xE0, 0xEE})
_APPLICATION = range(0xE0, 0xF0)
_PROFILE_HEAD = b"ICC_PROFILE\0"
_EXIF_HEAD = b"Exif\0\0"


def _jpeg(body: bytes) -> bytes:
    segments = list(islice(_jpeg_segments(body), _MAX_PARTS + 1))
    # Each part of a profile begins with its number and how many there are.
    parts = [
        body[content + len(_PROFILE_HEAD) : end]
        for marker, _, content, end in segments
        if marker == _PROFILE_SEGMENT and body.startswith(_PROFILE_HEAD, content)
    ]
    has_profile = _is_profile(b"".join(part[2:] for part in sorted(parts)))
    exif = next(
        (
            begin
            for marker, begin, content, _ in segments
            if marker == _EXIF_SEGMENT and body.startswith(_EXIF_HEAD, content)
        ),
        None,
    )

    def stays(marker: int, begin: int, content: int) -> bool:
        if marker == _PROFILE_SEGMENT:
            return has_profile and body.startswith(_PROFILE_HEAD, content)
        if marker == _EXIF_SEGMENT:
            return begin == exif
        return marker in _APPLICATION_KEPT or marker not in {*_APPLICATION, _COMMENT}

    kept = ((begin, end, stays(marker, begin, content)) for marker, begin, content, end in segments)
    return _joined(body, kept)


def _jpeg_segments(body: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield marker, begin, begin of the content and end of each segment, then of all the scans."""
    place = 0
    while (found := _MARKER.match(body, place)) is not None:
        marker = found[1][0]
        if marker in (_SCAN, _END):
            break
        content = end = found.end()
        if marker not in _BARE:
            content += 2
            end += int.from_bytes(body[end : end + 2], "big")
        yield marker, place, content, end
        place = end
    yield _SCAN, place, place, len(body)


_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without content: TEM, RST and SOI


# WebP: RIFF chunks of name, length and content

_WEBP_HEAD = 12
_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
_VP8X_FLAGS = 20  # place of the byte of flags of a file that begins with VP8X
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}


def _webp(body: bytes) -> bytes:
    flags = 0

    def parts() -> Iterator[_Part]:
        nonlocal flags
        yield 0, _WEBP_HEAD, True
        place = _WEBP_HEAD
        while place < len(body):
            name = body[place : place + 4]
            length = int.from_bytes(body[place + 4 : place + 8], "little")
            end = place + 8 + length + length % 2
            stays = name in _WEBP_KEPT
            if name == b"ICCP":
                stays = length <= _MAX_PROFILE and _is_profile(body[place + 8 : place + 8 + length])
            elif name == b"EXIF":
                stays = length <= _MAX_EXIF
            if stays:
                flags |= _FLAGS.get(name, 0)
            yield place, end, stays
            place = end

    joined = _joined(body, parts())
    if joined is body:
        return body
    dropped = len(body) - len(joined)
    size = int.from_bytes(body[4:8], "little") - dropped
    fixed = bytearray(joined)
    fixed[4:8] = max(0, size).to_bytes(4, "little")
    if joined[_WEBP_HEAD : _WEBP_HEAD + 4] == b"VP8X" and len(joined) > _VP8X_FLAGS:
        fixed[_VP8X_FLAGS] = fixed[_VP8X_FLAGS] & ~sum(_FLAGS.values()) | flags
    return bytes(fixed)


_STRIPPERS: dict[str, Callable[[bytes], bytes]] = {
    "jpg": _jpeg,
    "png": lambda body: _joined(body, _png_parts(body)),
    "webp": _webp,
}
