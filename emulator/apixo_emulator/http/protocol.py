"""uvicorn's HTTP protocol with errors in the envelope, bounded heads, timeouts, and no upgrades.

The bytes of a body are never changed, and what a request means never depends on how its bytes are
split into packets. A request that cannot be parsed is answered after those that came before it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apixo_emulator.domain.responses import refusal
from apixo_emulator.http.api import MOST_DROPPED, is_host
from apixo_emulator.http.faults import TRANSPORT, head

# Bytes of a request line and its headers.
_LARGEST_HEAD = 65_536
_MOST_HEADERS = 100
# Bytes of an incomplete head. More than above, as the parser does not report the padding of a value.
_LARGEST_INCOMPLETE_HEAD = 98_304
# A colon, a space and a line end.
_HEADER_OVERHEAD = 4
# A connection is kept longer than announced, so that no client that relies on it is cut off.
_IDLE_GRACE_S = 2.0
# For a whole body: enough for a slow link, yet no client holds memory for ever.
_BODY_TIMEOUT_S = 60.0
# Bytes of chunk sizes, chunk extensions and trailers of a body, beside eight for each byte of content: a client
# may send each byte as a chunk. The parser limits none of them.
_MOST_FRAMING = 1_048_576
_FRAMING_SHARE = 8
# When the server stops, an incomplete request may still arrive within this time.
_LAST_REQUEST_S = 2.0


class _NotServedError(Exception):
    """The head is too large, names no host, or asks for a tunnel; it makes the parser stop."""


# What the next bytes of a connection belong to. No Enum: its members take 40 ns each time.
_NOTHING, _HEAD, BODY = range(3)


class EnvelopeProtocol(HttpToolsProtocol):
    """Reads requests and has the application answer them; ``header_timeout`` is in seconds."""

    def __init__(self, *args: Any, header_timeout: float = 30.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_timeout = header_timeout
        self._part = _NOTHING
        # Bytes of the packets that the current head is in, and of these in packets that it shares with
        # the request before it.
        self._head_bytes = self._shared_bytes = 0
        # Whether a request has ended in the packet that is parsed.
        self._ended = False
        # Bytes of the body that is being read: on the connection, of its content, and behind its response.
        self._wire_bytes = self._content_bytes = self._unread_bytes = 0
        self._incomplete_since = 0.0
        self._idle_since = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        # Headers that named one host; those of the next request are mostly the same.
        self._checked: list[tuple[bytes, bytes]] = []
        # The error that answers the rest of the connection.
        self._rejected: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the parent
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._arm(self.timeout_keep_alive + _IDLE_GRACE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the requests under way."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    # Reading

    def eof_received(self) -> bool:  # type: ignore[override] # as `asyncio.Protocol`
        """Return True to stay open: a client that closes its side still gets its answers."""
        if self._part is not _NOTHING or not self._is_answering():
            return False
        self.cycle.keep_alive = False  # the last request
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if self._rejected is not None or self.transport.is_closing():
            return
        before = self._part
        if before is BODY:
            self._wire_bytes += len(data)
        if before is _HEAD:
            self._head_bytes += len(data)
        else:
            self._head_bytes = len(data)
        self._ended = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            # The parser raises this for an exception in a callback, too.
            too_large = self._part is _HEAD and self._head_is_too_large()
            self._reject("head_too_large" if too_large else "invalid_http")
        if self._part is BODY and self._rejected is None:
            self._check_body()
        if self._part is not _NOTHING and self._rejected is None:
            self._wait_for_more(before)

    def _check_body(self) -> None:
        """End a request whose body is more framing than content, or does not end behind its response."""
        framing = self._wire_bytes - self._content_bytes
        if framing > _MOST_FRAMING + _FRAMING_SHARE * self._content_bytes:
            self._reject("invalid_http")
        elif self._unread_bytes > MOST_DROPPED:
            self.transport.close()

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Parse the head again without its Upgrade header, then ``rest``, which follows it.

        With it the parser takes the body for another protocol's. A server may ignore it (RFC 9110, 7.8).
        """
        parser: Any = self.parser  # uvicorn declares it as if it could be None
        headers = [entry for entry in self.headers if entry[0] != b"upgrade"]
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (
            parser.get_method(),
            self.url,
            parser.get_http_version().encode(),
            b"".join(b"%b: %b\r\n" % entry for entry in headers),
        )
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the parent's
        self.data_received(head + rest)

    def _wait_for_more(self, before: int) -> None:
        """Begin to wait for the rest of a request."""
        if self._part is _HEAD:
            incomplete = self._head_bytes - self._shared_bytes
            if incomplete > _LARGEST_INCOMPLETE_HEAD or self._head_is_too_large():
                self._reject("head_too_large")
                return
        if self._part is not before or self._ended:
            self._incomplete_since = self.loop.time()
            self._arm(self._timeout())

    def _timeout(self) -> float:
        """Return the seconds in which the rest of a head or a body must arrive."""
        return self._header_timeout if self._part is _HEAD else _BODY_TIMEOUT_S

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._begin_head()
        super().on_message_begin()

    def _begin_head(self) -> None:
        self._part = _HEAD
        self._shared_bytes = self._head_bytes if self._ended else 0

    def on_headers_complete(self) -> None:
        """Start the application."""
        parser: Any = self.parser  # uvicorn declares it as if it could be None
        if self._head_is_too_large() or not self._names_one_host(parser.get_http_version()):
            raise _NotServedError
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise _NotServedError
            return
        if self.transport.is_closing():  # the response before this request ends the connection
            return
        self._start()
        self._part = BODY
        self._wire_bytes = self._content_bytes = self._unread_bytes = 0

    def _names_one_host(self, version: str) -> bool:
        """True if the Host header is there once and well-formed; HTTP/1.0 needs none (RFC 9112, 3.2)."""
        if self._checked and self.headers == self._checked:
            return True
        hosts = [value for name, value in self.headers if name == b"host"]
        if not hosts:
            return version == "1.0"
        if len(hosts) != 1 or not is_host(hosts[0]):
            return False
        self._checked = self.headers
        return True

    def _start(self) -> None:
        extensions: dict[str, Any] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer of a chunked body is dropped."""
        if self._part is not BODY:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body of a request that is answered."""
        if self._part is BODY:
            self._content_bytes += len(body)
            if self.cycle.response_complete:
                self._unread_bytes += len(body)
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the next bytes belong to another request."""
        if self._part is BODY:  # else the head asks for an upgrade, and is parsed again
            super().on_message_complete()
        self._end_message()

    def _end_message(self) -> None:
        self._part = _NOTHING
        self._ended = True

    def _head_is_too_large(self) -> bool:
        if len(self.headers) > _MOST_HEADERS:
            return True
        if self._head_bytes <= _LARGEST_HEAD:
            return False
        size = len(self.url) + sum(
            len(name) + len(value) + _HEADER_OVERHEAD for name, value in self.headers
        )
        return size > _LARGEST_HEAD

    # Errors

    def _reject(self, error_id: str) -> None:
        """Answer the rest of the connection with an error, after the requests before it."""
        self._rejected = error_id
        self.flow.pause_reading()
        cycle = self.cycle
        if self._part is not BODY:
            if not self._is_answering():
                self._write_rejection()
        elif cycle.response_started:  # the request has its one response
            cycle.keep_alive = False
            if cycle.response_complete:
                self.transport.close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()  # the latest
            else:
                self._write_rejection()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _write_rejection(self) -> None:
        if self._rejected is not None and not self.transport.is_closing():
            response = refusal(self._rejected)
            self.transport.write(head(response, len(response.body)) + response.body)
            self.transport.close()

    # Between requests

    def on_response_complete(self) -> None:
        """Start the next request that was received, or wait for one."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self._rejected is not None:
            self._write_rejection()
        elif not self.transport.is_closing():
            self.flow.resume_reading()
            self._idle_since = self.loop.time()

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._check_time)

    def _check_time(self) -> None:
        """Close a connection that is idle for too long, or whose request does not arrive.

        One timer checks the time now and then: one for each request would cost 1 us.
        """
        now = self.loop.time()
        keep_alive = self.timeout_keep_alive + _IDLE_GRACE_S
        left = keep_alive
        if self._part is not _NOTHING:
            left = self._incomplete_since + self._timeout() - now
        elif not self._is_answering():
            left = self._idle_since + keep_alive - now
        if left > 0:
            self._arm(left)
        elif self._part is not _NOTHING:
            self._reject("request_timeout")
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """End after the response under way; an incomplete request may still arrive for a moment."""
        super().shutdown()
        if self._part is not _NOTHING:
            self.loop.call_later(_LAST_REQUEST_S, self.transport.close)
