"""Pauses before a repeated request: how long, and how often."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_client import RateLimitedError, RetryPolicy, TransportError


def pauses(service: Any, policy: RetryPolicy, count: int, **headers: str) -> list[float]:
    """Return what the client waited while it was refused so often."""
    for _ in range(count):
        service.refuse(429, **headers)
    service.data(1)
    service.call("balance", client={"retry": policy})
    slept: list[float] = service.slept
    return slept


def test_pauses_double_up_to_the_cap_and_are_spread(service: Any) -> None:
    slept = pauses(service, RetryPolicy(attempts=300, base_s=1, cap_s=4), 299)
    bounds = [1, 2, 4, *[4] * 296]
    assert all(0 <= pause <= bound for pause, bound in zip(slept, bounds, strict=True))
    assert min(slept) < 0.1
    assert max(slept) > 3.9


@given(value=st.text() | st.floats().map(str) | st.integers().map(str))
def test_any_retry_after_gives_a_pause_or_the_error(
    new_service: Callable[[str], Any], value: str
) -> None:
    service = new_service("sync")
    raw = [(b"Retry-After", value.encode("utf-8", "replace"))]
    service.answer(httpx.Response(429, headers=raw))
    service.data(1)
    # Longer ones than 300 s are told instead of waited for.
    with service.playing(), suppress(RateLimitedError):
        service.call("balance")
    assert all(0 <= pause <= 301 for pause in service.slept)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0),
        ("soon", 0),
        ("nan", 0),
        ("inf", 0),
        ("-5", 0),
        (" 1.5 ", 1.5),
        ("9" * 400, 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:20:00 -0000", 200),
        ("Thu, 01 Jan 1970 01:20:00 +0100", 200),
        ("Thu, 99 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 99999999999999999999 00:00:00 GMT", 0),
    ],
)
def test_forms_of_retry_after(service: Any, value: str, seconds: float) -> None:
    (pause,) = pauses(service, RetryPolicy(base_s=0), 1, Retry_After=value)
    assert pause == seconds


def test_a_retry_after_beyond_patience_is_told(service: Any) -> None:
    service.refuse(429, Retry_After="301")
    with pytest.raises(RateLimitedError) as caught:
        service.call("balance")
    assert caught.value.retry_after == 301
    assert service.slept == []


def test_a_server_of_this_machine_that_is_not_there_is_named_at_once(service: Any) -> None:
    service.answer(httpx.ConnectError("Connection refused"))
    with pytest.raises(TransportError, match=r"Start an emulator .*`apixo-emulator serve --port 9"):
        service.call("balance", client={"base_url": "http://127.0.0.1:9"})
    assert (len(service.requests), service.slept) == (1, [])


def test_a_server_of_this_machine_that_was_there_may_come_back(service: Any) -> None:
    here = {"base_url": "http://localhost:8787"}
    service.accept()
    service.answer(httpx.ConnectError("Connection refused"))
    service.succeed()
    assert service.call("upscale", "https://example.com/input.jpg", client=here).task.is_final
    service.answer(httpx.ConnectError("Connection refused"))
    with pytest.raises(TransportError, match="Nothing listens on localhost port 8787"):
        service.call("wait", "task_1", client=here)
