"""Which submits a rule takes, and what it says of those that it leaves."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.submission import Submission
from apixo_emulator.domain.text import fits
from apixo_emulator.scenarios.matching import drawn, screen, take
from apixo_emulator.scenarios.rules import rule_of

KEY = "sk-secret-0123456789"
FEW_LETTERS = st.text("ab*?[.", max_size=8)


def rule(times: int | None = None, **match: Any) -> Any:
    document: dict[str, Any] = {"scenario": "stuck"}
    if times is not None:
        document["times"] = times
    return rule_of({**document, "match": match} if match else document, "r")


HEADERS = [(b"x-test", b"abc"), (b"authorization", f"Bearer {KEY}".encode())]


def screened(wanted: Any, image_url: str = "https://example.com/cats/1.jpg?size=[1]") -> str | None:
    return screen(wanted, Submission(image_url, "4k", "jpg", "async", None), KEY, HEADERS)


@given(FEW_LETTERS, FEW_LETTERS)
def test_a_star_stands_for_anything_and_all_else_for_itself(pattern: str, text: str) -> None:
    wanted = ".*".join(map(re.escape, pattern.split("*")))
    assert fits(pattern, text) == bool(re.fullmatch(wanted, text, re.DOTALL))


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"image_url": "https://*/cats/*.jpg?size=[1]"},
        {"resolution": "4k", "output_format": "jpg"},
        {"key": "sk-secret-*"},
        {"headers": {"X-Test": "a*c"}},
        {"headers": {"x-test": "*", "Authorization": f"Bearer {KEY}"}},
    ],
    ids=str,
)
def test_a_submit_fits(match: dict[str, Any]) -> None:
    assert screened(rule(**match)) is None


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"resolution": "8k"}, "resolution is 4k, the rule wants 8k"),
        ({"output_format": "webp"}, "output_format is jpg, the rule wants webp"),
        (
            {"image_url": "https://*/dogs/*"},
            (
                "image_url is 'https://example.com/cats/1.jpg?size=[1]',"
                " the rule wants 'https://*/dogs/*'"
            ),
        ),
        ({"key": "sk-other-9876543210"}, "key is sk-…6789, the rule wants sk-…3210"),
        ({"headers": {"x-none": "*"}}, "header x-none is missing, the rule wants '*'"),
        ({"headers": {"x-test": "b*"}}, "header x-test is 'abc', the rule wants 'b*'"),
        (
            {"headers": {"authorization": "Bearer sk-other-9876543210"}},
            "header authorization is 'Bearer sk-…6789', the rule wants 'Bearer sk-…3210'",
        ),
    ],
    ids=str,
)
def test_a_submit_that_does_not_fit_hears_why(match: dict[str, Any], reason: str) -> None:
    said = screened(rule(**match))
    assert said == reason
    assert KEY not in str(said)


def test_an_inlined_picture_is_not_quoted_in_full() -> None:
    said = screened(rule(image_url="https://*"), "data:image/png;base64," + "A" * 10**6)
    assert said is not None
    assert len(said) < 200


@pytest.mark.parametrize(
    ("asked", "counters", "reason"),
    [
        (rule(), (1, 0, 0.5), None),
        (rule(times=2), (9, 1, 0.5), None),
        (rule(times=2), (9, 2, 0.5), "used up: 2 of 2"),
        (rule(call=3), (3, 0, 0.5), None),
        (rule(call=3), (1, 0, 0.5), "call 1, the rule wants call 3"),
        (rule(call=[5, 3]), (4, 0, 0.5), "call 4, the rule wants calls 3, 5"),
        (rule(probability=0.1), (1, 0, 0.099), None),
        (rule(probability=0.1), (1, 0, 0.53), "probability 0.1: drew 0.530"),
        (rule(probability=1), (1, 0, 0.999), None),
    ],
)
def test_counters_and_chance_decide_what_fits(
    asked: Any, counters: tuple[int, int, float], reason: str | None
) -> None:
    assert take(asked, *counters) == reason


def test_the_same_submit_draws_the_same_and_others_spread_out() -> None:
    asked = rule(probability=0.25)
    draws = [drawn(7, asked, f"call {number}") for number in range(2000)]
    assert draws == [drawn(7, asked, f"call {number}") for number in range(2000)]
    taken = [draw for draw in draws if take(asked, 1, 0, draw) is None]
    assert 400 < len(taken) < 600
    assert draws != [drawn(8, asked, f"call {number}") for number in range(2000)]
