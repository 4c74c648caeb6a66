"""What is asked of the emulator in process wrongly is told: what was expected, and what was found."""

from __future__ import annotations

import math
import unittest
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import apixo_emulator
from apixo_emulator.testing import InProcess, NotVerifiedError

SUBMIT = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
KEY = {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"seeds": 1}, TypeError, "unknown option 'seeds'; .* Did you mean seed?"),
        ({"base_url": 5}, ValueError, "base_url: expected an absolute URL such as .* found '5'"),
        ({"base_url": "http://[::1"}, ValueError, "expected an absolute URL"),
        ({"latency": -1}, ValueError, "expected fast, realistic or milliseconds .* '-1'"),
        ({"balance": "x"}, ValueError, "expected an amount in USD .* 'x'"),
        ({"api_key": 5}, ValueError, "api_key: expected a key of printable ASCII"),
        ({"scenario": 5}, ValueError, "scenario: expected the name of a scenario, found 5"),
        ({"scenario": "stuk"}, ValueError, "Did you mean stuck?"),
        ({"scenario": ("http-429", "reset")}, ValueError, "http-429.reset cannot happen"),
        ({"scenarios": 5}, ValueError, "scenarios: expected a path, found 5"),
        ({"callbacks": "lokal"}, ValueError, "expected one of local, strict, .* mean local"),
        ({"callback_retries": 5}, ValueError, "callback_retries: expected seconds such as"),
        ({"block_network": "never"}, ValueError, "block_network: expected true or false"),
    ],
)
def test_an_option_that_cannot_be_is_told(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        apixo_emulator.intercept(**options)


def test_a_decorated_class_or_generator_is_told_what_to_do() -> None:
    def generator() -> Any:
        yield

    async def async_generator() -> Any:
        yield

    for function in (generator, async_generator):
        with pytest.raises(
            TypeError, match=r"the .*generator .*with apixo_emulator\.intercept\(\)"
        ):
            apixo_emulator.intercept()(function)
    with pytest.raises(TypeError, match=r"found the class .*self\.enterContext"):
        apixo_emulator.intercept()(unittest.TestCase)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1, -0.001, 1e300])
def test_time_moves_on_by_what_a_clock_can_show(emulator: InProcess, seconds: float) -> None:
    before = emulator.now_ms
    for move in (emulator.advance, emulator.sleep):
        with pytest.raises(ValueError, match="expected a time to advance, 0 or more and at most"):
            move(seconds)
    assert emulator.now_ms == before


@pytest.mark.parametrize("time", ["5", None, True, [], b"5"])
def test_time_is_a_number(emulator: InProcess, time: Any) -> None:
    for unit in ("seconds", "minutes", "hours"):
        with pytest.raises(TypeError, match=f"{unit}: expected a number such as 41; found"):
            emulator.advance(**{unit: time})


@pytest.mark.parametrize("second", [1, 1.0, Fraction(1), Decimal(1)])
def test_every_kind_of_number_is_a_time(emulator: InProcess, second: Any) -> None:
    before = emulator.now_ms
    emulator.advance(second, minutes=second)
    assert emulator.now_ms == before + 61_000


@pytest.mark.parametrize(
    ("expected", "error", "words"),
    [
        ({"cal": "submit"}, TypeError, "found 'cal'. Did you mean call?"),
        ({"xyz": 1}, TypeError, "expected some of call, resolution, .* at_most; found 'xyz'."),
        ({"call": "sbmit"}, ValueError, "call: expected one of .* Did you mean submit?"),
        ({"call": "submit", "exactly": "1"}, ValueError, "exactly: expected a number .* '1'"),
        ({"status": "500"}, ValueError, "status: expected an HTTP status"),
        ({"exactly": 1, "at_least": 1}, ValueError, "exactly: expected alone"),
    ],
)
def test_an_expectation_that_cannot_be_is_told(
    emulator: InProcess, expected: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words.replace("?", r"\?")):
        emulator.verify(**expected)


def test_an_expectation_of_nothing_in_particular_is_one(emulator: InProcess) -> None:
    with pytest.raises(NotVerifiedError, match="at least 1"):
        emulator.verify(call="submit", resolution=None)
    emulator.verify(call="submit", exactly=0)


@pytest.mark.parametrize(
    ("names", "rest", "words"),
    [
        ((5,), {}, "expected a scenario; found 5"),
        ((), {}, "expected a rule with a scenario or a plan"),
        (("stuck",), {"time": 3}, "found 'time'. Did you mean times?"),
        (("stuck",), {"times": "3"}, "times: expected an integer"),
        ((), {"plan": 5}, "plan: expected a table"),
        (("http-429", "reset"), {}, "http-429+reset cannot happen"),
        (("http-429",), {"plan": {"wire": "reset"}}, "http-429+plan cannot happen"),
    ],
)
def test_a_scenario_that_cannot_be_is_told(
    emulator: InProcess, names: tuple[Any, ...], rest: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("+", r"\+").replace("?", r"\?")):
        emulator.scenario(*names, **rest)
    assert emulator.scenarios == []


def test_what_has_no_name_is_told(emulator: InProcess) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="expected a rule as `scenario` gave it, or its id"):
        emulator.remove_scenario(wrong)
    with pytest.raises(TypeError, match="expected an API key, a text; found 5"):
        emulator.top_up(wrong, "1")
    with pytest.raises(ValueError, match="expected an amount in USD"):
        emulator.top_up("k", "much")
    with pytest.raises(ValueError, match="a receiver's URL: expected http"):
        emulator.receiver(wrong)
    with pytest.raises(ValueError, match="a receiver: expected an ASGI app"):
        emulator.receiver("https://example.com/", wrong)
