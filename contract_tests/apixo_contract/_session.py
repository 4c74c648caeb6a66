"""What the steps of a run share: the calls, the tasks on their way, the money, the callbacks."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import httpx

from apixo_contract._budget import Budget
from apixo_contract._calls import Calls
from apixo_contract._observations import Exchange, Key, Purpose
from apixo_contract._oracle import expect_text
from apixo_contract._receiver import Receiver
from apixo_contract._settings import Settings
from apixo_contract._tasks import Poller

# Submits that should have been refused and were not: after so many the target is known well enough.
_MOST_SURPRISES = 3
# May have been taken: the answer of somebody behind the API is missing.
_UNCERTAIN = frozenset({500, 502, 504})
# Turned away as busy, in most cases: a body that nobody would take has cost nothing then.
_UNAVAILABLE = 503
_STEP_S = 0.02
_JSON = "application/json"


class Session:
    """One run in the making.

    Args:
        settings: What to do, checked.
        transport: Instead of the network, for a target in this process.
        sleep: Waits so many seconds.
        clock: Gives the time in Unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.clock = clock
        self._sleep = sleep
        self.calls = Calls(settings, transport=transport, sleep=sleep, clock=clock)
        self.poller = Poller(self.calls, settings, clock)
        self.budget = Budget(settings.budget_usd)
        self.random = random.Random(settings.seed)  # noqa: S311 - the same seed, the same run
        self.receiver: Receiver | None = None
        # Where the tasks in callback mode call back, by their name.
        self.callback_urls: dict[str, str] = {}
        # Why something was not done, by topic.
        self.notes: dict[str, str] = {}
        # As it was last read, in USD; None where it cannot be read.
        self.balance: Decimal | None = None
        self._surprises = 0
        self._unrefused: set[str] = set()
        self._refusals_cost = False
        self._knows_balance = True

    def idle(self, seconds: float) -> None:
        """Wait, and poll the tasks that become due meanwhile."""
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0:
            self.poller.tick()
            self._sleep(max(_STEP_S, min(left, self.poller.next_s or left)))

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, so long at most."""
        until = self.clock() + seconds
        while not holds() and self.clock() < until:
            self.idle(_STEP_S)

    def read_balance(self, probe: str) -> Exchange | None:
        """Read the balance, unless the target has refused to tell it."""
        if not self._knows_balance:
            return None
        found = self.calls.balance(probe)
        self._knows_balance = found.succeeded
        self.balance = found.balance if found.succeeded else None
        return found

    def submit(
        self,
        text: str,
        purpose: Purpose,
        *,
        key: Key = Key.OWN,
        probe: str = "",
        content_type: str | None = _JSON,
    ) -> Exchange | None:
        """Submit a body within the budget; None, and nothing sent, where it might not be paid."""
        if not self.budget.reserve():
            self.notes.setdefault(
                "budget", f"the budget of ${self.settings.budget_usd} does not allow for it"
            )
            return None
        found = self.calls.submit(
            text,
            purpose,
            key=key,
            probe=probe,
            content_type=content_type,
            may_repeat=self._pays_again,
        )
        self.budget.settle(costs=self._may_cost(found))
        if found.accepted and key is Key.OWN:
            self.poller.add(found)
        self.poller.tick()
        return found

    def _may_cost(self, found: Exchange) -> bool:
        if found.accepted or found.status is None or found.status in _UNCERTAIN:
            return True
        turned_away = found.status == _UNAVAILABLE and found.purpose is not Purpose.BODY
        return turned_away or self._refusals_cost

    def _pays_again(self, found: Exchange) -> bool:
        """Count a submit that was turned away, and reserve the next; False where it is too much."""
        if not self._may_cost(found):
            return True
        if not self.budget.left:
            return False
        self.budget.settle(costs=True)
        return self.budget.reserve()

    def charged_for_refusals(self, cost_usd: Decimal) -> None:
        """Know that the target takes money, so much so far in USD, for bodies that it refuses."""
        self.budget.charge(cost_usd)
        self._refusals_cost = True
        self.notes["budget"] = "the target charges for bodies that it refuses: no more were sent"

    def break_rules(self, text: str) -> Exchange | None:
        """Submit a body that breaks documented rules; None, and nothing sent, if it may cost.

        A target that takes such bodies is not sent many of them: none that breaks only rules which
        it is known not to refuse properly, and after a few surprises no more at all. Neither is
        one that charges for them.
        """
        if self._refusals_cost:
            return None
        if self._surprises >= _MOST_SURPRISES:
            self.notes.setdefault(
                "budget", "the target takes bodies that it ought to refuse: no more were sent"
            )
            return None
        broken = {rule.id for rule in expect_text(text).broken}
        if broken <= self._unrefused:
            return None
        before = self.budget.tasks
        found = self.submit(text, Purpose.BODY)
        if found is not None and found.trouble:
            # A connection may break for reasons of its own: once more, then it is the body.
            self.calls.forget(found)
            found = self.submit(text, Purpose.BODY)
        self._surprises += self.budget.tasks - before
        if found is not None and (found.accepted or found.trouble) and len(broken) == 1:
            self._unrefused |= broken
        return found
