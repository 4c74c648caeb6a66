"""The rate limit of an account: a token bucket on the emulator's clock."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from apixo_emulator.domain.accounts import AccountTerms, Bucket, Rate, take_token

RATES = st.builds(
    Rate,
    calls=st.integers(1, 1000),
    per_s=st.floats(0.001, 86_400, allow_nan=False),
    burst=st.integers(1, 50),
)
START_MS = 1_767_965_610_929
STEPS = st.lists(st.integers(0, 5000) | st.integers(0, 10**8), max_size=60)


def taken(rate: Rate, instants: list[int]) -> list[int]:
    """The instants at which a caller who calls at each of them got a token."""
    bucket, granted = None, []
    for now_ms in instants:
        bucket, wait_ms = take_token(bucket, rate, now_ms)
        if wait_ms is None:
            granted.append(now_ms)
    return granted


def instants_of(steps: list[int]) -> list[int]:
    now_ms = START_MS
    return [now_ms := now_ms + step for step in steps]


def most(rate: Rate, ms: int) -> Fraction:
    """What the law allows in a span of time."""
    return rate.burst + Fraction(rate.calls) * ms / (Fraction(rate.per_s) * 1000)


@given(RATES, STEPS)
def test_no_span_of_time_gives_more_than_burst_and_rate_allow(rate: Rate, steps: list[int]) -> None:
    granted = taken(rate, instants_of(steps))
    for first, start_ms in enumerate(granted):
        for last, end_ms in enumerate(granted[first:], start=first):
            assert last - first + 1 <= most(rate, end_ms - start_ms) + Fraction(1, 10**6)


@given(RATES, STEPS)
def test_the_wait_is_as_long_as_it_says_and_no_longer(rate: Rate, steps: list[int]) -> None:
    bucket: Bucket | None = None
    for now_ms in instants_of(steps):
        before = bucket
        bucket, wait_ms = take_token(bucket, rate, now_ms)
        if wait_ms is None:
            continue
        assert wait_ms >= 1
        assert bucket.tokens < 1
        assert take_token(bucket, rate, now_ms + wait_ms)[1] is None
        assert take_token(before, rate, now_ms + wait_ms)[1] is None
        left = take_token(bucket, rate, now_ms + wait_ms - 1)[1]
        # Floats: a hair more than 1 ms may be left, and a hair less than a token may be enough.
        assert left in (None, 1, 2)
        assert left or rate.per_ms * (wait_ms - 1) + bucket.tokens >= 1 - 1e-6


@given(RATES)
def test_a_bucket_that_was_never_used_is_full_and_a_long_rest_fills_it(rate: Rate) -> None:
    assert len(taken(rate, [START_MS] * (rate.burst + 5))) == rate.burst
    rest_ms = int(rate.burst / rate.per_ms) + 1
    assume(rest_ms < 10**12)
    again = [START_MS] * rate.burst + [START_MS + rest_ms] * (rate.burst + 5)
    assert len(taken(rate, again)) == 2 * rate.burst


def test_virtual_time_alone_refills() -> None:
    rate = Rate(calls=5, per_s=1, burst=10)
    assert taken(rate, [START_MS] * 20) == [START_MS] * 10
    bucket, wait_ms = take_token(Bucket(0, START_MS), rate, START_MS)
    assert wait_ms == 200
    assert take_token(bucket, rate, START_MS + 199)[1] == 1
    assert take_token(bucket, rate, START_MS + 200) == (Bucket(0, START_MS + 200), None)


def test_a_call_that_is_read_late_uses_what_is_there_and_waits_from_its_own_instant() -> None:
    rate = Rate(calls=5, per_s=1, burst=10)
    later_ms = START_MS + 100
    assert take_token(Bucket(1, later_ms), rate, START_MS) == (Bucket(0, later_ms), None)
    assert take_token(Bucket(0, later_ms), rate, START_MS) == (Bucket(0, later_ms), 300)


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    rate = Rate(calls=1, per_s=86_400, burst=1)
    bucket, _ = take_token(None, rate, START_MS)
    earlier_ms = START_MS - 365 * 86_400_000
    assert take_token(bucket, rate, earlier_ms) == (Bucket(0, earlier_ms), None)


def test_terms_are_shown_as_the_config_file_writes_them() -> None:
    assert AccountTerms().shown() == {}
    terms = AccountTerms(5_000_000, frozenset({"image-upscaler"}), Rate(5, 1, 10), 2)
    assert terms.shown() == {
        "balance": "5.0000",
        "models": ["image-upscaler"],
        "rate": {"calls": 5, "per_s": 1, "burst": 10},
        "concurrency": 2,
    }
    assert AccountTerms(models=frozenset()).shown() == {"models": []}
