"""What the first bytes of a picture say: its format and its size."""

from __future__ import annotations

import struct

from apixo_contract._observations import Picture

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
# Markers that begin a frame and so tell the size; C4, C8 and CC are something else.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone, without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def read_picture(head: bytes) -> Picture | None:
    """Read a picture's head; None where more bytes are needed to tell.

    Bytes that are no JPG, PNG or WebP give a picture without format.
    """
    try:
        if head.startswith(_PNG):
            width, height = struct.unpack(">II", head[16:24])
            return Picture("png", width, height)
        if head.startswith(_JPEG):
            return _jpeg(head)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(head)
    except (struct.error, IndexError):
        return None
    known = (_PNG, _JPEG, b"RIFF")
    undecided = len(head) < 12 and any(start.startswith(head[: len(start)]) for start in known)  # noqa: PLR2004 - the longest signature
    return None if undecided else Picture(None, 0, 0)


def _jpeg(head: bytes) -> Picture:
    place = 2
    while True:
        while head[place] == 0xFF and head[place + 1] == 0xFF:  # noqa: PLR2004 - fill bytes
            place += 1
        marker = head[place + 1]
        if marker in _BARE:
            place += 2
            continue
        (length,) = struct.unpack(">H", head[place + 2 : place + 4])
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return Picture("jpg", width, height)
        place += 2 + length


def _webp(head: bytes) -> Picture:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(_take(head, at, 3), "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(_take(head, 21, 4), "little")
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", _take(head, 26, 4)))
    return Picture("webp", width, height)


def _take(head: bytes, place: int, count: int) -> bytes:
    found = head[place : place + count]
    if len(found) < count:
        raise IndexError(place)
    return found
