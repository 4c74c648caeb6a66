"""Numbers that are JSON, but too long for the types of Python: answers with them are read."""

import json

import httpx
import pytest
from kit.stub import Stub, observed

from apixo_contract._explain import explain
from apixo_contract._report import Verdict
from apixo_contract._verify import judge

LONG = ["9" * 5_000, "-" + "7" * 5_000, "1" + "0" * 5_000 + ".5", "1e" + "9" * 30, "1e-" + "9" * 30]


class LongNumbers(Stub):
    """Adds a field to each answer whose number is long."""

    number = LONG[0]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        text = answer.read().decode("utf-8", "replace")
        if not text.startswith("{"):
            return answer
        added = f'{{"revision": {self.number}, {text[1:]}'
        return httpx.Response(answer.status_code, text=added, headers={"X-Served": "stub"})


@pytest.mark.parametrize("number", LONG)
def test_a_field_that_is_not_documented_may_hold_any_number(number: str) -> None:
    class Target(LongNumbers):
        pass

    Target.number = number
    failed = judge(observed(Target, examples=0)).of(Verdict.FAIL)
    assert not failed, [f"{result.id}: {result.evidence}" for result in failed]


@pytest.mark.parametrize("number", LONG)
def test_what_a_body_with_a_long_number_is_answered_can_be_explained(number: str) -> None:
    body = json.dumps({"request_type": "async", "input": {"mode": 0}}).replace("0", number)
    assert "found: mode = " in explain(body)
    assert explain(body).startswith("REFUSED")


class PricedInDigits(Stub):
    """Tells of a balance that no purse holds."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if "current-balance" not in request.url.path:
            return answer
        return httpx.Response(200, text=f'{{"code":200,"message":"success","data":{LONG[0]}}}')


def test_a_balance_with_a_long_number_is_judged() -> None:
    assert judge(observed(PricedInDigits, examples=0)).results
