"""What accounts may do, and the keys that are always refused."""

import pytest
from support.harness import make_harness

from apixo_emulator.domain.accounts import AccountTerms


@pytest.mark.parametrize("status", [401, 403, 429])
def test_magic_keys_are_always_answered_so(status: int) -> None:
    harness = make_harness()
    for answer in (
        harness.submit(key=f"test_{status}"),
        harness.status("x", key=f"test_{status}"),
        harness.balance(key=f"test_{status}"),
    ):
        assert answer.status == answer.json["code"] == status
        assert ("retry-after" in answer.headers) == (status == 429)


def test_the_magic_key_without_balance_can_still_poll() -> None:
    harness = make_harness()
    assert harness.submit(key="test_402").status == 402
    assert harness.balance(key="test_402").status == 200


def test_an_account_has_its_own_balance_and_models() -> None:
    terms = {
        "sk-poor": AccountTerms(balance_micros=15_000),
        "sk-barred": AccountTerms(models=frozenset()),
    }
    harness = make_harness(accounts=terms)
    assert [harness.submit(key="sk-poor").status for _ in range(2)] == [200, 402]
    assert harness.submit(key="sk-barred").status == 403
    assert harness.balance(key="sk-barred").status == 200


def test_unfinished_tasks_are_limited_until_one_ends() -> None:
    terms = {"sk-two": AccountTerms(concurrency=2)}
    harness = make_harness(accounts=terms, duration_ms=1000, rate=0)
    assert [harness.submit(key="sk-two").status for _ in range(3)] == [200, 200, 429]
    harness.operator.advance(1000)
    assert harness.submit(key="sk-two").status == 200


def test_a_top_up_adds_to_the_balance() -> None:
    harness = make_harness(balance_micros=10_000)
    harness.submitted()
    assert harness.submit().status == 402
    (account,) = harness.operator.accounts()
    assert harness.operator.top_up(account["account"], "0.02")["balance"] == "0.0200"
    assert [harness.submit().status for _ in range(3)] == [200, 200, 402]
    harness.operator.top_up("sk-never-seen-0123", "5")
    assert harness.balance(key="sk-never-seen-0123").data == 5.01
    with pytest.raises(ValueError, match="amount in USD"):
        harness.operator.top_up("sk-x", "-1")
