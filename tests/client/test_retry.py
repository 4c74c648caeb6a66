"""Laws of pauses."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_client import RetryPolicy
from apixo_client._retry import backoff, parse_retry_after

times = st.floats(min_value=0, max_value=1e6)


@given(
    failures=st.integers(min_value=1),
    policy=st.builds(RetryPolicy, base_s=times, cap_s=times),
    rng=st.randoms(use_true_random=False),
)
def test_a_pause_is_between_zero_and_its_bound(
    failures: int, policy: RetryPolicy, rng: Random
) -> None:
    bound = policy.base_s * 2.0 ** min(failures - 1, 100)
    assert 0 <= backoff(failures, policy, rng) <= min(policy.cap_s, bound)


def test_pauses_use_the_whole_range_and_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base_s=1, cap_s=4)
    for failures, bound in [(1, 1), (2, 2), (3, 4), (4, 4), (10**9, 4)]:
        rng = Random(1)  # noqa: S311 - jitter
        pauses = [backoff(failures, policy, rng) for _ in range(200)]
        assert min(pauses) < bound * 0.05
        assert bound * 0.95 < max(pauses) <= bound


@given(value=st.none() | st.text() | st.floats().map(str) | st.integers().map(str), now=st.floats())
def test_reading_retry_after_never_raises(value: str | None, now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or seconds >= 0


@given(st.integers(min_value=0, max_value=10**9))
def test_seconds_and_dates_agree(seconds: int) -> None:
    now = 1_767_965_610.0
    assert parse_retry_after(str(seconds), now) == seconds
    assert parse_retry_after(formatdate(now + seconds, usegmt=True), now) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-5", 0.0),
        (" 1.5 ", 1.5),
        ("9" * 400, None),
        ("9" * 5000, None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:10:00 -0000", 500.0),
        ("Thu, 01 Jan 1970 01:10:00 +0100", 500.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_forms_of_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, 100.0) == seconds


@given(st.datetimes(min_value=datetime(1971, 1, 1)), st.integers(-12, 12))  # noqa: DTZ001 - strategy
def test_any_zone_is_understood(moment: datetime, hours: int) -> None:
    aware = moment.replace(microsecond=0, tzinfo=UTC)
    if not timedelta(days=1) < aware - datetime.min.replace(tzinfo=UTC) < timedelta(days=3_652_000):
        return
    zoned = (
        format_datetime(aware) if hours == 0 else format_datetime(aware + timedelta(hours=hours))
    )
    zoned = zoned.replace("+0000", f"{hours:+03d}00")
    assert parse_retry_after(zoned, 0.0) == max(0.0, aware.timestamp())


@pytest.mark.parametrize(
    "bad", [{"attempts": 0}, {"base_s": -1}, {"cap_s": math.nan}, {"max_retry_after_s": math.inf}]
)
def test_a_policy_without_sense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts from 1"):
        RetryPolicy(**bad)  # type: ignore[arg-type]
