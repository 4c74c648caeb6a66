"""The control operations of a world, for the control API, the command line, Python and the dashboard.

They take and return plain JSON values. Times are Unix ms on the world's clock, money is USD as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from apixo_emulator.domain.accounts import ONE_WORLD, account_of, mask, micros, usd
from apixo_emulator.domain.clock import LATEST_MS, ClockState
from apixo_emulator.domain.deliveries import Delivery, due_ms, payload
from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.randomness import checked_seed
from apixo_emulator.domain.responses import status_answer
from apixo_emulator.domain.tasks import Task, TaskState, finish
from apixo_emulator.domain.text import shown
from apixo_emulator.domain.wire import HttpResponse
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.journal import Journal, SharedJournal
from apixo_emulator.journal.verify import Expectation, Verification, filter_of, verify
from apixo_emulator.service import documents
from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.worlds import World, read_rule
from apixo_emulator.storage import TaskQuery
from apixo_schemas import contract

MOST_LISTED = 1000
_MOST_DIGITS = 15


class NotFoundError(LookupError):
    """There is nothing of this name; the message says what was looked for and where to look."""


class ConflictError(ValueError):
    """It cannot be done now, or contradicts itself; the message says why and what to do."""


class Counts(NamedTuple):
    """How many there are: calls since this process's start, tasks and callbacks in the store."""

    requests: Mapping[tuple[str, int], int]
    tasks: Mapping[str, int]
    deliveries: Mapping[str, int]


class Answers(NamedTuple):
    """What would be answered to a poll, and sent as callback once the task has ended."""

    status: HttpResponse
    callback: bytes | None


class WorldControl:
    """Controls one world of an emulator; ``world`` None is the one that is always there."""

    def __init__(self, emulator: Emulator, world: World | None = None) -> None:
        self._emulator = emulator
        self._worlds = emulator.worlds
        self._store = emulator.store
        self.world = world or emulator.worlds.one

    def now(self) -> int:
        """Return the instant in the world, in Unix ms."""
        return self._worlds.now(self.world)

    # The world as a whole

    def config(self) -> dict[str, Any]:
        """Return how the emulator behaves; secrets are masked."""
        return documents.config(self._emulator, self.world)

    def worlds(self) -> list[dict[str, Any]]:
        """Return every world that was ever used."""
        return [
            {"id": row.id, "label": row.label, "seed": row.seed}
            for row in sorted(self._store.worlds(), key=lambda row: row.id != ONE_WORLD)
        ]

    def reset(self, seed: int | None = None) -> dict[str, Any]:
        """Begin anew: no tasks, accounts, added scenarios or journal; clock and seed as at the start.

        Raises:
            ValueError: ``seed`` is no integer in its range; nothing was changed.
        """
        if seed is not None:
            try:
                checked_seed(seed)
            except ValueError as error:
                raise ValueError(f"seed: {error}") from None
        row = self._worlds.reset(self.world, seed)
        return {"seed": row.seed, "clock": self.clock()}

    # Time

    def clock(self) -> dict[str, Any]:
        """Return the instant now, and how fast time runs."""
        clock = self.clock_state()
        rate, now_ms = clock.rate, clock.now(self._worlds.real_now())
        return {"now": now_ms, "rate": rate, "frozen": rate == 0}

    def advance(self, ms: int) -> dict[str, Any]:
        """Move the clock on by so many ms; everything that falls due in between happens.

        Raises:
            ValueError: ``ms`` is negative.
            ConflictError: ``ms`` leads beyond the last instant of the clock.
        """
        if ms > LATEST_MS - self.now():
            raise ConflictError(
                f"expected at most {LATEST_MS - self.now()} ms, up to the clock's last instant;"
                f" found {ms}"
            )
        self._worlds.change_clock(self.world, lambda clock, real_ms: clock.advanced(ms, real_ms))
        return self.clock()

    def set_clock(
        self,
        *,
        now: int | None = None,
        rate: float | None = None,
        frozen: bool | None = None,
    ) -> dict[str, Any]:
        """Set the instant, the rate, or freeze and resume; what is None stays.

        Raises:
            ValueError: A value is out of range.
            ConflictError: Values contradict each other, or the instant would withdraw a final answer.
        """
        if frozen is not None and rate is not None and frozen != (rate == 0):
            raise ConflictError(f"frozen {frozen} and rate {rate} contradict each other; give one")
        if frozen is not None and rate is None:
            rate = 0.0 if frozen else self.clock_state().rate or 1.0
        if now is not None and now < self.now() and self.tasks(limit=1):
            raise ConflictError(
                f"the clock cannot go back from {self.now()} to {now} while there are tasks: final"
                " answers would change. Reset first."
            )

        def change(clock: ClockState, real_ms: int) -> ClockState:
            if now is not None:
                clock = clock.jumped(now, real_ms)
            return clock if rate is None else clock.at_rate(rate, real_ms)

        self._worlds.change_clock(self.world, change)
        return self.clock()

    # Scenarios

    def scenarios(self) -> list[dict[str, Any]]:
        """Return the active rules in the order in which they are tried, with how often each was used."""
        return [documents.rule(rule, row) for rule, row in self._worlds.rules(self.world)]

    def add_scenario(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Add a rule: ``{"scenario": name, "times": n, "match": {…}, "plan": {…}}``.

        Raises:
            ValueError: It is no rule; the message says what was expected and found.
        """
        row = self._worlds.add_rule(self.world, rule)
        return documents.rule(read_rule(row.id, row.document), row)

    def remove_scenario(self, rule_id: str) -> int:
        """Remove a rule and return how many there were: 1.

        Raises:
            NotFoundError: There is none of this id.
        """
        removed = self._worlds.drop_rules(self.world, rule_id)
        if not removed:
            known = ", ".join(self.rule_ids()) or "none"
            raise NotFoundError(f"no scenario rule {rule_id!r}; there are: {known}")
        return removed

    def clear_scenarios(self) -> int:
        """Remove all rules but the scenario file's, and return how many there were."""
        return self._worlds.drop_rules(self.world)

    # Tasks

    def tasks(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        state: str | None = None,
        account: str | None = None,
        text: str = "",
    ) -> list[dict[str, Any]]:
        """List tasks, the newest first; ``before`` is the ``number`` of the last one seen.

        Raises:
            ValueError: There is no such state, or the limit is out of range.
        """
        if state is not None and state not in {*TaskState}:
            raise ValueError(f"state: expected one of {', '.join(TaskState)}, found {state!r}")
        if not 0 < limit <= MOST_LISTED:
            raise ValueError(f"limit: expected 1 to {MOST_LISTED}, found {limit}")
        now_ms = self.now()
        query = TaskQuery(
            self.world.id,
            now_ms,
            limit=limit,
            before=before,
            state=state,
            account_id=account,
            text=text.strip(),
        )
        return [
            {"number": number, **documents.task(task, now_ms)}
            for number, task in self._store.tasks(query)
        ]

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task with its plan, and its callback with every attempt.

        Raises:
            NotFoundError: There is none of this id.
        """
        task = self._task(task_id)
        found = documents.task(task, self.now())
        delivery = self._store.delivery(task_id)
        return found if delivery is None else {**found, "delivery": self._shown(delivery)}

    def _task(self, task_id: str) -> Task:
        task = self._store.task(task_id)
        if task is None or task.world != self.world.id:
            raise NotFoundError(f"no task {task_id!r} in this world")
        return task

    def picture(self, task_id: str) -> PictureSpec:
        """Return what a task's result shows, with the whole URL of its source.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._task(task_id).picture

    def answers(self, task_id: str, base_url: str) -> Answers:
        """Return what is said of a task now; nothing is counted or written into the journal.

        Raises:
            NotFoundError: There is none of this id.
        """
        task = self._task(task_id)
        status = status_answer(task, self.now(), base_url, self._store.polls(task) + 1)
        delivery = self._store.delivery(task_id)
        if delivery is None or task.ends_ms is None:
            return Answers(status, None)
        return Answers(status, payload(task, delivery.base_url))

    def calls_of(self, task_id: str, limit: int = 20) -> list[JournalEntry]:
        """Return the journal's entries about a task, the newest first."""
        found = self._journal.entries(where=lambda entry: entry.task_id == task_id)
        return found[::-1][:limit]

    def finish(
        self,
        task_id: str,
        *,
        fail_code: str | None = None,
        fail_msg: str | None = None,
    ) -> dict[str, Any]:
        """End a task now: with success, or with a failure code, documented or not.

        Raises:
            NotFoundError: There is none of this id.
            ConflictError: It has ended already; a final answer never changes.
        """
        task = self._task(task_id)
        now_ms = self.now()
        try:
            ended = finish(task, now_ms, _failure(fail_code, fail_msg))
        except ValueError as error:
            raise ConflictError(str(error)) from None
        name = f"finish:{fail_code}" if fail_code else "finish:success"
        ended = ended._replace(scenario=task.scenario or name)
        if not self._store.replan(ended, due_ms(ended), now_ms):
            raise ConflictError(f"task {task_id} has ended in the meantime")
        self._emulator.callbacks.changed(self.world.id)
        return self.task(task_id)

    # Callbacks

    def deliveries(self, *, limit: int = 100, offset: int = 0) -> list[dict[str, Any]]:
        """List callbacks, the newest first."""
        found = self._store.deliveries(self.world.id, limit, offset)
        return [documents.delivery(entry, self._account_of(entry)) for entry in found]

    def _account_of(self, delivery: Delivery) -> str:
        task = self._store.task(delivery.task_id, source=False)
        return task.account_id if task else ""

    def _shown(self, delivery: Delivery) -> dict[str, Any]:
        account = self._account_of(delivery)
        attempts = self._store.attempts(delivery.task_id)
        return {
            **documents.delivery(delivery, account),
            "attempts": [documents.attempt(attempt, account) for attempt in attempts],
        }

    def _delivery(self, task_id: str) -> Delivery:
        found = self._store.delivery(task_id)
        if found is None or found.world != self.world.id:
            raise NotFoundError(f"no task {task_id!r} in callback mode")
        return found

    def delivery(self, task_id: str) -> dict[str, Any]:
        """Return a task's callback with every attempt.

        Raises:
            NotFoundError: There is no such task, or it has no callback.
        """
        return self._shown(self._delivery(task_id))

    def redeliver(self, task_id: str) -> dict[str, Any]:
        """Send a task's callback again, now.

        Raises:
            NotFoundError: There is no such task, or it has no callback.
            ConflictError: It has not ended, or an attempt is under way.
        """
        if self._emulator.callbacks.redeliver(self._delivery(task_id)) is None:
            raise ConflictError(
                f"the callback of task {task_id!r} cannot be sent again now: the task has not ended,"
                " or an attempt is under way; wait for its end and ask again"
            )
        return self.delivery(task_id)

    # Accounts

    def accounts(self) -> list[dict[str, Any]]:
        """List the accounts that were used or configured, with balance and limits."""
        return documents.accounts(self._emulator, self.world)

    def top_up(self, key: str, amount: str) -> dict[str, Any]:
        """Add USD, such as ``5.00``, to the balance of an API key, or of an account by its id.

        Raises:
            ValueError: It is no amount of money.
        """
        known = next((row for row in self._store.accounts(self.world.id) if row.id == key), None)
        account = account_of(key, own_world=self._worlds.per_key)
        if known is not None:
            account = replace(account, id=known.id, label=known.label, world=self.world.id)
        starting = self._emulator.limits.starting_micros(account)
        left = self._store.grant(account, starting, micros(amount))
        return {
            "account": account.id,
            "key": mask(key) if known is None else known.label,
            "balance": usd(left),
        }

    # Journal

    @property
    def _journal(self) -> Journal | SharedJournal:
        """The calls since the last reset, by whichever process that was."""
        self._worlds.row(self.world)
        return self.world.journal

    def requests(
        self, *, after: int | None = None, limit: int = 100, **wanted: str
    ) -> list[JournalEntry]:
        """Return journal entries, the oldest first, ``limit`` at most: those above a number.

        Without ``after`` the latest ones. ``wanted`` picks some, e.g. ``call="submit"``,
        ``status="400"``; see `journal.filters`.

        Raises:
            ValueError: There is nothing of that name to pick by.
        """
        where = filter_of(wanted).matches if wanted else None
        journal = self._journal
        if after is not None:
            return journal.entries(after=after, limit=limit, where=where)
        # An entry is made when it is read: not of the calls before the latest.
        first = max(0, journal.last - limit) if where is None else 0
        return journal.entries(after=first, where=where)[-limit:]

    def request(self, number: str) -> dict[str, Any]:
        """Return one call of the journal by its number.

        Raises:
            NotFoundError: There is none, or it has left the bounded journal.
        """
        is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
        wanted = int(number) if is_number else 0
        found = self._journal.entries(after=wanted - 1, limit=1) if wanted else []
        if not found or found[0].number != wanted:
            raise NotFoundError(
                f"no call {shown(number)} in the journal, which keeps the latest only"
            )
        return found[0].to_json()

    def revision(self) -> int:
        """Return a number that grows when this process changes a task, a callback or a world."""
        return self._emulator.callbacks.changes

    def last_number(self) -> int:
        """Return the number of the latest call."""
        return self._journal.last

    def clock_state(self) -> ClockState:
        """Return the clock as a value, to see whether it was changed."""
        return self._worlds.row(self.world).clock

    def rule_ids(self) -> tuple[str, ...]:
        """Return the ids of the active rules in their order."""
        return tuple(row.id for row in self._store.rules(self.world.id))

    def counts(self) -> Counts:
        """Count calls by endpoint and status, tasks and callbacks by state."""
        return Counts(
            requests=dict(self.world.answered),
            tasks=self._store.tasks_by_state(self.world.id, self.now()),
            deliveries=self._store.deliveries_by_state(self.world.id),
        )

    def verify(self, expectation: Mapping[str, Any] | Expectation) -> Verification:
        """Hold the journal against an expectation; see `journal.verify`.

        Raises:
            ValueError: It is no expectation.
        """
        return verify(self._journal.entries(), expectation)

    def har(self) -> dict[str, Any]:
        """Export the journal as HAR 1.2."""
        from apixo_emulator.journal.export import har

        return har(self._journal.entries())


def _failure(code: str | None, message: str | None) -> tuple[str, str] | None:
    """Return a failure by its code, with the documented message unless another is given."""
    if code is None:
        return None
    for known in contract().failures.values():
        if code.lower() in {known.code.lower(), known.scenario.lower()}:
            return known.code, message or known.message
    return code, message or code
