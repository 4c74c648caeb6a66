"""The short way for ordinary API calls: from uvicorn's parser to the gate, without ASGI between.

ASGI costs more than half of what a status call needs: a task, an event, a dozen dicts and two
writes. A call that came whole, in one read, for one of the API's own paths and without any header
that changes how HTTP works needs none of it. Every other call takes the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apixo_emulator.core.routes import ordinary_calls
from apixo_emulator.core.wire import Headers, HttpRequest, HttpResponse, WireFault
from apixo_emulator.server.counter import Counter
from apixo_emulator.server.hosts import origin_of
from apixo_emulator.server.protocol import EnvelopeProtocol
from apixo_emulator.server.repeats import Repeat, repeat_of
from apixo_emulator.server.wire import break_off, drip

# Headers that ask more of HTTP than a body of a known length, or that say where a call came from.
_UNUSUAL = frozenset(
    {
        b"expect",
        b"forwarded",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    }
)
# Digits of a content-length; a longer body is asked about before it is read.
_LONGEST_LENGTH = 5
_SOONEST_LOOK_S = 1.0
# Calls of a connection that are looked at for what may come again: of a client whose every call has
# another head none ever does.
_LOOKED_AT = 16
_CLOSE = (b"connection", b"close")


class DirectProtocol(EnvelopeProtocol):
    """Answers ordinary calls at once and hands all others to ASGI; `at` binds it to a counter."""

    counter: ClassVar[Counter]
    # The default headers that were rendered last, and how: they change once a second.
    _rendered: ClassVar[tuple[object, bytes]] = (None, b"")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The call that is being read may take the short way; such a call waits for its answer.
        self._plain = False
        self._waiting = False
        self._call = ("", "")
        # Of what is being read the last call that took the short way, if the connection is kept.
        self._request: HttpRequest | None = None
        self._query = b""
        self._got = b""
        self._keeps = True
        # Nothing of the next call has come.
        self._between = True
        # By their first byte, which tells submits from polls.
        self._repeats: dict[int, Repeat] = {}
        self._looks = _LOOKED_AT
        # The headers of the call before, and the origin that they name.
        self._before: Sequence[tuple[bytes, bytes]] = ()
        self._origin = ""
        self._idle_since = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._drips: set[asyncio.Task[None]] = set()

    @classmethod
    def at(cls, counter: Counter) -> type[DirectProtocol]:
        """Give the protocol for one counter."""
        return type(cls.__name__, (cls,), {"counter": counter})

    # Reading

    def data_received(self, data: bytes) -> None:
        """Read what came; a call that has not come whole goes on through ASGI."""
        fresh = self._between
        if fresh and self._repeated(data):
            return
        super().data_received(data)
        request, self._request = self._request, None
        if self._plain and not self._in_head:
            self._through_asgi()
        elif fresh and self._between and request is not None and self._looks:
            self._looks -= 1
            if repeat := repeat_of(data, request):
                self._repeats[data[0]] = repeat

    def _repeated(self, data: bytes) -> bool:
        """Have a call answered that looks like one before; False where it does not."""
        repeat = self._repeats.get(data[0])
        request = repeat.read(data) if repeat else None
        if request is None or not self._keeps or not self._is_free():
            return False
        self._unset_keepalive_if_required()
        self._answer_first()
        self._ask(request)
        return True

    def _answer_first(self) -> None:
        if self._waiting:  # pipelined: the one before is answered first
            self.counter.flush()

    def _is_free(self) -> bool:
        """Tell whether nothing is being sent, so that a call may take the short way."""
        return not self._drips and (self.cycle is None or self.cycle.response_complete)

    def on_message_begin(self) -> None:
        """Begin a call; ASGI's dicts are made only for one that takes that way."""
        self._answer_first()
        self._between = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._plain = not self._drips
        self._got = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        name = name.lower()
        if name in _UNUSUAL or (name == b"content-length" and len(value) > _LONGEST_LENGTH):
            self._plain = False
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._in_head = False
        path, _, query = self.url.partition(b"?")
        parser: Any = self.parser  # uvicorn declares it as if it could be None
        known = ordinary_calls().get(path)
        if (
            known is None
            or not self._plain
            or parser.get_method() != known[0]
            or parser.get_http_version() != "1.1"
            or b"#" in query
            or not self._is_free()
        ):
            self._through_asgi()
            return
        self._query = query
        self._call = known[1:]

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._plain:
            self._got = body if not self._got else self._got + body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the call answered, if it takes the short way."""
        self._between = True
        if not self._plain:
            super().on_message_complete()
            return
        self._plain = False
        self._in_head = True
        self._head_bytes = 0
        parser: Any = self.parser  # as above
        self._keeps = parser.should_keep_alive()
        method, path = self._call
        body = self._got if method == "POST" else b""
        # A connection's calls mostly have the same headers. Kept once they take about 1 KiB less for each
        # call in the journal, and that is 4 % of a submit: memory at hand instead of memory far off.
        if self.headers != self._before:
            self._before = self.headers
            self._origin = self._base_url()
        request = HttpRequest(method, path, self._query, self._before, body, self._origin)
        self._request = request if self._keeps else None
        self._ask(request)

    def _ask(self, request: HttpRequest) -> None:
        self._waiting = True
        self.counter.call(request, self._answered)

    def _through_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        self._plain = False
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        if self._got:
            super().on_body(self._got)

    def _base_url(self) -> str:
        """Give the origin that the caller used."""
        host = next((value for name, value in self.headers if name == b"host"), None)
        return origin_of(self.scheme or "http", host, self.server)

    # Answering

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
        if defaults is not DirectProtocol._rendered[0]:  # the date has changed, or the server ends
            DirectProtocol._rendered = (defaults, _lines(tuple(defaults)))
        return b"%b%b%bcontent-length: %d\r\n%b\r\n%b" % (
            STATUS_LINE[response.status],
            DirectProtocol._rendered[1],
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

    def _hang_up_if_idle(self) -> None:
        """End a connection that is kept for nothing; a timer for each call would cost 1 us."""
        self._watch = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        busy = self._waiting or not (self.cycle is None or self.cycle.response_complete)
        if busy or left > 0:
            wait = max(left, _SOONEST_LOOK_S)
            self._watch = self.loop.call_later(wait, self._hang_up_if_idle)
        elif not self.transport.is_closing():
            self.transport.close()

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
