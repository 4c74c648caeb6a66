"""Instants as texts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.core.clock import LATEST_MS
from apixo_emulator.core.instants import iso_instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, LATEST_MS))
def test_an_instant_is_written_as_the_calendar_has_it(unix_ms: int) -> None:
    expected = EPOCH + timedelta(milliseconds=unix_ms)
    assert iso_instant(unix_ms) == expected.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )
