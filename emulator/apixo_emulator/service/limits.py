"""What an account may do: its terms from the configuration, and the magic keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from apixo_emulator.domain.accounts import Account, AccountState, AccountTerms
from apixo_emulator.domain.responses import refusal, retry_after
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.service.worlds import Call
from apixo_emulator.storage import Store, Transaction
from apixo_schemas import contract

# Keys that are always answered so, for tests that cannot reach the emulator's controls.
MAGIC_KEYS: Mapping[str, str] = {
    "test_401": "unauthorized",
    "test_402": "insufficient_balance",
    "test_403": "forbidden",
    "test_429": "rate_limited",
}


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Judges calls by the terms of their accounts; ``terms`` are by account id.

    ``starting`` is what an account without terms starts with, in millionths of a USD.
    """

    store: Store
    terms: Mapping[str, AccountTerms]
    starting: int

    def refused(
        self, call: Call, account: Account, terms: AccountTerms, endpoint: Endpoint
    ) -> HttpResponse | None:
        """Return the refusal of a call that is no submit and that its account may not make now."""
        if terms.rate is None:
            return self.forbidden(call, terms, endpoint)
        with self.store.transaction() as tx:
            tx.load({account: self.starting_micros(account)})
            refused = self.over_rate(call, terms, tx.account(account))
        return refused or self.forbidden(call, terms, endpoint)

    @staticmethod
    def magic(call: Call, endpoint: Endpoint) -> HttpResponse | None:
        """Return what a magic key is always answered."""
        magic = MAGIC_KEYS.get(call.key or "")
        if magic is None or (endpoint is not Endpoint.SUBMIT and magic == "insufficient_balance"):
            return None
        call.decision = f"the key {call.key} is always answered so"
        headers = retry_after(1, call.at_ms) if magic == "rate_limited" else ()
        return refusal(magic, *headers)

    @staticmethod
    def over_rate(call: Call, terms: AccountTerms, state: AccountState) -> HttpResponse | None:
        """Take one call out of the account's rate limit, or refuse where none is left."""
        wait_ms = state.take_token(terms.rate, call.at_ms) if terms.rate else None
        if wait_ms is None:
            return None
        call.decision = f"the account's rate limit; the next call is free in {wait_ms} ms"
        return refusal("rate_limited", *retry_after(max(1, math.ceil(wait_ms / 1000)), call.at_ms))

    @staticmethod
    def forbidden(call: Call, terms: AccountTerms, endpoint: Endpoint) -> HttpResponse | None:
        """Refuse a call for a model that the account may not use."""
        if terms.models is None or endpoint is Endpoint.BALANCE or contract().model in terms.models:
            return None
        call.decision = "the account has no access to the model"
        return refusal("forbidden")

    @staticmethod
    def over_concurrency(
        call: Call, account: Account, terms: AccountTerms, tx: Transaction
    ) -> HttpResponse | None:
        """Refuse a submit of an account that has as many unfinished tasks as it may have."""
        limit = terms.concurrency
        if limit is None or tx.unfinished(account, call.at_ms) < limit:
            return None
        call.decision = "the account has as many unfinished tasks as it may have"
        return refusal("rate_limited", *retry_after(1, call.at_ms))

    @staticmethod
    def refund(tx: Transaction, account: Account, now_ms: int) -> None:
        """Refund what tasks have cost that have failed by now: assumption ``failed.charged``."""
        failed = tx.failed_since(account, now_ms)
        if failed:
            tx.account(account).refund(contract().price_micros * failed)

    def balance_micros(self, account: Account, now_ms: int) -> int:
        """Return what the account has left at an instant, in millionths of a USD."""
        starting = self.starting_micros(account)
        if not refunds_failed():
            return self.store.balance_micros(account, starting)
        with self.store.transaction() as tx:
            tx.load({account: starting})
            self.refund(tx, account, now_ms)
            return tx.account(account).balance_micros

    def starting_micros(self, account: Account) -> int:
        """Return what the account starts with, in millionths of a USD."""
        terms = self.terms.get(account.id)
        if terms is None or terms.balance_micros is None:
            return self.starting
        return terms.balance_micros


def refunds_failed() -> bool:
    """Return whether failed tasks cost nothing: assumption ``failed.charged``."""
    return bool(contract().assumed("failed.charged") == "refunded")
