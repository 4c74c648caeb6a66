"""What an account may do: its terms from the configuration, and the magic keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.envelope import refusal
from apixo_emulator.domain.faults import retry_after
from apixo_emulator.domain.limits import AccountTerms, Bucket, take_token
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.service.call import Call
from apixo_emulator.storage import Store
from apixo_schemas import contract

# Keys that are always answered so, for tests that cannot reach the emulator's controls.
MAGIC_KEYS: Mapping[str, str] = {
    "test_401": "unauthorized",
    "test_402": "insufficient_balance",
    "test_403": "forbidden",
    "test_429": "rate_limited",
}


@dataclass(frozen=True, slots=True)
class Limiting:
    """Holds calls against the terms of their accounts; ``terms`` are by account id."""

    store: Store
    terms: Mapping[str, AccountTerms]
    starting: int

    def refused(self, call: Call, account: Account, endpoint: Endpoint) -> HttpResponse | None:
        """Give the refusal of a call that its account may not make now, None for all others."""
        magic = MAGIC_KEYS.get(call.key or "")
        if magic is not None and (endpoint is Endpoint.SUBMIT or magic != "insufficient_balance"):
            call.decision = f"the key {call.key} is always answered so"
            headers = retry_after(1, call.at_ms) if magic == "rate_limited" else ()
            return refusal(magic, *headers)
        terms = self.terms.get(account.id)
        if terms is None:
            return None
        wait_ms = self._wait_ms(account, terms, call.at_ms)
        if wait_ms is not None:
            call.decision = f"the account's rate limit; the next call is free in {wait_ms} ms"
            return refusal(
                "rate_limited", *retry_after(max(1, math.ceil(wait_ms / 1000)), call.at_ms)
            )
        if (
            endpoint is not Endpoint.BALANCE
            and terms.models is not None
            and contract().model not in terms.models
        ):
            call.decision = "the account has no access to the model"
            return refusal("forbidden")
        return None

    def _wait_ms(self, account: Account, terms: AccountTerms, now_ms: int) -> int | None:
        """Take one call out of the account's bucket; give the ms to wait where it is empty."""
        rate = terms.rate
        if rate is None:
            return None
        wait_ms: int | None = None

        def take(bucket: Bucket | None) -> Bucket:
            nonlocal wait_ms
            changed, wait_ms = take_token(bucket, rate, now_ms)
            return changed

        self.store.take_token(account.id, take)
        return wait_ms

    def may_start(self, account: Account, now_ms: int) -> bool:
        """Tell whether the account's concurrency limit leaves room for one more task."""
        terms = self.terms.get(account.id)
        if terms is None or terms.concurrency is None:
            return True
        return self.store.unfinished_tasks(account.id, now_ms) < terms.concurrency

    def counts_tasks(self, account: Account) -> bool:
        """Tell whether the account's unfinished tasks have to be counted."""
        terms = self.terms.get(account.id)
        return terms is not None and terms.concurrency is not None

    def refunded_micros(self, account_id: str, now_ms: int) -> int:
        """Give what failed tasks have brought back: assumption ``failed.charged``."""
        if contract().assumed("failed.charged") != "refunded":
            return 0
        return contract().price_micros * self.store.failed_tasks(account_id, now_ms)

    def starting_micros(self, account: Account) -> int:
        """Give what the account starts with, in millionths of a USD."""
        terms = self.terms.get(account.id)
        if terms is None or terms.balance_micros is None:
            return self.starting
        return terms.balance_micros
