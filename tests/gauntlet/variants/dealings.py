"""Variants of money, callbacks and a busy platform."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from gauntlet.conduct import Conduct, Task
from gauntlet.rules import PAGE, UNSAID, Broken
from gauntlet.variant import variant
from gauntlet.wire import Reply, Request

# --- money --------------------------------------------------------------------------------


@variant("balance with four decimals")
class FourDecimals(Conduct):
    """As the documentation shows it: 74.8700."""

    start_balance = Decimal("74.87")

    def success(self, place: str, data: Any) -> Reply:
        if place != "balance":
            return super().success(place, data)
        text = f'{{"code":200,"message":"success","data":{self.balance_usd:.4f}}}'
        return Reply(200, raw=text.encode())


@variant("a balance of whole dollars")
class WholeDollars(Conduct):
    """The first balance is an integer in JSON."""

    def balance(self) -> Any:
        whole = self.balance_usd == int(self.balance_usd)
        return int(self.balance_usd) if whole else float(self.balance_usd)


@variant("a balance with the noise of binary fractions")
class NoisyBalance(Conduct):
    start_balance = Decimal("0.3")

    def balance(self) -> Any:
        spent = round((self.start_balance - self.balance_usd) * 100)
        value = 0.3
        for _ in range(spent):
            value -= 0.01
        return value


@variant("a poor account")
class Poor(Conduct):
    """Two tasks, then 402."""

    start_balance = Decimal("0.02")


@variant("no money at all")
class Broke(Conduct):
    start_balance = Decimal(0)


@variant("failed tasks are paid back")
class Refunds(Conduct):
    """Whether failed tasks are charged is not documented."""

    refutes = ("failed.charged",)

    def balance(self) -> Any:
        failed = sum(self.state(task) == "failed" for task in self.tasks.values())
        return float(self.balance_usd + failed * Decimal("0.01"))


@variant("tasks are charged when they end")
class ChargedAtTheEnd(Conduct):
    def balance(self) -> Any:
        going = sum(self.state(t) in {"pending", "processing"} for t in self.tasks.values())
        return float(self.balance_usd + going * Decimal("0.01"))


@variant("a balance that is a second old")
class LateBalance(Conduct):
    def balance(self) -> Any:
        new = sum(self.now() - task.created_s < 1 for task in self.tasks.values())
        return float(self.balance_usd + new * Decimal("0.01"))


# --- callbacks ----------------------------------------------------------------------------


@variant("callbacks twice")
class CallbackTwice(Conduct):
    def callback_moments(self, task: Task) -> list[float]:
        return [task.completed_s, task.completed_s + 0.3]


@variant("callbacks late")
class CallbackLate(Conduct):
    def callback_moments(self, task: Task) -> list[float]:
        return [task.completed_s + 2]


@variant("callbacks to public HTTPS only")
class StrictCallbacks(Conduct):
    """The page: must be a public HTTPS URL."""

    refutes = ("callback_url.not_https",)

    rules = (
        *PAGE,
        *UNSAID,
        Broken(
            "callback_url_https",
            "callback_url must be public",
            lambda body: (
                body.get("request_type") == "callback"
                and not str(body.get("callback_url")).startswith("https://")
            ),
        ),
    )


# --- a busy platform ----------------------------------------------------------------------


class Interrupted(Conduct):
    """Now and then a call is refused; the caller is to come back."""

    share = 0.04
    status_code = 429
    headers: tuple[tuple[str, str], ...] = (("retry-after", "1"),)

    def interruption(self, request: Request) -> Reply | None:
        del request
        if self.rng.random() >= self.share:
            return None
        answer = self.error(self.status_code, "busy", "busy")
        return replace(answer, headers=dict(self.headers))


@variant("429 with Retry-After now and then")
class Limited(Interrupted):
    pass


@variant("429 without Retry-After")
class LimitedSilently(Interrupted):
    refutes = ("retry_after",)

    headers = ()


@variant("503 now and then")
class Unavailable(Interrupted):
    status_code = 503
    share = 0.02


@variant("at most 40 calls a second")
class Throttled(Conduct):
    """A window of one second; what is over gets 429."""

    window: tuple[int, int] = (0, 0)

    def interruption(self, request: Request) -> Reply | None:
        del request
        second, count = self.window
        now = int(self.now())
        count = count + 1 if second == now else 1
        self.window = (now, count)
        if count <= 40:
            return None
        return replace(self.error(429, "slow down", "busy"), headers={"retry-after": "1"})


@variant("at most three tasks at once")
class FewAtOnce(Conduct):
    """The page: 429, rate limit or concurrency limit reached."""

    def decided(self, body: dict[str, Any]) -> Reply:
        running = sum(self.state(t) in {"pending", "processing"} for t in self.tasks.values())
        valid = not any(rule.when(body) for rule in self.rules)
        if valid and running >= 3:
            return replace(self.error(429, "too many", "busy"), headers={"retry-after": "1"})
        return super().decided(body)


@variant("502 now and then")
class BadGateway(Interrupted):
    """A transient error of a proxy; the page says to retry with backoff."""

    status_code = 502
    share = 0.004
    headers = ()
