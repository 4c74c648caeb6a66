"""What is asked of the emulator in process wrongly is told: what was expected, and what was found."""

from __future__ import annotations

import math
import unittest
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
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
        with pytest.raises(TypeError, match=r"the generator .*with apixo_emulator\.intercept\(\)"):
            apixo_emulator.intercept()(function)
    with pytest.raises(TypeError, match=r"found the class .*self\.enterContext"):
        apixo_emulator.intercept()(unittest.TestCase)


@pytest.fixture
def emulator() -> Any:
    with apixo_emulator.intercept() as emulator:
        yield emulator


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


def submitted(name: str) -> httpx.Response:
    body = {"input": {"image_urls": [f"https://example.com/emulate/{name}.jpg"]}}
    return httpx.post(SUBMIT, json=body, headers=KEY)


def test_several_scenarios_of_a_block_happen_together(app: Any) -> None:
    with apixo_emulator.intercept(scenario=["slow-7", "Timeout"]) as emulator:
        app.submitted()
        emulator.advance(6.9)
        assert [task["state"] for task in emulator.tasks] == ["processing"]
        emulator.advance(0.1)
        assert [task["failCode"] for task in emulator.tasks] == ["Timeout"]


def test_an_error_of_the_api_is_damaged_on_the_wire_too(emulator: InProcess) -> None:
    answer = submitted("http-500+invalid-json")
    assert answer.status_code == 500
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    with pytest.raises(httpx.RemoteProtocolError):
        submitted("http-500+truncated")
    assert submitted("http-503+drip").json()["code"] == 503
    assert emulator.tasks == []
    assert [call.fault for call in emulator.requests] == ["server_error"] * 2 + ["unavailable"]


def test_a_file_that_asks_for_a_contradiction_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rule]]\nscenario = ["http-429", "reset"]\n', "utf-8")
    with pytest.raises(ValueError, match=r"rules\.toml: rule 1, scenario: http-429\+reset cannot"):
        apixo_emulator.intercept(scenarios=file)
