"""Instants as texts."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.clock import LATEST_MS
from apixo_emulator.domain.instants import http_date, iso_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, LATEST_MS))
def test_an_instant_is_written_as_the_calendar_has_it(unix_ms: int) -> None:
    expected = EPOCH + timedelta(milliseconds=unix_ms)
    assert iso_instant(unix_ms) == expected.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


@given(st.integers(0, LATEST_MS))
def test_an_instant_is_written_as_http_has_it(unix_ms: int) -> None:
    moment = EPOCH + timedelta(seconds=unix_ms // 1000)
    assert http_date(unix_ms) == format_datetime(moment, usegmt=True)
