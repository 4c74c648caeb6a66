"""A connection whose ordinary calls are answered without ASGI: asking, sending, keeping, hanging up."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from apixo_emulator.domain.wire import Headers, HttpRequest, HttpResponse, WireFault
from apixo_emulator.http.counter import Counter
from apixo_emulator.http.protocol import EnvelopeProtocol
from apixo_emulator.http.wire import break_off, drip

_SOONEST_LOOK_S = 1.0
_CLOSE = (b"connection", b"close")


class AnsweringProtocol(EnvelopeProtocol):
    """Asks a counter and sends its answers; `at` binds it to one."""

    counter: ClassVar[Counter]
    # The default headers that were rendered last, and how: they change once a second.
    _rendered: ClassVar[tuple[object, bytes]] = (None, b"")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A call was asked about and not answered yet.
        self._waiting = False
        # Whether the connection goes on after the answer to the call that came last.
        self._keeps = True
        # Nothing more is read until the caller has read some of what was answered.
        self._holds_back = False
        self._idle_since = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._drips: set[asyncio.Task[None]] = set()

    @classmethod
    def at(cls, counter: Counter) -> type[AnsweringProtocol]:
        """Give the protocol for one counter."""
        return type(cls.__name__, (cls,), {"counter": counter})

    def _is_free(self) -> bool:
        """Tell whether nothing is being sent, so that a call may take the short way."""
        return not self._drips and (self.cycle is None or self.cycle.response_complete)

    def _is_over(self) -> bool:
        """Tell whether the connection ends with what is being sent: who calls again gets no answer."""
        return bool(self._drips) or self.transport.is_closing()

    def _answer_first(self) -> None:
        if self._waiting:  # pipelined: the one before is answered first
            self.counter.flush()

    def _ask(self, request: HttpRequest) -> None:
        self._waiting = True
        self.counter.call(request, self._answered)

    def _answered(self, response: HttpResponse) -> None:
        self._waiting = False
        if self.transport.is_closing():
            return
        self.server_state.total_requests += 1
        if response.fault is WireFault.DRIP:
            self._drip(response)
        elif response.fault is not None:
            break_off(response, self.transport)
        else:
            # Head and body in one write: two would be two system calls, 5 us each.
            self.transport.write(self._written(response))
            self._go_on()

    def _written(self, response: HttpResponse) -> bytes:
        defaults = self.server_state.default_headers
        kept, lines = AnsweringProtocol._rendered
        if defaults is not kept:  # the date has changed, or the server ends
            lines = _lines(tuple(defaults))
            AnsweringProtocol._rendered = (defaults, lines)
        return b"%b%b%bcontent-length: %d\r\n%b\r\n%b" % (
            STATUS_LINE[response.status],
            lines,
            _lines(response.headers),
            len(response.body),
            b"" if self._keeps or _CLOSE in defaults else b"connection: close\r\n",
            response.body,
        )

    def _go_on(self) -> None:
        """Wait for the next call, or hang up."""
        if not self._keeps or _CLOSE in self.server_state.default_headers:
            self.transport.close()
            return
        self._idle_since = self.loop.time()
        if self._watch is None:
            self._watch = self.loop.call_later(self.timeout_keep_alive, self._hang_up_if_idle)

    def _drip(self, response: HttpResponse) -> None:
        """Send an answer a byte at a time, then hang up."""
        self._keeps = False
        task = self.loop.create_task(drip(self._written(response), self.transport))
        self._drips.add(task)
        task.add_done_callback(self._dripped)

    def _dripped(self, task: asyncio.Task[None]) -> None:
        self._drips.discard(task)
        self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next call behind an answer of ASGI, too."""
        self._idle_since = self.loop.time()
        super().on_response_complete()  # reads on
        if self._holds_back:
            self.flow.pause_reading()

    def _is_idle(self) -> bool:
        """Tell whether the connection is kept for nothing."""
        return not self._waiting and self._is_free()

    def _hang_up_if_idle(self) -> None:
        """End a connection that is kept for nothing; a timer for each call would cost 1 us."""
        self._watch = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0 or not self._is_idle():
            wait = max(left, _SOONEST_LOOK_S)
            self._watch = self.loop.call_later(wait, self._hang_up_if_idle)
        elif not self.transport.is_closing():
            self.transport.close()

    def pause_writing(self) -> None:
        """Answer no more calls of a caller that does not read."""
        super().pause_writing()
        self._holds_back = True
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        super().resume_writing()
        if self._holds_back:
            self._holds_back = False
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def shutdown(self) -> None:
        """End after the answer under way."""
        if self._waiting or self._drips:
            self._keeps = False
        else:
            super().shutdown()


@lru_cache(maxsize=256)
def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
