"""What clients and servers read alike: the wait that a response asks for, and a picture's format."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime


def http_date_s(text: str) -> float | None:
    """Return the Unix time, in seconds, of a date in a header; None if it is none.

    A date without a zone is GMT, as all dates of HTTP are (RFC 9110, 5.6.7).
    """
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # The parser of the standard library lets several errors through on odd dates.
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after_s(value: str, now: float) -> float | None:
    """Return the seconds, at least 0, that a ``Retry-After`` asks for; None if it is not understood.

    It is a number of seconds, or a date (RFC 9110, 10.2.3), which is compared with ``now`` (Unix
    time, seconds).
    """
    try:
        seconds = float(value)
    except ValueError:
        until = http_date_s(value)
        seconds = math.nan if until is None else until - now
    return max(0.0, seconds) if math.isfinite(seconds) else None


def picture_format(head: bytes) -> str | None:
    """Return ``jpg``, ``png`` or ``webp`` by the first 12 bytes of a picture; None if it is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None
