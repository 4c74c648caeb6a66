"""Answer ordinary API calls from the parser's callbacks, without ASGI in between.

ASGI costs more than half of what a poll needs: a task, an event, a dozen dicts and two writes. A call of
one of the API's own paths, without a header that changes how HTTP works, needs none of it. All other
calls, and those that are pipelined, take the way of `EnvelopeProtocol`; what is answered is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from apixo_emulator.domain.routes import ordinary_calls
from apixo_emulator.domain.wire import Headers, HttpRequest, HttpResponse, WireFault
from apixo_emulator.http.api import SMALL_BODY, origin_of
from apixo_emulator.http.faults import break_off, send_slowly
from apixo_emulator.http.protocol import BODY, EnvelopeProtocol
from apixo_emulator.service.batcher import Batcher

# Headers that ask more of HTTP than a body of a known length, or that say where a call came from.
_UNUSUAL = frozenset(
    {
        b"expect",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
        b"x-forwarded-proto",
    }
)
_CLOSE = (b"connection", b"close")


class _Cycle:
    """What uvicorn's protocol needs of the request that is being answered."""

    __slots__ = (
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
        "response_started",
    )

    def __init__(self) -> None:
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()
        self.response_complete = True
        self.response_started = False


class FastProtocol(EnvelopeProtocol):
    """Answers ordinary calls with a batcher, and hands all others to the application."""

    # The server's headers that were rendered last, how, and whether they end connections. They change
    # once a second, and when the server stops.
    _rendered: ClassVar[tuple[object, bytes, bool]] = (None, b"", False)

    def __init__(self, *args: Any, batcher: Batcher, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batcher = batcher
        self._direct = _Cycle()
        # The call that is being read is answered here.
        self._reading = False
        self._method = self._path = ""
        self._query = self._body = b""
        # A connection's calls mostly have the same headers: those of the last call, and what they say.
        # Kept once they take about 1 KiB less for each call in the journal, 4 % of a submit.
        self._headers: Sequence[tuple[bytes, bytes]] = ()
        self._usual = True
        self._has_body = self._expects = False
        self._origin = ""
        self._dripping: asyncio.Task[None] | None = None

    def on_message_begin(self) -> None:
        """Begin a call; the dicts of ASGI are made only for one that takes that way."""
        self._begin_head()
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer of a chunked body is dropped."""
        if self._part is not BODY:
            self.headers.append((name.lower(), value))

    def _read_headers(self) -> None:
        """Find out what the headers say about the call."""
        self._headers = self.headers
        given = dict(self.headers)
        length = given.get(b"content-length")
        self._has_body = length is not None
        # A large body is read only if key and model are accepted.
        is_small = length is None or int(length) <= SMALL_BODY
        self._usual = is_small and _UNUSUAL.isdisjoint(given)
        self._expects = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
        )
        self._origin = origin_of(self.scheme or "http", given.get(b"host"), self.server)

    def _start(self) -> None:
        """Choose the way of a call."""
        if self.headers != self._headers:
            self._read_headers()
        path, _, query = self.url.partition(b"?")
        parser: Any = self.parser  # uvicorn declares it as if it could be None
        known = ordinary_calls().get(path)
        if (
            known is None
            or not self._usual
            or parser.get_method() != known[0]
            or parser.get_http_version() != "1.1"
            or b"#" in query
            or self._has_body == (known[0] == b"GET")  # the application does not wait for it
            or self.flow.write_paused
            or self._is_answering()
        ):
            self._start_application()
            return
        _, self._method, self._path = known
        self._query = query
        self._body = b""
        self._reading = True
        self._direct.response_complete = False
        self._direct.keep_alive = parser.should_keep_alive()
        self.cycle = self._direct  # type: ignore[assignment] # as far as uvicorn's protocol asks

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._reading:
            self._body = body if not self._body else self._body + body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the call answered."""
        if not self._reading:
            super().on_message_complete()
            return
        self._reading = False
        self._end_message()
        body = self._body if self._method == "POST" else b""
        self._batcher.answer(
            HttpRequest(self._method, self._path, self._query, self._headers, body, self._origin),
            self._respond,
        )

    def _respond(self, response: HttpResponse) -> None:
        if self.transport.is_closing():
            return
        if response.fault is WireFault.DRIP:
            self._dripping = self.loop.create_task(send_slowly(response, self.transport))
            return
        cycle = self._direct
        cycle.response_complete = True
        if response.fault is not None:
            break_off(response, self.transport)
            return
        defaults = self.server_state.default_headers
        kept, lines, closes = FastProtocol._rendered
        if defaults is not kept:
            lines, closes = _lines(tuple(defaults)), _CLOSE in defaults
            FastProtocol._rendered = (defaults, lines, closes)
        # Head and body in one write: two would be two system calls, 5 us each.
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n%b\r\n%b"
            % (
                STATUS_LINE[response.status],
                lines,
                _lines(response.headers),
                len(response.body),
                b"" if cycle.keep_alive or closes else b"connection: close\r\n",
                response.body,
            )
        )
        if closes or not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _start_application(self) -> None:
        url, headers = self.url, self.headers
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, self._expects
        self.headers += headers
        super()._start()


@lru_cache(maxsize=256)
def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
