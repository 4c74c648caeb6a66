"""Answer the requests of one event loop; submits that arrive together share a transaction.

A commit costs as much for thirty submits as for one. No request waits for others to arrive: submits
of one loop iteration, or those that arrive while a transaction is under way, form the next batch.
With a store across a network polls have connections of their own, so they never wait for submits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import takewhile

from apixo_emulator.domain.responses import refusal
from apixo_emulator.domain.wire import HttpRequest, HttpResponse
from apixo_emulator.journal.secrets import mask_of
from apixo_emulator.service.emulator import Emulator
from apixo_emulator.service.submit import Pending
from apixo_emulator.storage import log_failure

Respond = Callable[[HttpResponse], None]

_log = logging.getLogger("apixo_emulator")
# Polls, and submits, that may wait for a store across a network; more are answered 503 at once.
_MOST_WAITING = 1000
# Seconds after which a poll or a submit that still waits for its turn is answered 503, too: as long as
# SQLite waits for another process.
_LONGEST_WAIT_S = 5.0
# Submits of one transaction: other machines wait for it where they charge the same account.
_LARGEST_BATCH = 64
# Bytes. Parsing a larger body takes long enough to delay other requests, so a thread does it.
_LARGE_BODY = 1_048_576
_LARGE_BODIES_AT_ONCE = 4


class Batcher:
    """Answers requests of the event loop in which it was made."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._loop = asyncio.get_running_loop()
        # A store across a network must not be waited for in the event loop.
        self._readers: ThreadPoolExecutor | None = None
        self._writer: ThreadPoolExecutor | None = None
        if emulator.blocking:
            self._readers = ThreadPoolExecutor(emulator.store.readers, "poll")
            self._writer = ThreadPoolExecutor(1, "submit")
        self._reading = 0
        self._large: ThreadPoolExecutor | None = None
        # Submits, each with the instant at which it has waited for too long.
        self._waiting: list[tuple[Pending, Respond, float]] = []
        self._committing = False
        self._logs = _log.isEnabledFor(logging.DEBUG)
        # Whether small requests are decided in the event loop, and nothing is said about them.
        self._plain = self._readers is None and not self._logs

    def handle(self, request: HttpRequest) -> HttpResponse | asyncio.Future[HttpResponse]:
        """Return the answer to one request, or a future of it; errors of the store are answers, too."""
        answer: asyncio.Future[HttpResponse] = self._loop.create_future()
        self.answer(request, partial(_resolve, answer))
        return answer.result() if answer.done() else answer

    def answer(self, request: HttpRequest, respond: Respond) -> None:
        """Answer one request by calling ``respond``, at once or in a later loop iteration."""
        if self._plain and len(request.body) <= _LARGE_BODY:
            self._decided(self._decide(request), respond)
            return
        if self._logs:
            respond = partial(_respond_and_log, request, respond)
        if self._readers is not None and max(self._reading, len(self._waiting)) >= _MOST_WAITING:
            respond(self._emulator.overloaded(request))
        elif len(request.body) > _LARGE_BODY:
            if self._large is None:
                self._large = ThreadPoolExecutor(_LARGE_BODIES_AT_ONCE, "large-body")
            self._decide_in(self._large, request, respond)
        elif self._readers is not None and self._emulator.waits(request):
            self._decide_in(self._readers, request, respond)
        else:
            self._decided(self._decide(request), respond)

    def _decide_in(
        self, threads: ThreadPoolExecutor, request: HttpRequest, respond: Respond
    ) -> None:
        def decided(done: asyncio.Future[HttpResponse | Pending]) -> None:
            self._reading -= 1
            self._decided(done.result(), respond)

        def decide() -> HttpResponse | Pending:
            is_late = time.monotonic() > latest
            return self._emulator.overloaded(request) if is_late else self._decide(request)

        latest = time.monotonic() + _LONGEST_WAIT_S
        self._reading += 1
        self._loop.run_in_executor(threads, decide).add_done_callback(decided)

    def _decide(self, request: HttpRequest) -> HttpResponse | Pending:
        try:
            return self._emulator.decide(request)
        except Exception as error:  # noqa: BLE001 - the client gets the envelope, the log the error
            return _failed(error, f"{request.method} {request.path}")

    def _decided(self, decided: HttpResponse | Pending, respond: Respond) -> None:
        if isinstance(decided, HttpResponse):
            respond(decided)
        else:
            self._add(decided, respond)

    def _add(self, pending: Pending, respond: Respond) -> None:
        self._waiting.append((pending, respond, time.monotonic() + _LONGEST_WAIT_S))
        if not self._committing:
            self._committing = True
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        """Commit the submits that wait, then answer each."""
        now = time.monotonic()
        late = sum(1 for _ in takewhile(lambda waiting: waiting[2] < now, self._waiting))
        for pending, respond, _ in self._waiting[:late]:
            respond(self._emulator.overloaded(pending.call.request))
        end = late + _LARGEST_BATCH
        batch, self._waiting = self._waiting[late:end], self._waiting[end:]
        submits = [pending for pending, _, _ in batch]
        if self._writer is None:
            self._committed(batch, self._emulator.accept_each(submits))
            return
        accepting = self._loop.run_in_executor(self._writer, self._emulator.accept_each, submits)
        accepting.add_done_callback(lambda done: self._committed(batch, done.result()))

    def _committed(
        self,
        batch: Sequence[tuple[Pending, Respond, float]],
        outcomes: Sequence[HttpResponse | Exception],
    ) -> None:
        self._committing = bool(self._waiting)
        if self._committing:
            self._loop.call_soon(self._commit)
        for (_, respond, _), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                respond(_failed(outcome, "a submit"))
            else:
                respond(outcome)

    def close(self) -> None:
        """Stop the threads, when no request is under way any more."""
        for threads in (self._readers, self._writer, self._large):
            if threads is not None:
                threads.shutdown()


def _respond_and_log(request: HttpRequest, respond: Respond, response: HttpResponse) -> None:
    path = mask_of(request.headers).text(request.path)
    _log.debug("%s %s: %d", request.method, path, response.status)
    respond(response)


def _failed(error: Exception, what: str) -> HttpResponse:
    log_failure(f"{what} failed", error)
    return refusal("server_error")


def _resolve(answer: asyncio.Future[HttpResponse], response: HttpResponse) -> None:
    if not answer.done():  # else the client has disconnected
        answer.set_result(response)
