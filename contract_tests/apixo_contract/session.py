"""What the steps of a run share: calls, tasks on their way, money, callbacks."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx

from apixo_client import CallbackReply, CallbackRequest, CallbackServer
from apixo_contract.calls import Calls
from apixo_contract.masking import Mask
from apixo_contract.observations import CallbackSeen, Exchange, Key, PropertySeen, Purpose
from apixo_contract.options import Settings, UsageError
from apixo_contract.view import ENDED, MARK, TRANSIENT, is_called_at, is_odd_end
from apixo_schemas import MICROS_PER_USD, contract

OK = 200
# 503 says "not available": a body that breaks rules has cost nothing then.
_UNAVAILABLE = 503
_STEP_S = 0.02


# --- money ------------------------------------------------------------------------------------


def price_usd() -> Decimal:
    """Return the documented price of a task."""
    return Decimal(contract().price_micros) / MICROS_PER_USD


class Budget:
    """What a run may still cost, in whole tasks at the documented price.

    A submit is reserved before it is sent. A target that refuses it gives the reserve back; one
    that accepts it, or leaves it open, keeps it.
    """

    def __init__(self, limit_usd: Decimal) -> None:
        self._limit = int(limit_usd * MICROS_PER_USD)
        self._price = contract().price_micros
        self._reserved = 0
        self.tasks = 0

    @property
    def left(self) -> int:
        """Return how many more tasks may be submitted."""
        return (self._limit - (self.tasks + self._reserved) * self._price) // self._price

    @property
    def spent_usd(self) -> Decimal:
        """Return what the run has cost at most, a submit on its way among it, in USD."""
        return Decimal((self.tasks + self._reserved) * self._price) / MICROS_PER_USD

    def reserve(self) -> bool:
        """Set one task's price aside; False, and nothing set aside, if that would be too much."""
        if self.left < 1:
            return False
        self._reserved += 1
        return True

    def settle(self, *, costs: bool) -> None:
        """Close a reserve: the submit costs, or may cost, or it was refused."""
        self._reserved -= 1
        self.tasks += costs

    def charge(self, cost_usd: Decimal) -> None:
        """Count what was taken from the account beside accepted tasks, in USD."""
        self.tasks += -(-int(cost_usd * MICROS_PER_USD) // self._price)


# --- polling ----------------------------------------------------------------------------------

# On this machine: often at first, so that short states are seen, then less and less.
_QUICK_S = 0.05
_QUICK_MOST_S = 1.0
_GROWTH = 1.25
# Elsewhere: as the page recommends.
_FIRST_S = 10.0
_NEXT_S = 5.0
# A final answer is asked for again after these.
_AGAIN_S = (0.1, 0.3)
# Answers in a row without a state, or with an end of an unknown name, before a task is given up.
_MOST_ODD = 4


@dataclass(slots=True)
class Tracked:
    """One accepted task on its way."""

    id: str
    name: str
    callback_url: str
    wait_s: float
    due_s: float
    # When to stop waiting for its end.
    until_s: float
    final: Exchange | None = None
    # Polls after the end.
    again: int = 0
    odd: int = 0
    done: bool = False


class Poller:
    """Polls all accepted tasks side by side, between the other calls of a run."""

    def __init__(self, calls: Calls, settings: Settings, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._settings = settings
        self._clock = clock
        self._polling = False
        self.tasks: dict[str, Tracked] = {}
        given, local = settings.poll_interval, settings.is_local
        self._first_s = given if given is not None else (_QUICK_S if local else _FIRST_S)
        self._fixed_s = given if given is not None else (None if local else _NEXT_S)

    def add(self, submitted: Exchange, callback_url: str) -> None:
        """Follow the task that a submit has started; a repeated id is followed once."""
        task_id = submitted.submitted_id
        if task_id is None or task_id in self.tasks:
            return
        now = self._clock()
        self.tasks[task_id] = Tracked(
            task_id,
            submitted.probe,
            callback_url,
            wait_s=self._first_s,
            due_s=now + self._first_s,
            until_s=now + self._settings.task_wait_s,
        )

    @property
    def open(self) -> list[Tracked]:
        """Return the tasks that are still to be polled."""
        return [task for task in self.tasks.values() if not task.done]

    @property
    def next_s(self) -> float:
        """Return the seconds until a task is due."""
        return max(0.0, min((task.due_s for task in self.open), default=0.0) - self._clock())

    def tick(self) -> None:
        """Poll every task that is due. A call from within a poll that waits has no effect."""
        if self._polling:
            return
        self._polling = True
        try:
            for task in self.open:
                if task.due_s <= self._clock():
                    self._poll(task)
        finally:
            self._polling = False

    def _poll(self, task: Tracked) -> None:
        purpose = Purpose.POLL if task.final is None else Purpose.POLL_AGAIN
        found = self._calls.status(task.id, purpose, probe=task.name)
        now = self._clock()
        if task.final is not None:
            task.again += 1
            task.done = task.again >= len(_AGAIN_S)
            task.due_s = now + _AGAIN_S[min(task.again, len(_AGAIN_S) - 1)]
            return
        if found.succeeded and found.state in ENDED:
            task.final, task.due_s = found, now + _AGAIN_S[0]
            return
        odd = not found.succeeded or found.state is None or is_odd_end(found)
        task.odd = task.odd + 1 if odd else 0
        task.done = task.odd >= _MOST_ODD or now > task.until_s
        task.wait_s = self._fixed_s or min(task.wait_s * _GROWTH, _QUICK_MOST_S)
        task.due_s = now + task.wait_s

    def no_longer_than(self, task: Tracked, seconds: float) -> None:
        """Wait so long at most for a task that must have ended, because it was called back."""
        task.until_s = min(task.until_s, self._clock() + seconds)

    def once_more(self) -> None:
        """Poll every ended task a last time, at the end of the run."""
        for task in self.tasks.values():
            if task.final is not None:
                self._calls.status(task.id, Purpose.POLL_AGAIN, probe=task.name)


# --- callbacks --------------------------------------------------------------------------------

_REFUSE = 500


class Receiver:
    """Keeps every callback; answers 200, or 500 once at addresses where a retry is to be seen."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mask = Mask(settings.api_key)
        self._lock = Lock()
        self._tunnel = settings.callback_url
        self._refusing: set[str] = set()
        self.seen: list[CallbackSeen] = []
        self.base_url = ""

    def url(self, name: str) -> str:
        """Return an address for one task, with a path and a query of its own."""
        mark = f"{secrets.token_hex(8)}-{name}"
        if self._tunnel is None:
            return f"{self.base_url}/{MARK}/{mark}?task={secrets.token_hex(8)}"
        # What lies between may interpret the path.
        return f"{self._tunnel}{'&' if '?' in self._tunnel else '?'}{MARK}={mark}"

    def refuse_first(self, url: str) -> None:
        """Answer the first callback at an address with 500."""
        with self._lock:
            self._refusing.add(url)

    def count(self, task: Tracked) -> int:
        """Return how many callbacks came in at a task's address, or name the task elsewhere."""
        return sum(
            is_called_at(seen.path, task.callback_url) or seen.task_id == task.id
            for seen in list(self.seen)
        )

    def take(self, call: CallbackRequest) -> CallbackReply:
        """Keep a call, and return its answer; called from the thread of each call."""
        with self._lock:
            refused = {url for url in self._refusing if is_called_at(call.target, url)}
            self._refusing -= refused
            answered = _REFUSE if refused else OK
            self.seen.append(
                CallbackSeen(
                    number=len(self.seen) + 1,
                    method=call.method,
                    path=self._mask.text(call.target),
                    headers=self._mask.headers(dict(call.headers)),
                    text=self._mask.text(call.body.decode("utf-8", errors="replace")),
                    received_ms=round(self._clock() * 1000),
                    answered=answered,
                )
            )
        return CallbackReply(answered)


@contextmanager
def receiving(settings: Settings, clock: Callable[[], float]) -> Iterator[Receiver | None]:
    """Listen for callbacks while the block runs; None if no address is known.

    Raises:
        UsageError: The address cannot be listened on.
    """
    if not settings.takes_callbacks:
        yield None
        return
    receiver = Receiver(settings, clock)
    host = settings.callback_host or "127.0.0.1"
    # Behind a name or a tunnel, any address of this machine may be the one that is reached.
    bind = host if host in {"127.0.0.1", "::1"} else "0.0.0.0"  # noqa: S104 - asked for by the user
    try:
        server = CallbackServer(receiver.take, host=bind, port=settings.callback_port)
    except OSError as error:
        raise UsageError(
            f"cannot listen for callbacks on {bind} port {settings.callback_port}: {error}. "
            "Give another --callback-port"
        ) from None
    receiver.base_url = f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
    with server:
        yield receiver


# --- the session ------------------------------------------------------------------------------


class Session:
    """One run in the making.

    Args:
        settings: What to do, checked.
        transport: Replaces the network, for a target in this process.
        sleep: Waits so many seconds.
        clock: Returns the time in Unix seconds.
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
        self.properties: list[PropertySeen] = []
        # Why something was not done, by topic.
        self.notes: dict[str, str] = {}
        # As it was last read, in USD; None if it cannot be read.
        self.balance: Decimal | None = None
        # True once the target has charged for a body that it refused.
        self.refusals_cost = False
        self._knows_balance = True

    def idle(self, seconds: float) -> None:
        """Wait, and poll the tasks that become due meanwhile."""
        until = self.clock() + seconds
        while (left := until - self.clock()) > 0:
            self.poller.tick()
            self._sleep(max(_STEP_S, min(left, self.poller.next_s or left)))

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds, so long at most."""
        until = self.clock() + seconds
        while not holds() and self.clock() < until:
            self.idle(_STEP_S)

    def read_balance(self, probe: str) -> Exchange | None:
        """Read the balance, unless the target has refused to show it."""
        if not self._knows_balance:
            return None
        found = self.calls.balance(probe)
        self._knows_balance = found.succeeded
        self.balance = found.balance
        return found

    def submit(
        self, text: str, purpose: Purpose, *, callback_url: str = "", **more: Any
    ) -> Exchange | None:
        """Submit a body within the budget; None, and nothing sent, if it could not be paid.

        Args:
            text: The body.
            purpose: What it is sent for.
            callback_url: The address that it names.
            more: Other fields of `Ask`, such as ``key`` and ``probe``.
        """
        if not self.budget.reserve():
            self.notes.setdefault("budget", self.over_budget)
            return None
        found = self.calls.submit(text, purpose, may_repeat=self._may_repeat, **more)
        self.budget.settle(costs=self._may_cost(found))
        if found.succeeded and found.key is Key.OWN:
            self.poller.add(found, callback_url)
        self.poller.tick()
        return found

    @property
    def over_budget(self) -> str:
        """Return the reason for what the budget does not pay, with the option that would."""
        if not self.settings.budget_usd:
            return (
                "With a budget of $0 nothing is submitted, not even a body that ought to be refused: "
                f"give --budget-usd {price_usd()} for what is refused, more for tasks."
            )
        return (
            f"The budget of ${self.settings.budget_usd} pays for no further submit, not even one that "
            "ought to be refused: give a higher --budget-usd."
        )

    def _may_cost(self, found: Exchange) -> bool:
        if found.succeeded or found.status is None or found.status in TRANSIENT:
            return True
        turned_away = found.status == _UNAVAILABLE and found.purpose is not Purpose.BODY
        return turned_away or self.refusals_cost

    def _may_repeat(self, found: Exchange) -> bool:
        """Count a submit that may have cost, and reserve the next; False if that is too much."""
        if not self._may_cost(found):
            return True
        if not self.budget.left:
            return False
        self.budget.settle(costs=True)
        return self.budget.reserve()

    def awaits_callback(self, task: Tracked) -> bool:
        """True if a task was to call the run's receiver."""
        base = self.receiver.base_url if self.receiver is not None else ""
        return bool(base) and (
            task.callback_url.startswith(f"{base}/")
            or f"{MARK}=" in urlsplit(task.callback_url).query
        )
