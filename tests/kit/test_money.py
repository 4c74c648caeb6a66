"""A run never costs more than its budget, and every task is charged its price, whatever a target does."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.stub import KEY, Clock, Stub, observed, refused, success
from kit.stub import settings as run_settings

from apixo_contract import (
    Purpose,
    Report,
    Unreachable,
    UsageError,
    Verdict,
    expect_text,
    judge,
    observe,
    settle,
)
from apixo_contract.session import Budget

ANSWERS = ["keep", "accept", "accept", "500", "502", "503", "429", "broken off", "html", "empty"]
PRICE = Decimal("0.01")


class Hostile(Stub):
    """Answers submits as a list says, over and over; every answer but a refusal costs."""

    plan: list[str]

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.submits = 0
        self.may_have_cost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return super().handle_request(request)
        request.read()
        answer = self.plan[self.submits % len(self.plan)]
        self.submits += 1
        given: httpx.Response = getattr(self, f"on_{answer.replace(' ', '_')}")(request)
        return given

    def on_keep(self, request: httpx.Request) -> httpx.Response:
        kept = super().handle_request(request)
        self.may_have_cost += kept.status_code == 200
        return kept

    def on_accept(self, _request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        return httpx.Response(200, json=success({"taskId": f"t{self.submits}"})[1])

    def on_500(self, _request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        return httpx.Response(500, json=refused(500, "oops")[1])

    def on_502(self, _request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        return httpx.Response(502, text="<h1>Bad gateway</h1>")

    def on_503(self, request: httpx.Request) -> httpx.Response:
        # A valid body may have been accepted all the same.
        self.may_have_cost += expect_text(request.content.decode()).accepted
        return httpx.Response(503, text="later")

    def on_429(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"retry-after": "1"}, text="later")

    def on_broken_off(self, request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        raise httpx.ReadError("the connection broke", request=request)

    def on_html(self, _request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        return httpx.Response(200, text="<h1>Welcome</h1>")

    def on_empty(self, _request: httpx.Request) -> httpx.Response:
        self.may_have_cost += 1
        return httpx.Response(200)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=8), st.integers(0, 11))
def test_a_hostile_target_gets_no_more_than_the_budget(plan: list[str], cents: int) -> None:
    clock = Clock()
    target = type("Planned", (Hostile,), {"plan": plan})(clock)
    options = run_settings(budget_usd=cents * PRICE, examples=0, max_wait=5.0)
    try:
        run = observe(options, transport=target, sleep=clock.sleep, clock=clock)
    except Unreachable:
        pass  # nothing but broken connections; what was sent before counts all the same
    else:
        assert Decimal(run.options["spent_usd"]) <= cents * PRICE
        judge(run)
    assert target.may_have_cost * PRICE <= cents * PRICE


@given(st.integers(0, 40), st.lists(st.booleans(), max_size=60))
def test_what_is_reserved_and_spent_stays_within_the_budget(tenths: int, costs: list[bool]) -> None:
    limit = Decimal(tenths) / 1000
    budget = Budget(limit)
    for does in costs:
        left = budget.left
        assert budget.reserve() == (left > 0)
        if left:
            assert budget.spent_usd <= limit
            budget.settle(costs=does)
            assert budget.left == left - does
    assert budget.spent_usd <= limit


def test_without_a_budget_no_body_is_sent() -> None:
    run = observed(budget_usd=Decimal(0), examples=0)
    assert not [call for call in run.exchanges if call.method == "POST"]
    skipped = {r.id: r.evidence for r in judge(run).results if r.verdict == "skipped"}
    assert "budget" in skipped["submit.rule.mode.invalid"]


class TakesForEver(Stub):
    seconds = 1e9


@pytest.mark.slow
def test_a_task_without_end_is_given_up_and_fails() -> None:
    run = observed(TakesForEver, examples=0)
    assert run.ended_ms - run.started_ms < 600_000
    failed = [r.id for r in judge(run).results if r.verdict == "fail"]
    assert failed == ["status.ends"]


class TakesEverything(Stub):
    def submit(self, content: bytes) -> Any:
        status, body = super().submit(content)
        return (status, body) if status == 200 else success({"taskId": f"t{hash(content)}"})


def test_a_target_that_takes_everything_is_soon_known() -> None:
    run = observed(TakesEverything, examples=0)
    extra = [call for call in run.of(Purpose.BODY) if call.succeeded]
    assert len(extra) == 3
    assert run.of(Purpose.TASK)
    assert "ought to refuse" in run.notes["budget"]


class Limited(Stub):
    """One call in five is turned away."""

    calls = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.calls % 5 == 0:
            return httpx.Response(429, headers={"Retry-After": "3"}, text="slow down")
        return super().handle_request(request)


def test_a_busy_target_is_waited_for_and_has_not_drifted() -> None:
    run = observed(Limited, examples=0)
    verdicts = {result.id: result.verdict for result in judge(run).results}
    assert "fail" not in verdicts.values()
    assert verdicts["assumption.retry_after"] == "confirmed"
    turned_away = [call for call in run.of(Purpose.BUSY) if call.status == 429]
    for first in turned_away:
        again = next(c for c in run.exchanges if c.number > first.number)
        assert (again.url, again.body) == (first.url, first.body)
        assert again.sent_ms - first.sent_ms >= 3000


@pytest.mark.parametrize(
    ("base_url", "given", "words"),
    [
        ("https://api.apixo.ai", {}, "--live"),
        ("http://192.0.2.1:8787", {}, "--live"),
        ("https://api.apixo.ai", {"live": True}, "--image-url"),
        ("http://127.0.0.1", {"budget_usd": Decimal(-1)}, "budget"),
        ("ftp://127.0.0.1", {}, "base URL"),
    ],
)
def test_what_may_cost_real_money_must_be_asked_for(
    base_url: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        settle(base_url, KEY, given)


# --- targets that take money for nothing, or accept no task ---------------------------------------


def failed(report: Report) -> dict[str, str]:
    return {result.id: result.summary for result in report.of(Verdict.FAIL)}


class ChargesForRefusals(Stub):
    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, answer = super().submit(content)
        self.balance -= PRICE if status == 400 else 0
        return status, answer


@pytest.mark.parametrize("cents", [2, 10, 50])
def test_a_target_that_charges_for_refusals_is_found_out_within_the_budget(cents: int) -> None:
    clock = Clock()
    target = ChargesForRefusals(clock)
    options = run_settings(budget_usd=cents * PRICE, examples=0)
    run = observe(options, transport=target, sleep=clock.sleep, clock=clock)
    report = judge(run)
    cost = 100 - target.balance
    assert cost <= report.spent_usd <= cents * PRICE
    assert "$0.0100 less after 1 refusal" in failed(report)["balance.rejected-free"]
    assert "charges for bodies that it refuses" in run.notes["budget"]


class SharedAccount(Stub):
    """Somebody else buys a task while the first bodies are refused."""

    refusals = 0

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, answer = super().submit(content)
        self.refusals += status == 400
        self.balance -= PRICE if status == 400 and self.refusals == 4 else 0
        return status, answer


def test_somebody_else_who_uses_the_account_is_no_drift() -> None:
    run = observed(SharedAccount, examples=0)
    report = judge(run)
    assert not failed(report)
    skipped = {result.id: result.evidence for result in report.of(Verdict.SKIPPED)}
    assert "used by others" in skipped["balance.rejected-free"]
    assert len(run.of(Purpose.TASK)) == 10


class AnswersTasks(Stub):
    """Answers bodies that are to be accepted in its own way."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        taken = request.method == "POST" and answer.status_code == 200
        return self.instead(answer) if taken else answer

    def instead(self, answer: httpx.Response) -> httpx.Response:
        raise NotImplementedError


class HangsUp(AnswersTasks):
    def instead(self, answer: httpx.Response) -> httpx.Response:
        raise httpx.RemoteProtocolError(f"hung up before HTTP {answer.status_code}")


def test_a_target_that_hangs_up_on_every_task_has_drifted() -> None:
    found = failed(judge(observed(HangsUp, examples=0)))
    assert "hung up" in found["submit.accepts"]


class TooBusy(AnswersTasks):
    def instead(self, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(503, text=f"later: HTTP {answer.status_code}")


def test_a_target_too_busy_for_every_task_cannot_be_judged() -> None:
    with pytest.raises(Unreachable, match=r"too busy for every task \(HTTP 503"):
        observed(TooBusy, examples=0)


class BusyOnce(AnswersTasks):
    """Takes the first of all tasks, and charges it, but says that it is not available."""

    busy = True

    def instead(self, answer: httpx.Response) -> httpx.Response:
        if not self.busy:
            return answer
        self.busy = False
        return httpx.Response(503, headers={"Retry-After": "2"}, text="later")


def test_a_task_turned_away_once_is_sent_again_and_counted_twice() -> None:
    run = observed(BusyOnce, examples=0, budget_usd=Decimal(1))
    tasks = [call for call in run.of(Purpose.TASK, Purpose.PROBE) if call.succeeded]
    assert Decimal(run.options["spent_usd"]) == (len(tasks) + 1) * PRICE
    assert not failed(judge(run))


# --- the price of each task -------------------------------------------------------------------


def test_a_single_odd_charge_may_be_somebody_else_s() -> None:
    class Shared(Stub):
        """Somebody else buys a task once, just after the third one."""

        def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
            status, answer = super().submit(content)
            self.balance -= PRICE if status == 200 and len(self.tasks) == 3 else 0
            return status, answer

    assert not failed(judge(observed(Shared, examples=0)))
