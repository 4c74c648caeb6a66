"""The client over several calls: one submit is one charge, and polls keep the documented pace."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apixo_client import Task, TaskFailed, WaitTimeout
from apixo_contract.properties import expected
from apixo_contract.properties.registry import client_property, kinds, settings_for
from apixo_contract.properties.service import Call, Service
from apixo_contract.properties.target import Target

_SESSIONS = {"emulator": 40, "url": 2, "live": 1}
_STEPS = {"emulator": 20, "url": 8, "live": 6}


def pauses_before_polls(service: Service) -> list[float]:
    """Return the seconds that the client slept before each of its polls."""
    pauses: list[float] = []
    slept = 0.0
    for entry in service.log:
        if isinstance(entry, Call):
            if entry.is_poll:
                pauses.append(slept)
            slept = 0.0
        else:
            slept += entry
    return pauses


@client_property(
    "client.pace",
    tasks=1,
    examples=(60, 2, 1),
    tier=st.sampled_from([None, "2k", "4K", "8k", "8K"]),
    seconds=st.integers(1, 200),
)
def test_polls_keep_the_documented_pace(service: Service, tier: str | None, seconds: int) -> None:
    """The first poll comes 10 to 15 s after the submit, the next every 5 to 10 s; 8k 10 s or more.

    Each view of the task is reported as progress.
    """
    if service.target.emulator is not None:
        service.target.emulator.scenario(f"slow-{seconds}")
    seen: list[Task] = []
    service.client().attempt("upscale", service.image_url, resolution=tier, on_progress=seen.append)
    first, *later = pauses_before_polls(service)
    is_heavy = tier is not None and tier.lower() == "8k"
    assert first >= 10
    assert is_heavy or first <= 15
    assert all(pause >= 10 if is_heavy else 5 <= pause <= 10 for pause in later)
    states = [call.data["state"] for call in service.calls if call.is_poll and call.is_accepted]
    assert [task.state for task in seen] == ["pending", *states]


@client_property(
    "client.wait-timeout",
    tasks=1,
    examples=(60, 2, 1),
    timeout=st.floats(0, 100),
    seconds=st.integers(101, 300),
)
def test_a_wait_ends_in_time(service: Service, timeout: float, seconds: int) -> None:
    """A wait that is too short ends in time with WaitTimeout, and can be taken up again."""
    if service.target.emulator is not None:
        service.target.emulator.scenario(f"slow-{seconds}")
    else:
        timeout = 0
    client = service.client()
    task = client("submit", service.image_url)
    started = service.target.now()
    outcome = client.attempt("wait", task, timeout=timeout)
    assert isinstance(outcome.error, WaitTimeout)
    assert sum(entry for entry in service.log if isinstance(entry, float)) <= timeout + 1e-6
    assert service.target.emulator is None or service.target.now() - started <= timeout + 1
    again = client.attempt("wait", outcome.error.task)
    assert again.error is None or isinstance(again.error, TaskFailed)
    assert len(service.submits) == 1


class Session(RuleBasedStateMachine):
    """An application that uses one client, and a model of what it must see."""

    tasks = Bundle("tasks")

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self._example = target.example()
        self._service = self._example.__enter__()
        self._client: Any = None
        self._start = self._service.balance()
        self._accepted: set[str] = set()
        self._finals: dict[str, Task] = {}

    def teardown(self) -> None:
        # Called while an exception is on its way, which then gets the calls as a note.
        self._example.__exit__(*sys.exc_info())

    @initialize(kind=kinds)
    def start(self, kind: str) -> None:
        """A session has one client."""
        self._service.kind = kind
        self._client = self._service.client()

    def note(self, task: Task) -> None:
        """Check a task against what was seen of it before."""
        assert task.id in self._accepted
        assert self._finals.get(task.id, task) == task
        if task.is_final:
            self._finals[task.id] = task

    @precondition(lambda self: self._target.budget.left > 0)
    @rule(target=tasks, tier=st.sampled_from(["2k", "4k", "8k"]))
    def submit(self, tier: str) -> Any:
        """A submit starts one new task."""
        task = self._client("submit", self._service.image_url, resolution=tier)
        assert task.id not in self._accepted
        self._accepted.add(task.id)
        return task

    @rule(target=tasks)
    def submit_what_is_refused(self) -> Any:
        """A refused submit starts no task."""
        if self._target.budget.left:
            outcome = self._client.attempt("submit", self._service.image_url, resolution="x")
            assert outcome.error is not None
        return multiple()

    @rule(task=tasks)
    def poll(self, task: Task) -> None:
        """A poll shows the task."""
        self.note(self._client("status", task))

    @rule(task=tasks, as_id=st.booleans())
    def wait(self, task: Task, *, as_id: bool) -> None:
        """A wait ends with the result or the documented exception."""
        outcome = self._client.attempt("wait", task.id if as_id else task)
        if isinstance(outcome.error, TaskFailed):
            assert outcome.error.task is not None
            self.note(outcome.error.task)
        else:
            assert outcome.error is None
            self.note(outcome.value.task)

    @rule()
    def balance(self) -> None:
        """The client's balance is the start without the price of each accepted task."""
        assert self._client("balance") == self._expected_balance

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        """Time passes for tasks; on a server elsewhere it is not waited for."""
        self._service.wait(seconds if self._target.emulator else 0)

    @invariant()
    def one_submit_is_one_charge(self) -> None:
        """Every accepted submit was asked for, and each is charged once."""
        accepted = [call.data["taskId"] for call in self._service.submits if call.is_accepted]
        assert sorted(accepted) == sorted(self._accepted)
        assert self._service.balance() == self._expected_balance

    @property
    def _expected_balance(self) -> Decimal:
        return self._start - expected.PRICE * len(self._accepted)


@client_property("client.session", tasks=_STEPS["url"], examples=(40, 2, 1))
def test_a_session_holds_together(target: Target) -> None:
    """In any order of calls one submit is one charge, a final task never changes, a wait ends."""

    @seed(target.seed)
    def session() -> Session:
        return Session(target)

    # Each step may be a submit: what a rule may do must not depend on what is left of the budget.
    affordable = max(target.budget.left // _STEPS[target.kind], 1)
    examples = min(target.most_examples or _SESSIONS[target.kind], affordable)
    steps = settings_for(examples, stateful_step_count=_STEPS[target.kind])
    # It takes any function that returns a machine.
    run_state_machine_as_test(session, settings=steps)  # type: ignore[arg-type]
