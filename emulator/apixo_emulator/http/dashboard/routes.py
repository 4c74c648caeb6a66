"""The dashboard's routes: which page answers which path, what becomes of errors, and live updates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.api import root_url
from apixo_emulator.http.control import EXPECTED, control_of, status_of
from apixo_emulator.http.dashboard import controls, journal, tasks
from apixo_emulator.http.dashboard.inbox import INBOX, Inbox, read_form
from apixo_emulator.http.dashboard.rendering import Done, Page, PageContext, asset, done, shown
from apixo_emulator.http.events import event_stream
from apixo_emulator.http.files import render_threads
from apixo_emulator.runtime import Runtime
from apixo_emulator.service.control import NotFoundError

Handler = Callable[[PageContext], Page | Done | Response]
Endpoint = Callable[[Request], Awaitable[Response]]

_PAGES: dict[str, Handler] = {
    "": tasks.list_tasks,
    "ui/tasks/{task_id}": tasks.show_task,
    "ui/tasks/{task_id}/pictures": tasks.show_pictures,
    "ui/tasks/{task_id}/source": tasks.send_source,
    "ui/requests": journal.list_requests,
    "ui/requests/{number}": journal.show_request,
    "ui/requests/{number}/{which}": journal.send_body,
    "ui/inbox/{number}": controls.send_received,
    "ui/callbacks": controls.list_callbacks,
    INBOX: controls.show_inbox,
    "ui/scenarios": controls.show_scenarios,
    "ui/clock": controls.show_clock,
}
_DRAWING = (tasks.show_pictures, tasks.send_source)
_BUTTONS: dict[str, Handler] = {
    "ui/tasks/{task_id}/finish": tasks.finish_task,
    "ui/tasks/{task_id}/redeliver": tasks.redeliver,
    "ui/inbox/clear": controls.clear_inbox,
    "ui/scenarios/add": controls.add_rule,
    "ui/scenarios/clear": controls.clear_rules,
    "ui/scenarios/{rule_id}/remove": controls.remove_rule,
    "ui/clock/advance": controls.advance,
    "ui/clock/rate": controls.set_rate,
    "ui/clock/reset": controls.reset,
    "ui/accounts/top-up": controls.top_up,
}


class Dashboard:
    """The dashboard of one emulator.

    ``routes`` are for clients that may control it. ``open_routes`` take callbacks from any client.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._inbox = Inbox(runtime)
        self.routes = [
            _route("GET", "static/{edition}/{name}", asset),
            _route("GET", "ui/live", self._live),
            *(_route("GET", path, self._page(handler)) for path, handler in _PAGES.items()),
            *(_route("POST", path, self._button(handler)) for path, handler in _BUTTONS.items()),
        ]
        self.open_routes = [_route("POST", INBOX, self._inbox.receive)]

    def _page(self, handler: Handler) -> Endpoint:
        # In a thread: it may wait for a store. What draws pictures takes seconds and must not keep
        # the other pages waiting.
        threads = render_threads if handler in _DRAWING else None

        async def answer(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(threads, self._shown, handler, request, {})

        return answer

    def _button(self, handler: Handler) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                form = await read_form(request)
            except ValueError as error:
                return done(Done(str(error), status_of(error)))
            return await asyncio.to_thread(self._shown, handler, request, form)

        return answer

    def _shown(self, handler: Handler, request: Request, form: dict[str, str]) -> Response:
        """Let a handler answer, in the caller's thread."""
        try:
            context = self._context(request, request.query_params.get("world"), form)
            found = handler(context)
        except EXPECTED as error:
            return self._problem(request, str(error), status_of(error))
        if isinstance(found, Response):
            return found
        return done(found) if isinstance(found, Done) else shown(found, context)

    def _problem(self, request: Request, words: str, status: int) -> Response:
        """Return what is wrong: below the button that was pressed, or as a page."""
        if request.method == "POST":
            return done(Done(words, status))
        page = Page("problem.html", {"words": words}, status)
        return shown(page, self._context(request, None, {}))

    def _context(self, request: Request, world: str | None, form: dict[str, str]) -> PageContext:
        """Read a call.

        Raises:
            NotFoundError: There is no such world.
        """
        emulator = self._runtime.emulator
        return PageContext(
            emulator=emulator,
            pictures=self._runtime.pictures,
            inbox=self._inbox,
            control=control_of(emulator, world),
            origin=root_url(request),
            here=request.url.path,
            path=request.path_params,
            query=dict(request.query_params),
            form=form,
        )

    async def _live(self, request: Request) -> Response:
        """Stream what a page depends on: numbers that change with what it may show, and the clock.

        The content of calls is left out, however many there are: a page then asks for what it shows.
        """
        try:
            context = await asyncio.to_thread(
                self._context, request, request.query_params.get("world"), {}
            )
        except NotFoundError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        told: dict[str, Any] = {}

        def collect() -> bytes:
            nonlocal told
            found = _numbers(context)
            if found == told:
                return b""
            told = found
            return (
                b"data: %b\n\n" % json.dumps({**found, "clock": context.control.clock()}).encode()
            )

        return event_stream(collect, self._runtime.stopping)


def _numbers(context: PageContext) -> dict[str, Any]:
    control, clock = context.control, context.control.clock_state()
    return {
        "requests": control.last_number(),
        "changes": control.revision(),
        "rules": ",".join(control.rule_ids()),
        "inbox": context.inbox.revision,
        "time": [clock.virtual_base_ms, clock.real_base_ms, clock.rate],
    }


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    return Route(CONTROL_PREFIX + path, endpoint, methods=[method])
