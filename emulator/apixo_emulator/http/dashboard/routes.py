"""The dashboard's routes: which page answers which path, and what becomes of errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apixo_emulator.domain.wire import CONTROL_PREFIX
from apixo_emulator.http.api import root_url
from apixo_emulator.http.control import EXPECTED, status_of
from apixo_emulator.http.dashboard import controls, journal, scenarios, submit, tasks
from apixo_emulator.http.dashboard.context import PageContext, Shared, context_of, operator_of
from apixo_emulator.http.dashboard.inbox import (
    INBOX,
    OwnInbox,
    Receiver,
    SharedInbox,
    TooLargeError,
    read_form,
)
from apixo_emulator.http.dashboard.live import live
from apixo_emulator.http.dashboard.rendering import Done, Page, asset, done, shown
from apixo_emulator.http.dashboard.thumbnails import Thumbnails
from apixo_emulator.pictures import PictureStore
from apixo_emulator.service import Emulator
from apixo_emulator.service.control import NotFoundError

Handler = Callable[[PageContext], Page | Done | Response]
Endpoint = Callable[[Request], Awaitable[Response]]
_TOO_LARGE = 413

_PAGES: dict[str, Handler] = {
    "": tasks.list_tasks,
    "ui/tasks/{task_id}": tasks.show_task,
    "ui/tasks/{task_id}/line": tasks.show_line,
    "ui/tasks/{task_id}/pictures": tasks.show_pictures,
    "ui/tasks/{task_id}/{which}": tasks.send_picture,
    "ui/requests": journal.list_requests,
    "ui/requests/{number}": journal.show_request,
    "ui/requests/{number}/{which}": journal.send_body,
    "ui/inbox/{number}": controls.send_received,
    "ui/callbacks": controls.list_callbacks,
    INBOX: controls.show_inbox,
    "ui/scenarios": scenarios.show_scenarios,
    "ui/clock": controls.show_clock,
    "ui/try": submit.show_form,
}
_BUTTONS: dict[str, Handler] = {
    "ui/tasks/{task_id}/finish": tasks.finish_task,
    "ui/tasks/{task_id}/redeliver": tasks.redeliver,
    "ui/inbox/clear": controls.clear_inbox,
    "ui/scenarios/add": scenarios.add_rule,
    "ui/scenarios/clear": scenarios.clear_rules,
    "ui/scenarios/{rule_id}/remove": scenarios.remove_rule,
    "ui/clock/advance": controls.advance,
    "ui/clock/rate": controls.set_rate,
    "ui/clock/reset": controls.reset,
    "ui/accounts/top-up": controls.top_up,
    "ui/try": submit.try_it,
}


class Dashboard:
    """The dashboard of one emulator.

    ``routes`` are for clients that may control it. ``open_routes`` take callbacks from any client. Once
    ``stopping`` is set, streams to open pages end.
    """

    def __init__(
        self, emulator: Emulator, pictures: PictureStore, stopping: threading.Event | None = None
    ) -> None:
        inbox = SharedInbox(emulator.store) if emulator.worlds.shared else OwnInbox()
        self._shared = Shared(emulator, Thumbnails(pictures), inbox, stopping or threading.Event())
        receiver = Receiver(emulator, inbox)
        self.routes = [
            _get("static/{edition}/{name}", asset),
            _get("ui/live", self._live),
            *(_get(path, self._page(handler)) for path, handler in _PAGES.items()),
            *(_post(path, self._button(handler)) for path, handler in _BUTTONS.items()),
        ]
        self.open_routes = [_post(INBOX, receiver.receive)]

    def _page(self, handler: Handler) -> Endpoint:
        async def answer(request: Request) -> Response:
            # In a thread: it may wait for a store, or draw a picture.
            return await asyncio.to_thread(self._shown, handler, request, {})

        return answer

    def _button(self, handler: Handler) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                form = await read_form(request)
            except ValueError as error:
                return done(Done(str(error), _status_of(error)))
            return await asyncio.to_thread(self._shown, handler, request, form)

        return answer

    def _shown(self, handler: Handler, request: Request, form: dict[str, str]) -> Response:
        """Let a handler answer, in the caller's thread."""
        try:
            context = context_of(self._shared, request, form)
            found = handler(context)
        except EXPECTED as error:
            return self._problem(request, str(error), _status_of(error))
        if isinstance(found, Response):
            return found
        return done(found) if isinstance(found, Done) else shown(found, context)

    def _problem(self, request: Request, words: str, status: int) -> Response:
        """Return what is wrong: below the button that was pressed, or as a page."""
        if request.method == "POST":
            return done(Done(words, status))
        plain = PageContext(
            self._shared,
            operator_of(self._shared.emulator, None),
            root_url(request),
            request.url.path,
        )
        return shown(Page("problem.html", {"words": words}, status), plain)

    async def _live(self, request: Request) -> Response:
        try:
            context = await asyncio.to_thread(context_of, self._shared, request, {})
        except NotFoundError as error:
            return Response(f"{error}\n", 404, media_type="text/plain")
        return live(context)


def _status_of(error: Exception) -> int:
    return _TOO_LARGE if isinstance(error, TooLargeError) else status_of(error)


def _get(path: str, endpoint: Endpoint) -> Route:
    return Route(CONTROL_PREFIX + path, endpoint, methods=["GET"])


def _post(path: str, endpoint: Endpoint) -> Route:
    return Route(CONTROL_PREFIX + path, endpoint, methods=["POST"])
