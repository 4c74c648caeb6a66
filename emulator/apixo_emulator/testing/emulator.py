"""An emulator without a server, and the receivers of its callbacks.

Its state is in memory and its clock stands until it is moved.

What may have to wait (receivers of callbacks, pictures that are drawn, sources that are fetched) is
asked for by generators, which `InProcess` drives for sync code and for async code.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

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
from apixo_schemas import contract

if TYPE_CHECKING:
    import httpx

    from apixo_emulator.testing.interception import Setup

_T = TypeVar("_T")
# An app, or a function of a `Callback` that returns None or a status, at once or awaited.
App = Callable[..., Any]
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
# Of a receiver's answer.
_EXCERPT = 1024
_NOT_RECEIVED = (
    "no receiver for {url} in process: register one with emulator.receiver({url!r}, app)"
)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_WSGI, _ASGI = 2, 3  # arguments
_log = logging.getLogger("apixo_emulator")


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

    def sleep(self, seconds: float) -> None:
        """Stand in for `time.sleep`: ``Apixo(sleep=emulator.sleep)``."""
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        """Stand in for `asyncio.sleep`: ``AsyncApixo(sleep=emulator.asleep)``."""
        await self.aadvance(seconds)

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
        answered: HttpResponse = yield partial(self._pictures.answer, request, response.picture)
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
            while calls := callbacks.claim(1):
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
        events = [_next_event(entry.task, now_ms) for entry in self._service.store.tasks(query)]
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


# Receivers of callbacks


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback as it was received. ``at_ms`` is the emulator's clock in Unix ms."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int

    def json(self) -> Any:
        """Return the body, parsed: the envelope of a status response.

        Raises:
            ValueError: It is malformed, as a scenario can ask for.
        """
        return json.loads(self.body)

    @property
    def task(self) -> Any:
        """What the envelope carries: ``taskId``, ``state`` and so on.

        Raises:
            ValueError: As `json` does.
        """
        return self.json()["data"]


@dataclass
class Receiver:
    """Takes the callbacks to a URL and to all below it.

    Without an ``app`` the answer is 200. ``received`` keeps every callback, whatever the answer was.
    An exception of the app is logged and counts as the answer 500, as on a server. A function that
    raises `TimeoutError` stands for a receiver that does not answer in time.

    Raises:
        ValueError: The URL is none, or the app is neither ASGI nor WSGI nor a function of one value.
    """

    url: str
    app: App | None = None
    received: list[Callback] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"a receiver's URL: expected http(s)://…, found {self.url!r}")
        self._arguments = 1 if self.app is None else _arguments(self.app)

    def takes(self, url: str) -> bool:
        """True if a callback to this URL is for this receiver."""
        mine, other = urlsplit(self.url), urlsplit(url)
        if (mine.scheme, mine.netloc.lower()) != (other.scheme.lower(), other.netloc.lower()):
            return False
        folder = mine.path.rstrip("/")
        return f"{other.path}/".startswith(f"{folder}/")

    def reply(self, call: Call) -> Reply:
        """Pass a callback to the app and return its answer; an async app gets its own event loop."""
        try:
            answer = self._ask(call)
            return _reply(_awaited(answer) if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - as a server does, whatever the app raises
            return _failed(call, error)

    async def areply(self, call: Call) -> Reply:
        """Do the same; an async app runs in the caller's event loop."""
        try:
            answer = self._ask(call)
            return _reply(await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(call, error)

    def _ask(self, call: Call) -> Any:
        callback = Callback(call.url, dict(call.headers), call.body, call.at_ms)
        self.received.append(callback)
        if self.app is None:
            return None
        if self._arguments < _WSGI:
            return self.app(callback)
        import httpx

        request = httpx.Request("POST", call.url, headers=call.headers, content=call.body)
        if self._arguments == _ASGI:
            return _asgi(self.app, request)
        answer = httpx.WSGITransport(self.app).handle_request(request)
        answer.read()
        return answer


async def _asgi(app: App, request: httpx.Request) -> httpx.Response:
    import httpx

    answer = await httpx.ASGITransport(app).handle_async_request(request)
    await answer.aread()
    return answer


def _arguments(app: App) -> int:
    """Return how many arguments an app needs, which tells what kind of app it is."""
    wrong = (
        f"a receiver: expected an ASGI app, a WSGI app or a function of one callback, found {app!r}"
    )
    try:
        parameters = inspect.signature(app).parameters.values()
    except TypeError:
        raise ValueError(wrong) from None
    except ValueError:  # written in C, such as a list's append
        return 1
    needed = sum(one.kind in _POSITIONAL and one.default is one.empty for one in parameters)
    if needed > _ASGI:
        raise ValueError(f"{wrong}, which takes {needed} arguments")
    return needed


def _awaited(answer: Awaitable[Any]) -> Any:
    """Await in an event loop of its own, on another thread if this one's loop waits for it."""

    async def wait() -> Any:
        return await answer

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1, thread_name_prefix="receiver") as pool:
        return pool.submit(asyncio.run, wait()).result()


def _reply(answer: Any) -> Reply:
    """Return what an app has answered; no time goes by meanwhile on the emulator's clock."""
    if answer is None:
        return Reply(0, contract().callbacks.success_status)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return Reply(0, answer)
    status, content = getattr(answer, "status_code", None), getattr(answer, "content", None)
    if isinstance(status, int) and isinstance(content, bytes):  # a response of some library
        return Reply(0, status, content[:_EXCERPT].decode(errors="replace"))
    # A mock, or a handler that returns something else: it has taken the callback.
    return Reply(0, contract().callbacks.success_status, repr(answer)[:_EXCERPT])


def _failed(call: Call, error: Exception) -> Reply:
    if isinstance(error, TimeoutError):
        seconds = contract().callbacks.timeout_ms / 1000
        return Reply(0, error=f"{call.url} did not answer within {seconds:g} s")
    _log.error("the receiver of %s raised; that is the answer 500", call.url, exc_info=error)
    return Reply(0, 500, error=f"the receiver raised {type(error).__name__}: {error}")
