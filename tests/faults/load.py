"""A process that makes load and keeps a journal of what it saw; ends when its stdin does."""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
from pathlib import Path
from typing import TextIO

if __name__ == "__main__":  # started as a program; its neighbours are found beside it
    sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.callers import FINAL, Answer, Caller, Lost, cents

# Between calls, so that two cores are enough, and before a server that is down is tried again.
_PACE_S = 0.004
_DOWN_S = 0.02
_ENOUGH_FINALS = 200


class Load:
    """Calls at random. Each journal line is a kind of event and what belongs to it."""

    def __init__(
        self, ports: list[int], key: str, receiver: str, seed: int, journal: TextIO
    ) -> None:
        self._callers = [Caller(port, key) for port in ports]
        self._caller = self._callers[0]
        self._receiver = receiver
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated
        self._journal = journal
        self._waiting: list[str] = []
        self._finals: dict[str, bytes] = {}
        self._balance: int | None = None

    def step(self) -> bool:
        """Make one call to any of the servers; False if it is down."""
        self._caller = self._random.choice(self._callers)
        kind = self._random.choices(
            [self._submit, self._poll_waiting, self._poll_final, self._poll_balance], [5, 5, 2, 1]
        )[0]
        return kind() is not Lost.REFUSED

    def _note(self, kind: str, *values: object) -> None:
        self._journal.write(json.dumps([kind, *values]) + "\n")

    def _good(self, answer: Answer | Lost, what: str) -> Answer | None:
        if isinstance(answer, Lost):
            return None
        if answer.status != 200:
            self._note("violation", f"{what} was answered {answer.status}: {answer.body!r}")
            return None
        return answer

    def _submit(self) -> Answer | Lost:
        name = self._random.choice(["a", "emulate/SensitiveContent", "emulate/slow-0.4"])
        origin = self._random.choice(["https://example.com", self._receiver])
        callback_url = self._random.choice([f"{self._receiver}/hook", None])
        answer = self._caller.submit(f"{origin}/{name}.jpg", callback_url)
        if answer is Lost.CUT:
            self._note("cut")
        elif good := self._good(answer, "a submit"):
            task_id = good.data["taskId"]
            self._note("acknowledged", task_id, callback_url is not None)
            self._waiting.append(task_id)
        return answer

    def _poll_waiting(self) -> Answer | Lost | None:
        if not self._waiting:
            return None
        # Mostly the oldest, whose end is near or just over.
        index = min(int(self._random.expovariate(0.3)), len(self._waiting) - 1)
        task_id = self._waiting[index]
        answer = self._caller.status(task_id)
        good = self._good(answer, f"a poll of {task_id}")
        if good and good.data["state"] in FINAL:
            self._note("final", task_id, good.body.decode())
            self._waiting.pop(index)
            if len(self._finals) < _ENOUGH_FINALS:
                self._finals[task_id] = good.body
        return answer

    def _poll_final(self) -> Answer | Lost | None:
        if not self._finals:
            return None
        task_id = self._random.choice(list(self._finals))
        answer = self._caller.status(task_id)
        good = self._good(answer, f"a poll of {task_id}")
        if good and good.body != self._finals[task_id]:
            self._note("violation", f"the final answer of {task_id} has changed: {good.body!r}")
        if good and self._random.random() < 0.2:  # make room for newer ones
            del self._finals[task_id]
        return answer

    def _poll_balance(self) -> Answer | Lost:
        answer = self._caller.balance()
        if good := self._good(answer, "the balance"):
            if self._balance is not None and cents(good) > self._balance:
                self._note("violation", f"the balance rose from {self._balance} to {cents(good)}")
            self._balance = cents(good)
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, action="append")
    parser.add_argument("--key", required=True)
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    given = parser.parse_args()
    end = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        end.set()

    threading.Thread(target=watch, daemon=True).start()
    with given.journal.open("w", encoding="utf-8") as journal:
        load = Load(given.port, given.key, given.receiver, given.seed, journal)
        pause = 0.0
        while not end.wait(pause):
            pause = _PACE_S if load.step() else _DOWN_S


if __name__ == "__main__":
    main()
