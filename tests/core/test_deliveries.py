"""The states of a delivery, and what follows an attempt."""

from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.deliveries import (
    Attempt,
    Delivery,
    DeliveryState,
    outcome_of,
)

DELAYS_MS = (30_000, 120_000, 600_000)


def delivery(tries: int = 0) -> Delivery:
    return Delivery(
        task_id="t",
        epoch=1,
        world="default",
        url="http://127.0.0.1:9000/",
        origin="http://127.0.0.1:9000",
        base_url="http://127.0.0.1:8787",
        depth=0,
        state=DeliveryState.DELIVERING,
        due_ms=0,
        attempts=tries + 1,
        tries=tries,
        accepted=0,
    )


def attempt(status: int | None, *, hopeless: bool = False) -> Attempt:
    return Attempt("t", 1, 0, 1, status, "", None, hopeless)


@given(
    tries=st.integers(0, 5),
    status=st.none() | st.integers(100, 599),
    hopeless=st.booleans(),
    now_ms=st.integers(0, 2**40),
)
def test_only_200_delivers_and_each_retry_waits_for_its_delay(
    *, tries: int, status: int | None, hopeless: bool, now_ms: int
) -> None:
    outcome = outcome_of(
        delivery(tries), attempt(status, hopeless=hopeless), delays_ms=DELAYS_MS, now_ms=now_ms
    )
    if status == 200:
        assert (outcome.state, outcome.due_ms) == (DeliveryState.DELIVERED, None)
    elif hopeless or tries >= len(DELAYS_MS):
        assert (outcome.state, outcome.due_ms) == (DeliveryState.EXHAUSTED, None)
    else:
        assert outcome.state is DeliveryState.SCHEDULED
        assert outcome.due_ms == now_ms + DELAYS_MS[tries]
