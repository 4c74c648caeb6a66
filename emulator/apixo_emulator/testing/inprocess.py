"""The emulator in the caller's own process, as the caller steers it."""

from __future__ import annotations

from typing import Any

from apixo_emulator.domain.pictures import FetchMode
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.service import Emulator
from apixo_emulator.service.operator import Operator
from apixo_emulator.storage import SqliteStore
from apixo_emulator.testing.callers import Callers
from apixo_emulator.testing.engine import Engine
from apixo_emulator.testing.errors import WaitedInVainError
from apixo_emulator.testing.flow import Flow, adrive, drive
from apixo_emulator.testing.receivers import App, Receiver
from apixo_emulator.testing.setup import Setup
from apixo_emulator.testing.sleepers import Sleepers
from apixo_emulator.testing.steering import Steering, span_ms
from apixo_emulator.testing.studio import Studio

# The creation time in the documentation's example. The clock of every emulator starts here.
START_MS = 1_767_965_610_929

# Whoever has slept for so long, so often, waits in vain. Once or twice is a test of what expires.
_LONGEST_SLEEP_S = 24 * 3600.0
_MOST_SLEEPS = 100


class InProcess(Steering):
    """An emulator without a server: its state in memory, its clock standing until it is moved.

    Time moves by `advance`, by `settle`, and with ``auto_advance`` when a task is polled twice at
    the same instant: then the clock jumps to what happens to the task next. Callbacks are made when
    their time comes, in the thread or event loop that moves the clock, to the `receiver` of their
    URL and never to the network.
    """

    def __init__(self, setup: Setup) -> None:
        studio = Studio(setup.settings.images, FetchMode.LOOPBACK)
        self._emulator = Emulator(
            SqliteStore(None), studio, setup.service_options(), lambda: START_MS
        )
        self._engine = Engine(self._emulator, studio, auto_advance=setup.auto_advance)
        super().__init__(Operator(self._emulator))
        self.setup = setup
        # Whose sleeping may be the emulator's time.
        self._callers = Callers()
        self._sleepers = Sleepers(self._callers, self._engine.now_ms)
        self._slept_s, self._sleeps = 0.0, 0
        self._ask_for_scenarios()

    def _ask_for_scenarios(self) -> None:
        if self.setup.scenario:
            self.scenario(*self.setup.scenario)

    # Time

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Move the clock on; what falls due in between happens, each thing at its own time.

        In async code whose receivers need its event loop, use `aadvance`.

        Raises:
            TypeError: The time is no number.
            ValueError: The time is negative, or beyond what a clock shows.
        """
        self._drive(self._engine.run_to(self._after(seconds, minutes, hours)))

    async def aadvance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Do as `advance` does; async receivers run in the caller's event loop.

        Raises:
            TypeError: The time is no number.
            ValueError: The time is negative, or beyond what a clock shows.
        """
        await self._adrive(self._engine.run_to(self._after(seconds, minutes, hours)))

    def _after(self, seconds: float, minutes: float, hours: float) -> int:
        return self._engine.now_ms() + span_ms(seconds, minutes, hours)

    def settle(self) -> None:
        """Move the clock until every task has ended and every callback was made or given up.

        Tasks that are stuck stay so.
        """
        self._drive(self._engine.settle())

    async def asettle(self) -> None:
        """Do as `settle` does; async receivers run in the caller's event loop."""
        await self._adrive(self._engine.settle())

    def sleep(self, seconds: float) -> None:
        """Stand in for `time.sleep`: ``Apixo(sleep=emulator.sleep)``."""
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Stand in for `asyncio.sleep`: ``AsyncApixo(sleep=emulator.asleep)``."""
        await self.aadvance(seconds)

    def oversleep(self, seconds: float) -> None:
        """Let a caller sleep in the emulator's time, side by side with others who do.

        Raises:
            WaitedInVainError: The callers have slept for more than a day, and more than a hundred
                times: what they wait for never comes.
        """
        self._sleepers.sleep(seconds, lambda until_ms: self._drive(self._slept(until_ms)))

    async def aoversleep(self, seconds: float) -> None:
        """Do the same for a task.

        Raises:
            WaitedInVainError: As `oversleep` does.
        """
        await self._sleepers.asleep(seconds, lambda until_ms: self._adrive(self._slept(until_ms)))

    def _slept(self, until_ms: int) -> Flow[None]:
        self._slept_s += max(0, until_ms - self._engine.now_ms()) / 1000
        self._sleeps += 1
        if self._slept_s > _LONGEST_SLEEP_S and self._sleeps > _MOST_SLEEPS:
            self._slept_s, self._sleeps = 0.0, 0
            raise WaitedInVainError(
                "the code under test has slept for more than a day of the emulator's clock. What it"
                f" waits for does not come: {self._unfinished() or 'every task has ended'}."
                " Sleeping takes no real time here, so a deadline on time.monotonic() never passes."
            )
        yield from self._engine.run_to(until_ms)

    def _unfinished(self) -> str:
        states = ("pending", "processing")
        return ", ".join(
            f"task {task['taskId']} is {task['state']} ({task['scenario'] or 'no scenario'})"
            for task in self.tasks
            if task["state"] in states
        )

    # Tasks and callbacks

    def finish(
        self, task_id: str, *, fail_code: str | None = None, fail_msg: str | None = None
    ) -> dict[str, Any]:
        """End a task now, with success or with a failure code, and make its callback.

        Raises:
            LookupError: There is no such task.
            ConflictError: It has ended already.
        """
        self.operator.finish(task_id, fail_code=fail_code, fail_msg=fail_msg)
        self._drive(self._engine.deliver())
        return self.task(task_id)

    def redeliver(self, task_id: str) -> dict[str, Any]:
        """Make a task's callback again.

        Raises:
            LookupError: There is no such task, or it has no callback.
            ConflictError: The task has not ended.
        """
        self.operator.redeliver(task_id)
        self._drive(self._engine.deliver())
        return self.operator.delivery(task_id)

    def receiver(self, url: str, app: App | None = None) -> Receiver:
        """Take the callbacks to a URL and to all below it.

        Args:
            url: What the application gives as ``callback_url``, or its beginning.
            app: An ASGI app, a WSGI app, or a function of a `Callback` that returns None (the
                answer 200) or a status. Without it everything is answered 200 and kept.

        Raises:
            ValueError: The URL is none, or the app is none of these.
        """
        taker = Receiver(url, app)
        self._engine.receivers.append(taker)
        return taker

    # Calls

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call; receivers of callbacks that are due are called before."""
        caller = self._begin(request)
        try:
            return drive(self._engine.answer(request), self._engine.perform)
        finally:
            self._callers.end(caller)

    async def aanswer(self, request: HttpRequest) -> HttpResponse:
        """Answer a call from async code."""
        caller = self._begin(request)
        try:
            return await adrive(self._engine.answer(request), self._engine.aperform)
        finally:
            self._callers.end(caller)

    def _begin(self, request: HttpRequest) -> Any:
        if request.method == "POST":  # something new to wait for
            self._slept_s, self._sleeps = 0.0, 0
        return self._callers.begin()

    def note_caller(self) -> None:
        """Remember who calls the API."""
        self._callers.note_current()

    def is_caller(self) -> bool:
        """Tell whether the running thread or task has called the API."""
        return self._callers.has_current()

    def _drive(self, flow: Flow[None]) -> None:
        drive(flow, self._engine.perform)

    async def _adrive(self, flow: Flow[None]) -> None:
        await adrive(flow, self._engine.aperform)

    # Beginning and end

    def reset(self, seed: int | None = None) -> None:
        """Begin anew: no tasks, callbacks, receivers or calls, the balance and the clock as at first."""
        self.operator.reset(seed)  # first: it refuses a seed that is none
        self._engine.forget()
        self._callers.clear()
        self._slept_s, self._sleeps = 0.0, 0
        self._ask_for_scenarios()

    def close(self) -> None:
        """Release what it holds; whoever sleeps in its time wakes."""
        self._sleepers.close()
        self._callers.drain()
        self._emulator.close()
