"""The emulator's time as three numbers: laws."""

import math

from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.clock import LATEST_MS, ClockState

REAL = st.integers(0, 2_000_000_000_000)
STATES = st.builds(ClockState, REAL, REAL, st.sampled_from([0.0, 0.25, 1.0, 3.7, 100.0, 86_400.0]))


@given(STATES, REAL, st.integers(0, 10**9))
def test_time_never_goes_back(state: ClockState, real_ms: int, later: int) -> None:
    assert state.now(real_ms + later) >= state.now(real_ms)


@given(STATES, REAL, st.integers(0, 10**10))
def test_advancing_moves_by_exactly_so_much(state: ClockState, real_ms: int, ms: int) -> None:
    before = state.now(real_ms)
    if not 0 <= before + ms <= LATEST_MS:
        return
    assert state.advanced(ms, real_ms).now(real_ms) == before + ms


@given(STATES, REAL, st.floats(0, 1000), st.integers(0, 10**6))
def test_a_new_rate_starts_at_the_same_instant(
    state: ClockState, real_ms: int, rate: float, later: int
) -> None:
    now = state.now(real_ms)
    if not 0 <= now <= LATEST_MS:
        return
    changed = state.at_rate(rate, real_ms)
    assert changed.now(real_ms) == now
    assert abs(changed.now(real_ms + later) - (now + later * rate)) <= 1


@given(STATES, REAL, st.integers(-(10**6), 10**9))
def test_after_the_real_wait_it_is_due(state: ClockState, real_ms: int, ahead: int) -> None:
    due_ms = state.now(real_ms) + ahead
    wait_ms = state.real_wait_ms(due_ms, real_ms)
    if wait_ms is None:
        assert state.rate == 0
        assert ahead > 0
    elif wait_ms == 0:
        assert ahead <= 0
    else:
        assert state.now(real_ms + wait_ms) >= due_ms
        tick_ms = math.ceil(1 / state.rate)  # a slow clock stands still in between
        assert wait_ms <= tick_ms or state.now(real_ms + wait_ms - tick_ms - 1) < due_ms


def test_what_a_clock_that_hardly_runs_never_reaches_is_not_waited_for() -> None:
    assert ClockState(0, 0, 5e-324).real_wait_ms(1500, 0) is None
    assert ClockState(0, 0, 1e-6).real_wait_ms(1500, 0) == 1_500_000_000
