"""An emulator without a server.

Its state is in memory and its clock stands until it is moved.

What may have to wait (receivers of callbacks, pictures that are drawn, sources that are fetched) is
asked for by generators, which `InProcess` drives for sync code and for async code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs

import anyio.to_thread

from apixo_emulator.domain.routes import Endpoint, Route, match
from apixo_emulator.domain.tasks import Task
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.service.callbacks import Call, Reply
from apixo_emulator.service.control import MOST_LISTED, WorldControl
from apixo_emulator.storage import SqliteStore, TaskQuery
from apixo_emulator.testing.clock import VirtualClock, WaitedInVainError
from apixo_emulator.testing.controls import Controls, span_ms
from apixo_emulator.testing.pictures import Pictures
from apixo_emulator.testing.receivers import App, Receiver
from apixo_schemas import contract

if TYPE_CHECKING:
    from apixo_emulator.testing.interception import Setup

_T = TypeVar("_T")
# Yields a callback with its receiver, and is sent the `Reply`; or a function that may block, and is
# sent what it returns.
_Steps = Generator["tuple[Receiver, Call] | Callable[[], Any]", Any, _T]

# The creation time in the documentation's example. The clock of every emulator starts here.
START_MS = 1_767_965_610_929
# Polls of one task at one instant.
_MOST_POLLS = 1000
_LONGEST_FETCH_S = 60.0
# How long the end of a session waits for other threads that are being answered.
_LONGEST_ANSWER_S = 2.0
_NOT_RECEIVED = (
    "no receiver for {url} in process: register one with emulator.receiver({url!r}, app)"
)


class InProcess(Controls):
    """An emulator that answers calls of this process.

    Time moves by `advance`, by `settle`, by sleeping, and with ``auto_advance`` when a task is
    polled twice at the same instant: then the clock jumps to the task's next event. Callbacks are
    made when their time comes, in the thread or event loop that moves the clock, to the `receiver`
    of their URL and never to the network. Safe to use from several threads.
    """

    def __init__(self, setup: Setup) -> None:
        self._pictures = Pictures(setup.settings)
        self._service = Emulator(
            SqliteStore(None), self._pictures, setup.service_options(), lambda: START_MS
        )
        self._world = self._service.worlds.one
        super().__init__(WorldControl(self._service))
        self.setup = setup
        self._receivers: list[Receiver] = []
        # One thread or task delivers. A receiver that calls the API meanwhile does not wait for it.
        self._delivering = threading.Lock()
        self._may_be_due = False
        self._changed = threading.Event()
        # How many threads use the emulator just now.
        self._users, self._used = 0, threading.Condition()
        # By task: the instant of its last poll, and how many there were then.
        self._polled: dict[str, tuple[int, int]] = {}
        self._service.callbacks.on_change = self._note_change
        self.clock = VirtualClock(self, patches_sleep=setup.patch_sleep)
        self._add_scenario()

    def _add_scenario(self) -> None:
        if self.setup.scenario:
            self.scenario(*self.setup.scenario)

    def _note_change(self) -> None:
        self._may_be_due = True
        self._changed.set()

    # Time

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Move the clock on; what falls due in between happens, each thing at its own time.

        In async code whose receivers need its event loop, use `aadvance`.

        Raises:
            TypeError: The time is no number.
            ValueError: The time is negative, or beyond what a clock shows.
        """
        self.run_to(self.now_ms + span_ms(seconds, minutes, hours))

    async def aadvance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Do as `advance` does; async receivers run in the caller's event loop."""
        await self.arun_to(self.now_ms + span_ms(seconds, minutes, hours))

    def run_to(self, target_ms: int) -> None:
        """Move the clock to an instant, in Unix ms, unless it is beyond it."""
        self._drive(self._run_to(target_ms))

    async def arun_to(self, target_ms: int) -> None:
        """Do as `run_to` does; async receivers run in the caller's event loop."""
        await self._adrive(self._run_to(target_ms))

    def settle(self) -> None:
        """Move the clock until every task has ended and every callback was made or given up.

        Tasks that are stuck stay so.
        """
        self._drive(self._settle())

    async def asettle(self) -> None:
        """Do as `settle` does; async receivers run in the caller's event loop."""
        await self._adrive(self._settle())

    # Stand in for `time.sleep` and `asyncio.sleep`: ``Apixo(sleep=emulator.sleep)``.
    sleep, asleep = advance, aadvance

    def unfinished(self) -> str:
        """Return the tasks that have not ended, as a sentence has them."""
        return ", ".join(
            f"task {task['taskId']} is {task['state']} ({task['scenario'] or 'no scenario'})"
            for task in self.tasks
            if task["state"] in ("pending", "processing")
        )

    def is_stuck(self) -> bool:
        """True if there are tasks that have not ended, and nothing will happen by itself."""
        return bool(self.unfinished()) and self._next_event() is None

    # Callbacks

    def _deliver_now(self) -> None:
        self._drive(self._deliver())

    def receiver(self, url: str, app: App | None = None) -> Receiver:
        """Receive the callbacks to a URL and to all below it.

        Args:
            url: What the application gives as ``callback_url``, or its beginning.
            app: An ASGI app, a WSGI app, or a function of a `Callback` that returns None (the
                answer 200) or a status. Without it everything is answered 200 and kept.

        Raises:
            ValueError: The URL is none, or the app is none of these.
        """
        receiver = Receiver(url, app)
        self._receivers.insert(0, receiver)  # of several, the one that was registered last
        return receiver

    # Calls

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call; receivers of callbacks that are due are called before."""
        self.clock.note_caller()
        return self._drive(self._answer(request))

    async def aanswer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call of async code."""
        self.clock.note_caller()
        return await self._adrive(self._answer(request))

    def _answer(self, request: HttpRequest) -> _Steps[HttpResponse]:
        if self._may_be_due:
            yield from self._deliver()
        if request.method == "POST":
            self.clock.begin_waiting()
            if len(request.body) > contract().assumed("body.limit"):
                return self._service.too_large(request._replace(body=b""))
        elif task_id := _polled_task(request):
            yield from self._poll(task_id)
        response = self._service.handle(request)
        if response.picture is None:
            return response
        answered: HttpResponse = yield partial(self._pictures.answer, response.picture)
        return answered

    def _poll(self, task_id: str) -> _Steps[None]:
        """Jump to the task's next event if it is polled again though no time has gone by.

        Raises:
            WaitedInVainError: It was polled very often at one instant.
        """
        now_ms = self.now_ms
        at_ms, count = self._polled.get(task_id, (now_ms, 0))
        if at_ms != now_ms:
            count = 0
        elif count and self.setup.auto_advance:
            event_ms = _next_event(self._service.store.task(task_id, source=False), now_ms)
            if event_ms is not None:
                yield from self._run_to(event_ms)
                now_ms, count = self.now_ms, 0
        if count >= _MOST_POLLS:
            raise WaitedInVainError(
                f"task {task_id} was polled {count} times and the emulator's clock stood still."
                " Move it with emulator.advance(…), or let sleeping move it: patch_sleep=True."
            )
        self._polled[task_id] = (now_ms, count + 1)

    # What happens while time goes by

    def _run_to(self, target_ms: int) -> _Steps[None]:
        """Move the clock to an instant; callbacks are made on the way, each at its own time."""
        yield from self._fetched()
        while True:
            yield from self._deliver()
            due_ms = self._service.store.next_due_ms(self._world.id, self.now_ms)
            if due_ms is None or due_ms > target_ms:
                break
            self._jump(due_ms)
        self._jump(target_ms)
        yield from self._deliver()

    def _settle(self) -> _Steps[None]:
        yield from self._fetched()
        while True:
            yield from self._deliver()
            event_ms = self._next_event()
            if event_ms is None:
                return
            self._jump(event_ms)

    def _deliver(self) -> _Steps[None]:
        """Make the callbacks that are due."""
        callbacks = self._service.callbacks
        if not self._may_be_due or not self._delivering.acquire(blocking=False):
            return
        try:
            self._may_be_due = False
            while self._is_due() and (calls := callbacks.claim(1)):
                for call in calls:
                    receiver = next(filter(lambda it: it.takes(call.url), self._receivers), None)
                    if refused := callbacks.refused(call):
                        reply = Reply(0, error=refused, hopeless=True)
                    elif receiver:
                        reply = yield receiver, call
                    else:
                        reply = Reply(0, error=_NOT_RECEIVED.format(url=call.url))
                    callbacks.record([(call, reply)])
        finally:
            self._delivering.release()

    def _is_due(self) -> bool:
        """True if there is a callback to be made now; asking is quicker than claiming none."""
        due_ms = self._service.store.next_due_ms(self._world.id, 0)
        return due_ms is not None and due_ms <= self.now_ms

    def _fetched(self) -> _Steps[None]:
        """Wait until the sources that have to be fetched were."""
        if self._pictures.fetches:
            yield self._wait_for_sources

    def _wait_for_sources(self) -> None:
        while True:
            self._changed.clear()
            if not self._service.store.unsettled_tasks():
                return
            if not self._changed.wait(_LONGEST_FETCH_S):
                raise WaitedInVainError("a source picture on this machine did not come in time")

    def _jump(self, to_ms: int) -> None:
        """Set the clock, never back: another thread may have moved it further."""
        self._service.worlds.change_clock(
            self._world,
            lambda clock, real_ms: clock.jumped(max(to_ms, clock.now(real_ms)), real_ms),
        )

    def _next_event(self) -> int | None:
        now_ms = self.now_ms
        # Ended tasks too: polls of some see their end later.
        query = TaskQuery(self._world.id, now_ms, limit=MOST_LISTED)
        events = [_next_event(task, now_ms) for _, task in self._service.store.tasks(query)]
        events.append(self._service.store.next_due_ms(self._world.id, now_ms))
        return min((event_ms for event_ms in events if event_ms is not None), default=None)

    # Driving

    def _drive(self, steps: _Steps[_T]) -> _T:
        """Do what steps ask for, blocking, and return their outcome."""
        with self.in_use(), closing(steps):
            try:
                step = next(steps)
                while True:
                    step = steps.send(step[0].reply(step[1]) if isinstance(step, tuple) else step())
            except StopIteration as done:
                outcome: _T = done.value
                return outcome

    async def _adrive(self, steps: _Steps[_T]) -> _T:
        """Do the same in async code: receivers run in this event loop, other work in a thread."""
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    if isinstance(step, tuple):
                        step = steps.send(await step[0].areply(step[1]))
                    else:
                        step = steps.send(await anyio.to_thread.run_sync(step))
            except StopIteration as done:
                outcome: _T = done.value
                return outcome

    # Beginning and end

    def reset(self, seed: int | None = None) -> None:
        """Begin anew: no tasks, callbacks, receivers or calls, the balance and the clock as at first."""
        self.operator.reset(seed)  # first: it refuses a seed that is none
        self._receivers.clear()
        self._polled.clear()
        self.clock.is_open = False
        self.clock = VirtualClock(self, patches_sleep=self.setup.patch_sleep)
        self._add_scenario()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the emulator from being closed by another thread."""
        with self._used:
            self._users += 1
        try:
            yield
        finally:
            with self._used:
                self._users -= 1
                self._used.notify_all()

    def close(self) -> None:
        """Release what it holds, once other threads have got their answers."""
        self.clock.is_open = False
        with self._used:
            while self._users and self._used.wait(_LONGEST_ANSWER_S):
                pass
        self._service.close()


def _polled_task(request: HttpRequest) -> str | None:
    """Return the task that a call polls, None for any other call."""
    if b"taskId=" not in request.query:
        return None
    route = match(request.method, request.path)
    if not isinstance(route, Route) or route.endpoint is not Endpoint.STATUS:
        return None
    return parse_qs(request.query.decode("latin-1")).get("taskId", [None])[0]


def _next_event(task: Task | None, now_ms: int) -> int | None:
    """Return the next instant at which a poll of a task will say something else."""
    if task is None:
        return None
    lag_ms = task.effects.callback.poll_lag_ms if task.effects else 0
    instants = [task.starts_ms]
    if task.ends_ms is not None and task.settled:
        instants += [task.ends_ms, task.ends_ms + lag_ms]
    return min((at_ms for at_ms in instants if at_ms > now_ms), default=None)
