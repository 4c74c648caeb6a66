"""A body as the journal keeps it: all of it, or of a long one both ends, such that JSON stays JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apixo_emulator.journal.masking import HIDDEN, Mask

# UTF-8: the bytes of a character behind its first, and the least first byte of several.
_CONTINUED = bytes(range(0x80, 0xC0))
_LEAD = b"\xc0"
_CUT_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A body, or the two ends of a long one.

    Each end is ``margin`` longer than what is shown of it, so that a secret that is cut is seen
    whole before it is masked.
    """

    head: bytes
    tail: bytes
    size: int
    margin: int

    @classmethod
    def whole(cls, body: bytes) -> KeptBody:
        """Keep all of a body."""
        return cls(body, b"", len(body), 0)

    def shown(self, mask: Mask) -> bytes:
        """Give what may be shown of it."""
        if not self.tail:
            return mask.data(self.head)
        head, tail = mask.data(self.head), mask.data(self.tail)
        start = _clean_start(tail[: self.margin], tail[self.margin :])
        return _clean_end(head[: -self.margin]) + HIDDEN.encode() + start


def kept_body(body: bytes, limit: int, margin: int) -> KeptBody:
    """Keep a body, or both ends of one that is longer than ``limit`` bytes.

    Nearly always the long part is one text, an inlined picture, and what is left is JSON still.
    """
    head = limit * 3 // 4
    if len(body) <= limit + 2 * margin:
        return KeptBody.whole(body)
    start = len(body) - (limit - head) - margin
    if body[start - 1 : start] == b"\\" and not _escapes(body[:start]):
        start += 1
    return KeptBody(body[: head + margin], body[start:], len(body), margin)


def _clean_end(piece: bytes) -> bytes:
    """Leave no half of a character or of a JSON escape at the end."""
    whole = piece.rstrip(_CONTINUED)
    if whole != piece or piece[-1:] >= _LEAD:
        piece = whole[:-1]
    cut = _CUT_ESCAPE.search(piece)
    return piece[: cut.start()] if cut and _escapes(piece[: cut.start()]) else piece


def _clean_start(before: bytes, piece: bytes) -> bytes:
    """Leave no half of a character or of a JSON escape at the start; ``before`` is what it follows."""
    return piece.lstrip(_CONTINUED) if _escapes(before) else piece[1:]


def _escapes(before: bytes) -> bool:
    """Tell whether a backslash behind this begins an escape, and does not end one."""
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 0
