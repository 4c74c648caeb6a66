"""The states of a delivery, and what follows an attempt."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from storage.samples import with_delivery

from apixo_emulator.domain.deliveries import Attempt, DeliveryState, outcome_of

DELAYS_MS = (30_000, 120_000, 600_000)


@given(
    tries=st.integers(0, 5),
    status=st.none() | st.integers(100, 599),
    hopeless=st.booleans(),
    now_ms=st.integers(0, 2**40),
)
def test_only_200_delivers_and_each_retry_waits_for_its_delay(
    *, tries: int, status: int | None, hopeless: bool, now_ms: int
) -> None:
    delivery = with_delivery("t", due_ms=0).delivery
    assert delivery is not None
    attempt = Attempt("t", 1, 0, 1, status, "", None, hopeless)
    tried = replace(delivery, tries=tries)
    outcome = outcome_of(tried, attempt, delays_ms=DELAYS_MS, now_ms=now_ms)
    if status == 200:
        assert (outcome.state, outcome.due_ms) == (DeliveryState.DELIVERED, None)
    elif hopeless or tries >= len(DELAYS_MS):
        assert (outcome.state, outcome.due_ms) == (DeliveryState.EXHAUSTED, None)
    else:
        assert outcome.state is DeliveryState.SCHEDULED
        assert outcome.due_ms == now_ms + DELAYS_MS[tries]
