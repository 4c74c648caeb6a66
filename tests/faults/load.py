"""Load on emulators that may die, from a thread that keeps books of what it saw."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from faults.callers import FINAL, Answer, Caller, Lost, cents

# Between calls, so that two cores are enough, and before a server that is down is tried again.
_PACE_S = 0.004
_DOWN_S = 0.02


@dataclass
class Books:
    """What was seen: acknowledged tasks and whether each is called back, and final answers."""

    acknowledged: dict[str, bool] = field(default_factory=dict)
    finals: dict[str, bytes] = field(default_factory=dict)
    cut: int = 0
    violations: list[str] = field(default_factory=list)


class Load(threading.Thread):
    """Makes calls at random, to any of the servers, until `end` is set."""

    def __init__(self, ports: list[int], key: str, receiver: str, seed: int) -> None:
        super().__init__()
        self.books = Books()
        self.end = threading.Event()
        self._callers = [Caller(port, key) for port in ports]
        self._caller = self._callers[0]
        self._receiver = receiver
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._waiting: list[str] = []
        self._balance: int | None = None

    def run(self) -> None:
        kinds = [self._submit, self._poll_waiting, self._poll_final, self._poll_balance]
        pause = 0.0
        while not self.end.wait(pause):
            self._caller = self._random.choice(self._callers)
            (call,) = self._random.choices(kinds, [5, 5, 2, 1])
            pause = _DOWN_S if call() is Lost.REFUSED else _PACE_S
        for caller in self._callers:
            caller.close()

    def _good(self, answer: Answer | Lost, what: str) -> Answer | None:
        if isinstance(answer, Lost):
            return None
        if answer.status != 200:
            self.books.violations.append(f"{what} was answered {answer.status}: {answer.body!r}")
            return None
        return answer

    def _submit(self) -> Answer | Lost:
        name = self._random.choice(["a", "emulate/SensitiveContent", "emulate/slow-0.4"])
        origin = self._random.choice(["https://example.com", self._receiver])
        callback_url = self._random.choice([f"{self._receiver}/hook", None])
        answer = self._caller.submit(f"{origin}/{name}.jpg", callback_url)
        if answer is Lost.CUT:
            self.books.cut += 1
        elif good := self._good(answer, "a submit"):
            task_id = good.data["taskId"]
            if task_id in self.books.acknowledged:
                self.books.violations.append(f"{task_id} was given twice")
            self.books.acknowledged[task_id] = callback_url is not None
            self._waiting.append(task_id)
        return answer

    def _poll_waiting(self) -> Answer | Lost | None:
        if not self._waiting:
            return None
        # Mostly the oldest, whose end is near or just over.
        index = min(int(self._random.expovariate(0.3)), len(self._waiting) - 1)
        answer = self._caller.status(self._waiting[index])
        good = self._good(answer, "a poll")
        if good and good.data["state"] in FINAL:
            self.books.finals[self._waiting.pop(index)] = good.body
        return answer

    def _poll_final(self) -> Answer | Lost | None:
        if not self.books.finals:
            return None
        task_id = self._random.choice(list(self.books.finals))
        answer = self._caller.status(task_id)
        good = self._good(answer, "a poll")
        if good and good.body != self.books.finals[task_id]:
            self.books.violations.append(f"the answer of {task_id} has changed: {good.body!r}")
        return answer

    def _poll_balance(self) -> Answer | Lost:
        answer = self._caller.balance()
        if good := self._good(answer, "the balance"):
            if self._balance is not None and cents(good) > self._balance:
                rose = f"the balance rose from {self._balance} to {cents(good)}"
                self.books.violations.append(rose)
            self._balance = cents(good)
        return answer
