"""A small server that listens for callbacks on a port."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from apixo_client.webhooks import MAX_BYTES, TOO_LARGE, CallbackReply

if TYPE_CHECKING:
    from collections.abc import Callable

    import h11

_log = logging.getLogger("apixo_client")

# Seconds from the first byte of a call to its last one.
_CALL_S = 30.0
# Bytes of request line and header fields.
_MOST_HEAD_BYTES = 64 * 1024
# Calls that are served at once; further ones are closed unanswered.
_MOST_CALLS = 100
# Seconds in which the rest of a refused call is read, and in which calls end at the server's end.
_LINGER_S = 1.0
_PIECE_BYTES = 64 * 1024


class CallbackRequest(NamedTuple):
    """One complete call that a `CallbackServer` received.

    Attributes:
        method: Such as ``POST``.
        target: The path with its query, as it was sent.
        headers: The header fields in the order and spelling of the sender.
        body: At most 1 MiB.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class CallbackServer:
    """A small HTTP/1.1 server for callbacks on this machine or behind a tunnel; a context manager.

    Each call is answered on a thread of its own and ends its connection. Bodies with a length and
    chunked ones are taken, and ``Expect: 100-continue`` is answered. Calls are bounded: 1 MiB of
    body, 64 KiB of head, 30 seconds, 100 at once.

    Args:
        answer: Returns the reply to one complete call; runs on the thread of the call. If it
            raises, that is logged and answered 500.
        host: A name or an address, IPv4 or IPv6, of this machine.
        port: From 0 to 65535; 0 takes a free one.

    Raises:
        OSError: The address cannot be listened on.
        OverflowError: There is no such port.
        UnicodeError: There can be no such host.

    Example::

        with CallbackServer(lambda call: CallbackReply(200)) as server:
            print(server.url)
    """

    def __init__(
        self,
        answer: Callable[[CallbackRequest], CallbackReply],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._server = _Server(host, port, answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="apixo callbacks", daemon=True
        )
        self.port: int = self._server.server_address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Self:
        """Serve on a thread of its own until the context ends."""
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Release the port, and give calls in progress one second to end."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.wait_for_calls(_LINGER_S)


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    # The end of the server does not wait for calls that stall.
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, host: str, port: int, answer: Callable[[CallbackRequest], CallbackReply]
    ) -> None:
        host.encode("idna")  # what is no name is a UnicodeError here, and a TypeError in `bind`
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.places = threading.BoundedSemaphore(_MOST_CALLS)
        super().__init__((host, port), _Call)

    def wait_for_calls(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for _ in range(_MOST_CALLS):
            if not self.places.acquire(timeout=max(0.0, end - time.monotonic())):
                return

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the parent's
        _log.warning("a call broke off", exc_info=True)


class _TooLarge(Exception):
    """The body exceeds its limit."""


class _Call(BaseRequestHandler):
    """One connection, which carries one call."""

    request: socket.socket

    def handle(self) -> None:
        import h11

        self._deadline = time.monotonic() + _CALL_S
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self._is_head = False
        try:
            call = self._receive()
            reply = None if call is None else self._answer(call)
        except _TooLarge:
            reply = TOO_LARGE
        except h11.RemoteProtocolError as error:
            _log.warning("a call was refused: %s", error)
            reply = CallbackReply(error.error_status_hint, f"expected HTTP/1.1, found: {error}")
        except TimeoutError:
            reply = CallbackReply(408, f"expected a complete call within {_CALL_S:g} s")
        except OSError as error:
            _log.warning("a call broke off: %s", error)
            return
        if reply is not None:
            # The sender may have hung up.
            with suppress(OSError):
                self._send(reply)

    def _answer(self, call: CallbackRequest) -> CallbackReply:
        try:
            return cast("_Server", self.server).answer(call)
        except Exception:  # noqa: BLE001 - code of the caller; the sender must get an answer
            _log.exception("a callback could not be answered")
            return CallbackReply(500, "the receiver failed")

    def _receive(self) -> CallbackRequest | None:
        """Return the call; None if the connection was closed before one began."""
        import h11

        head = self._event()
        if not isinstance(head, h11.Request):
            return None
        self._is_head = head.method == b"HEAD"
        announced = dict(head.headers).get(b"content-length", b"0")
        # h11 has refused a length that is no number.
        if int(announced) > MAX_BYTES:
            raise _TooLarge
        body = bytearray()
        while isinstance(event := self._event(), h11.Data):
            body += event.data
            if len(body) > MAX_BYTES:
                raise _TooLarge
        fields = head.headers.raw_items()
        return CallbackRequest(
            head.method.decode("ascii"),
            head.target.decode("latin-1"),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields),
            bytes(body),
        )

    def _event(self) -> object:
        """Return the next event of the call, read from the socket where necessary."""
        import h11

        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self.request.sendall(self._http.send(go_on) or b"")
            piece = self._read(self._deadline)
            if piece is None:
                raise TimeoutError
            self._http.receive_data(piece)
        return event

    def _read(self, deadline: float) -> bytes | None:
        """Return what the sender sends next, None if nothing comes before a deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        self.request.settimeout(left)
        return self.request.recv(_PIECE_BYTES)

    def _send(self, reply: CallbackReply) -> None:
        import h11

        fields = [*reply.raw_headers, (b"connection", b"close")]
        events: list[h11.Event] = [h11.Response(status_code=reply.status, headers=fields)]
        body = b"" if self._is_head else reply.body
        events += [h11.Data(data=body), h11.EndOfMessage()]
        self.request.settimeout(_CALL_S)
        self.request.sendall(b"".join(self._http.send(event) or b"" for event in events))
        if self._http.their_state not in {h11.DONE, h11.MUST_CLOSE}:
            # What the sender still sends is read: unread bytes would reset the connection at its
            # close, and the sender of a refused body would lose the answer.
            self.request.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _LINGER_S
            while self._read(deadline):
                pass
