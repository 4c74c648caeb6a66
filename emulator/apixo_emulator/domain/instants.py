"""Instants, in Unix ms, as texts. Nothing here reads a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from apixo_emulator.domain.clock import LATEST_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(unix_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(unix_ms, LATEST_MS))


def iso_instant(unix_ms: int) -> str:
    """Return an instant as ISO 8601 in UTC, e.g. ``2026-01-09T13:33:30.929Z``."""
    return _moment(unix_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(unix_ms: int) -> str:
    """Return an instant as HTTP writes it (RFC 9110, 5.6.7): ``Fri, 09 Jan 2026 13:33:30 GMT``."""
    return format_datetime(_moment(unix_ms), usegmt=True)


def retry_after_ms(value: str, now_ms: int) -> int | None:
    """Return how long a ``Retry-After`` asks to wait, in ms from 0; None where it asks for nothing.

    It is a number of seconds or an HTTP date (RFC 9110, 10.2.3).
    """
    if value.isdecimal():
        return int(value) * 1000
    try:
        return max(0, round(parsedate_to_datetime(value).timestamp() * 1000) - now_ms)
    except (ValueError, TypeError, OverflowError):
        return None
