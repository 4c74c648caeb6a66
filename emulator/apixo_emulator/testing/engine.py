"""Answers calls, makes callbacks and moves time: flows that ask for what may have to wait.

They yield `Deliver`, `Draw` and `Look`, and are sent what came of it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import anyio.to_thread

from apixo_emulator.domain.pictures import PictureSpec
from apixo_emulator.domain.routes import Endpoint, Route, match
from apixo_emulator.domain.tasks import Task
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.service.callbacks import Call, Reply
from apixo_emulator.storage import TaskQuery
from apixo_emulator.testing.errors import WaitedInVainError
from apixo_emulator.testing.flow import Flow
from apixo_emulator.testing.receivers import Receiver, unreceived
from apixo_emulator.testing.results import result_response
from apixo_emulator.testing.studio import Picture, Studio
from apixo_schemas import contract

# Bytes.
_LARGEST_BODY: int = contract().assumed("body.limit")
# Polls of one task at one instant; nobody has so many threads.
_MOST_POLLS = 1000
_LONGEST_LOOK_S = 60.0
_MOST_TASKS = 1000


@dataclass(frozen=True, slots=True)
class Deliver:
    """Make this call and give its `Reply`."""

    call: Call


@dataclass(frozen=True, slots=True)
class Draw:
    """Give this `Picture`."""

    spec: PictureSpec


@dataclass(frozen=True, slots=True)
class Look:
    """Wait until every source has been looked at."""


class Engine:
    """One emulator and what surrounds it in process. Safe to use from several threads."""

    def __init__(self, emulator: Emulator, studio: Studio, *, auto_advance: bool) -> None:
        self._emulator = emulator
        self._studio = studio
        self._auto_advance = auto_advance
        self._world = emulator.worlds.one
        self.receivers: list[Receiver] = []
        # One delivers; whoever comes meanwhile, a receiver that calls the API too, does not wait.
        self._delivering = threading.Lock()
        self._may_be_due = False
        self._changed = threading.Event()
        # By task: the instant of its last poll, and how many there were then.
        self._polled: dict[str, tuple[int, int]] = {}
        emulator.callbacks.on_change = self._note_change

    def _note_change(self) -> None:
        self._may_be_due = True
        self._changed.set()

    def forget(self) -> None:
        """Begin anew, with the receivers gone."""
        self._polled.clear()
        self.receivers.clear()

    def now_ms(self) -> int:
        """Give the instant, in Unix ms."""
        return self._emulator.worlds.now(self._world)

    # Flows

    def answer(self, request: HttpRequest) -> Flow[HttpResponse]:
        """Answer a call, after the callbacks that are due."""
        if self._may_be_due:
            yield from self._deliver()
        if request.method == "POST" and len(request.body) > _LARGEST_BODY:
            return self._emulator.too_large(request._replace(body=b""))
        task_id = _polled_task(request)
        if task_id is not None:
            yield from self._poll(task_id)
        response = self._emulator.handle(request)
        if response.picture is None:
            return response
        picture: Picture = yield Draw(response.picture)
        return result_response(request, picture)

    def _poll(self, task_id: str) -> Flow[None]:
        """Jump to the task's next event if it is polled again though no time has gone by."""
        now_ms = self.now_ms()
        at_ms, count = self._polled.get(task_id, (now_ms, 0))
        if at_ms != now_ms:
            count = 0
        elif count and self._auto_advance:
            event_ms = _next_event(self._emulator.store.task(task_id, source=False), now_ms)
            if event_ms is not None:
                yield from self.run_to(event_ms)
                now_ms, count = self.now_ms(), 0
        if count >= _MOST_POLLS:
            raise WaitedInVainError(
                f"task {task_id} was polled {count} times and the emulator's clock stood still."
                " Move it with emulator.advance(…), or let sleeping move it: patch_sleep=True."
            )
        self._polled[task_id] = (now_ms, count + 1)

    def run_to(self, target_ms: int) -> Flow[None]:
        """Move the clock to an instant; callbacks are made on the way, each at its own time."""
        yield from self._looked()
        while True:
            yield from self._deliver()
            due_ms = self._emulator.store.next_due_ms(self._world.id, self.now_ms())
            if due_ms is None or due_ms > target_ms:
                break
            self._jump(due_ms)
        self._jump(target_ms)
        yield from self._deliver()

    def settle(self) -> Flow[None]:
        """Move the clock until no task will change any more and no callback is due."""
        yield from self._looked()
        while True:
            yield from self._deliver()
            event_ms = self._next_event()
            if event_ms is None:
                return
            self._jump(event_ms)

    def deliver(self) -> Flow[None]:
        """Make the callbacks that are due now."""
        yield from self._deliver()

    def _deliver(self) -> Flow[None]:
        callbacks = self._emulator.callbacks
        if not self._may_be_due or not self._delivering.acquire(blocking=False):
            return
        try:
            self._may_be_due = False
            while calls := callbacks.claim(1):
                for call in calls:
                    refused = callbacks.refused(call)
                    reply: Reply = (
                        Reply(0, error=refused, hopeless=True) if refused else (yield Deliver(call))
                    )
                    callbacks.record([(call, reply)])
        finally:
            self._delivering.release()

    def _looked(self) -> Flow[None]:
        if self._studio.fetches:
            yield Look()

    def _jump(self, to_ms: int) -> None:
        """Set the clock, never back: another thread may have moved it further."""
        self._emulator.worlds.change_clock(
            self._world,
            lambda clock, real_ms: clock.jumped(max(to_ms, clock.now(real_ms)), real_ms),
        )

    def _next_event(self) -> int | None:
        now_ms = self.now_ms()
        store, world = self._emulator.store, self._world.id
        due_ms = store.next_due_ms(world, now_ms)
        events = [] if due_ms is None else [due_ms]
        # Ended ones too: polls of some see their end later.
        listed = store.tasks(TaskQuery(world, now_ms, limit=_MOST_TASKS))
        found = (_next_event(entry.task, now_ms) for entry in listed)
        events.extend(event_ms for event_ms in found if event_ms is not None)
        return min(events, default=None)

    # What the flows ask for

    def perform(self, step: Any) -> Any:
        """Do what a flow asks for, blocking."""
        match step:
            case Deliver(call):
                receiver = self._receiver(call)
                return receiver.reply(call) if receiver else unreceived(call)
            case Draw(spec):
                return self._studio.draw(spec)
        return self._wait_for_looks()

    async def aperform(self, step: Any) -> Any:
        """Do what a flow asks for; pictures and sources have a thread, receivers this event loop."""
        match step:
            case Deliver(call):
                receiver = self._receiver(call)
                return await receiver.areply(call) if receiver else unreceived(call)
            case Draw(spec):
                found = self._studio.at_hand(spec)
                return found or await anyio.to_thread.run_sync(self._studio.draw, spec)
        return await anyio.to_thread.run_sync(self._wait_for_looks)

    def _receiver(self, call: Call) -> Receiver | None:
        """Give who takes a callback: of several, the one that was registered last."""
        return next((found for found in reversed(self.receivers) if found.takes(call.url)), None)

    def _wait_for_looks(self) -> None:
        while True:
            self._changed.clear()
            if not self._emulator.store.unsettled_tasks():
                return
            if not self._changed.wait(_LONGEST_LOOK_S):
                raise WaitedInVainError("a source picture on this machine did not come in time")


def _polled_task(request: HttpRequest) -> str | None:
    """Give the task that a call polls, None for any other call."""
    if b"taskId=" not in request.query:
        return None
    route = match(request.method, request.path)
    if not isinstance(route, Route) or route.endpoint is not Endpoint.STATUS:
        return None
    return parse_qs(request.query.decode("latin-1")).get("taskId", [None])[0]


def _next_event(task: Task | None, now_ms: int) -> int | None:
    """Give the next instant at which a poll of a task will say something else."""
    if task is None:
        return None
    lag_ms = task.effects.callback.poll_lag_ms if task.effects else 0
    instants = [at_ms for _, at_ms in task.timeline]
    if lag_ms and task.ends_ms is not None:
        instants.append(task.ends_ms + lag_ms)
    return min((at_ms for at_ms in instants if at_ms > now_ms), default=None)
