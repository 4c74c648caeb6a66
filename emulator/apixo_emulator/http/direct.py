"""The short way for ordinary API calls: from uvicorn's parser to the gate, without ASGI between.

ASGI costs more than half of what a status call needs: a task, an event, a dozen dicts and two
writes. A call for one of the API's own paths, without any header that changes how HTTP works, and whose
body comes right behind its head, needs none of it. Every other call takes the ordinary way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apixo_emulator.domain.routes import ordinary_calls
from apixo_emulator.domain.wire import HttpRequest
from apixo_emulator.http.answering import AnsweringProtocol
from apixo_emulator.http.hosts import origin_of
from apixo_emulator.http.repeats import Repeat, repeat_of

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
# Most clients send a body in a packet of its own, right behind the head. One that does not come within
# this time is ASGI's business, which knows how long to wait.
_BODY_SOON_S = 1.0
# Calls of a connection that are looked at for what may come again: of a client whose every call has
# another head none ever does.
_LOOKED_AT = 16


class DirectProtocol(AnsweringProtocol):
    """Reads ordinary calls, to be answered at once, and hands all others to ASGI."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Nothing of the next call has come.
        self._between = True
        # The call that is being read may take the short way; or it came too late to be answered.
        self._plain = False
        self._ignored = False
        self._call = ("", "")
        self._query = b""
        self._got = b""
        self._overdue: asyncio.TimerHandle | None = None
        # Of what is being read the last call that took the short way, if the connection is kept.
        self._request: HttpRequest | None = None
        # By their first byte, which tells submits from polls.
        self._repeats: dict[int, Repeat] = {}
        self._looks = _LOOKED_AT
        # The headers of the call before, and the origin that they name.
        self._before: Sequence[tuple[bytes, bytes]] = ()
        self._origin = ""

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        if self._is_over():
            return
        fresh = self._between
        if fresh and self._repeated(data):
            return
        super().data_received(data)
        request, self._request = self._request, None
        if self._plain and not self._in_head and not self._ignored:
            self._overdue = self._overdue or self.loop.call_later(_BODY_SOON_S, self._through_asgi)
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

    def on_message_begin(self) -> None:
        """Begin a call; ASGI's dicts are made only for one that takes that way."""
        self._answer_first()
        self._between = False
        self._ignored = self._is_over()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._plain = True
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
        if self._ignored:
            return
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
        if self._ignored:
            return
        if self._plain:
            self._got = body if not self._got else self._got + body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the call answered, if it takes the short way."""
        self._between = True
        if self._ignored:
            return
        if not self._plain:
            super().on_message_complete()
            return
        self._stop_waiting()
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

    def _through_asgi(self) -> None:
        self._stop_waiting()
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        self._plain = False
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        if self._got:
            super().on_body(self._got)

    def _stop_waiting(self) -> None:
        """No body is waited for any more."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _base_url(self) -> str:
        """Give the origin that the caller used."""
        host = next((value for name, value in self.headers if name == b"host"), None)
        return origin_of(self.scheme or "http", host, self.server)

    def _is_idle(self) -> bool:
        """Tell whether the connection is kept for nothing."""
        return self._between and super()._is_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._stop_waiting()

    def shutdown(self) -> None:
        """End after the answer under way, or to the call whose body is coming."""
        if self._overdue is not None:
            self._through_asgi()
        super().shutdown()
