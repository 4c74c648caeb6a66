"""Targets that take money for nothing, or take no task."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from kit.stub import Clock, Stub, observed
from kit.stub import settings as run_settings

from apixo_contract._observations import Purpose
from apixo_contract._report import Report, Verdict
from apixo_contract._settings import Unreachable
from apixo_contract._verify import judge, observe

PRICE = Decimal("0.01")


def failed(report: Report) -> dict[str, str]:
    return {result.id: result.evidence for result in report.of(Verdict.FAIL)}


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
    assert "$0.0100 less after 1 refusals" in failed(report)["balance.rejected-free"]
    assert "charges for bodies that it refuses" in run.notes["budget"]


class ChargesForOneRule(Stub):
    """Charges for refused output formats alone."""

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, answer = super().submit(content)
        self.balance -= PRICE if "output_format" in str(answer.get("message")) else 0
        return status, answer


def test_a_charge_for_one_sort_of_refusal_is_found_out_too() -> None:
    clock = Clock()
    target = ChargesForOneRule(clock)
    run = observe(run_settings(examples=0), transport=target, sleep=clock.sleep, clock=clock)
    report = judge(run)
    assert "balance.rejected-free" in failed(report)
    assert 100 - target.balance <= report.spent_usd <= report.budget_usd


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
    assert len(run.of(Purpose.TASK)) == 9


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
    tasks = [call for call in run.of(Purpose.TASK, Purpose.PROBE) if call.accepted]
    assert Decimal(run.options["spent_usd"]) == (len(tasks) + 1) * PRICE
    assert not failed(judge(run))


def test_what_could_not_be_judged_stands_in_the_headline() -> None:
    report = judge(observed(budget_usd=PRICE, examples=0))
    skipped = report.counts[Verdict.SKIPPED]
    assert skipped
    assert report.headline.endswith(f"no promise broken; {skipped} could not be judged.")
