"""Connections that go to judged addresses only, whatever the URL's host would resolve to.

The URL stays as it is, and with it the `Host` header, the TLS server name and the name that the certificate
is checked against; only `connect` is given the addresses. Both classes are network backends of httpcore,
which is its public way to replace how connections are opened.
"""

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import httpcore

from apixo_emulator.domain.addresses import Target
from apixo_emulator.outbound.errors import OutboundFailed

SocketOptions = Iterable[httpcore.SOCKET_OPTION]
MAX_ATTEMPTS: Final = 4
"""Addresses of one name that are tried; they share the time for connecting."""


class Deadline:
    """A moment on the monotonic clock that everything in one call has to meet."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    def left(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())


def origin_of(target: Target) -> httpcore.Origin:
    """The origin of a target, as httpcore names it."""
    return httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port)


def request_for(
    method: str,
    target: Target,
    headers: Iterable[tuple[str, str]],
    body: bytes | None = None,
    limits: Mapping[str, float] | None = None,
) -> httpcore.Request:
    """Build the request; the connection is used once, so the receiver is told to close it.

    Raises:
        OutboundFailed: a header cannot be written in ASCII.
    """
    url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
    own = {"Host": target.authority, "Connection": "close"}
    if body is not None:
        own["Content-Length"] = str(len(body))
    try:
        lines = [(n.encode("ascii"), v.encode("ascii")) for n, v in (*own.items(), *headers)]
    except UnicodeEncodeError as error:
        raise OutboundFailed(f"a header is not ASCII: {error.object!r}") from error
    return httpcore.Request(
        method, url, headers=lines, content=body, extensions={"timeout": dict(limits or {})}
    )


class PinnedNetwork(httpcore.NetworkBackend):
    """Opens blocking connections to given addresses, every step of them within one deadline."""

    def __init__(self, addresses: Sequence[str], deadline: Deadline) -> None:
        self._addresses = addresses[:MAX_ATTEMPTS]
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the judged addresses stand for it
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline stands for it
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that takes the connection."""
        failure: Exception | None = None
        for index, address in enumerate(self._addresses):
            share = _time_for(self._deadline, httpcore.ConnectTimeout)
            share /= len(self._addresses) - index
            try:
                stream = self._network.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure or httpcore.ConnectError("no address")


def _time_for(deadline: Deadline, late: type[httpcore.TimeoutException]) -> float:
    left = deadline.left()
    if not left:
        raise late
    return left


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline: a body dripping byte by byte gains no time."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _time_for(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _time_for(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._deadline.left()
        if not left:
            self._stream.close()  # nobody else holds it yet
            raise httpcore.ConnectTimeout
        secure = self._stream.start_tls(ssl_context, server_hostname, left)
        return _DeadlineStream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
