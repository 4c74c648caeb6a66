"""Instants as texts. The calendar's arithmetic alone: no clock is asked."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

_MS_PER_DAY = 86_400_000
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def iso_instant(unix_ms: int) -> str:
    """Give an instant as ISO 8601 in UTC, e.g. ``2026-01-09T13:33:30.929Z``."""
    days, ms = divmod(unix_ms, _MS_PER_DAY)
    year, month, day = _civil(days)
    seconds, ms = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"


def http_date(unix_ms: int) -> str:
    """Give an instant as HTTP writes it (RFC 9110, 5.6.7), e.g. ``Fri, 09 Jan 2026 13:33:30 GMT``."""
    days, ms = divmod(unix_ms, _MS_PER_DAY)
    year, month, day = _civil(days)
    hour, rest = divmod(ms // 1000, 3600)
    minute, second = divmod(rest, 60)
    # 1970-01-01 was a Thursday.
    weekday = _WEEKDAYS[(days + 3) % 7]
    name = _MONTHS[month - 1]
    return f"{weekday}, {day:02} {name} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


def _civil(days: int) -> tuple[int, int, int]:
    """Give the Gregorian date of a day since 1970-01-01, by counting eras of 400 years from March."""
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9  # noqa: PLR2004 - March is 0
    return year_of_era + era * 400 + (month <= 2), month, day  # noqa: PLR2004 - January and February


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
