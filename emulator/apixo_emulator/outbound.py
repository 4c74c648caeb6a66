"""Outbound calls: one guarded client posts callbacks and fetches source pictures.

Before each connection, also after a redirect, the URL is parsed and its addresses are judged
(`domain.addresses`). The name is resolved once, and the connection goes to a judged address. Each call has
its own connection, so that a receiver can restart between two callbacks. One deadline spans the whole
call.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Final
from urllib.parse import urljoin

from apixo_emulator.domain.addresses import (
    AddressPolicy,
    AddressRefused,
    Target,
    UrlMalformed,
    check_call,
    is_loopback_name,
    judge,
    parse_target,
)
from apixo_emulator.domain.deliveries import DEPTH_HEADER
from apixo_emulator.exchange import (
    Exchange,
    OutboundBroken,
    OutboundRefused,
    OutboundStopped,
    OutboundUnreachable,
    OutboundUntrusted,
    Request,
    Response,
)

MAX_CALLBACK_BODY: Final = 64 * 1024
"""Bytes of the body of a callback's response that are read; the rest is cut off."""
MAX_LOOKUPS: Final = 8
"""Names that are resolved at once; further ones wait, within the deadline of their call."""
_MAX_ADDRESSES: Final = 4  # of one name; they share the time for connecting
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Resolver = Callable[[str, int], Sequence[str]]
"""Returns the addresses of host and port; may block; raises OSError if there are none."""


def callback_headers(depth: int) -> dict[str, str]:
    """Return the headers of a callback without those that frame it; ``depth`` callbacks led to it."""
    return {"content-type": "application/json", "accept": "*/*", **_headers_of_all(depth)}


def _fetch_headers() -> dict[str, str]:
    accepted = {"accept": "image/*, */*;q=0.5", "accept-encoding": "identity"}
    return {**accepted, **_headers_of_all(1)}


def _headers_of_all(depth: int) -> dict[str, str]:
    # The control API of an emulator refuses requests with this header.
    return {"user-agent": _user_agent(), DEPTH_HEADER.decode(): str(depth)}


@cache
def _user_agent() -> str:
    from importlib.metadata import version  # 5 ms, which a start does without

    return f"apixo-emulator/{version('apixo-emulator')}"


@dataclass(slots=True)
class _Deadline:
    """The latest end of a call, in the loop's time, and what the call waits for."""

    ends: float
    waiting_for: str = ""
    connected: bool = False


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[_Deadline]:
    deadline = _Deadline(asyncio.get_running_loop().time() + seconds)
    try:
        async with asyncio.timeout_at(deadline.ends):
            yield deadline
    except TimeoutError as error:
        late = OutboundBroken if deadline.connected else OutboundUnreachable
        raise late(f"{deadline.waiting_for} within {seconds:g} s") from error


class OutboundClient:
    """Makes guarded calls, each on a connection of its own.

    Args:
        ca_file: further certificate authorities to trust, PEM.
        resolver: replaces the system's name resolution.
    """

    def __init__(self, *, ca_file: Path | None = None, resolver: Resolver | None = None) -> None:
        self._ca_file = ca_file
        self._resolver = resolver or system_addresses
        self._lock = threading.Lock()
        self._fetches: set[Future[Response]] = set()
        self._closed = False

    async def post(
        self, url: str, body: bytes, *, policy: AddressPolicy, timeout_s: float, depth: int = 1
    ) -> Response:
        """POST a callback and return the response; redirects are not followed.

        Args:
            url: absolute, http or https.
            body: JSON.
            policy: which addresses may be reached.
            timeout_s: for everything: name, connection, request and response.
            depth: how many callbacks led to this one, itself included.

        Raises:
            OutboundError: there is no response.
        """
        async with _deadline(timeout_s) as deadline:
            target, headers = _admitted("POST", url, policy), callback_headers(depth)
            request = Request("POST", target, headers, body, MAX_CALLBACK_BODY, cut=True)
            return await self._send(request, policy, deadline)

    def fetch(
        self,
        url: str,
        *,
        policy: AddressPolicy,
        max_bytes: int,
        timeout_s: float,
        max_redirects: int = 0,
    ) -> Response:
        """GET a picture and return the response; blocks the calling thread.

        The thread may run an event loop of its own. Proxies and passwords of the environment are not
        used.

        Args:
            url: absolute, http or https.
            policy: which addresses may be reached, at every hop.
            max_bytes: of the body.
            timeout_s: for everything: names, connections, redirects and body.
            max_redirects: with 0 a redirect is the response.

        Raises:
            OutboundError: there is no response.
            OutboundStopped: `close` was called.
        """

        async def get() -> Response:
            async with _deadline(timeout_s) as deadline:
                target = _admitted("GET", url, policy)
                for _ in range(max_redirects + 1):
                    request = Request("GET", target, _fetch_headers(), b"", max_bytes, cut=False)
                    response = await self._send(request, policy, deadline)
                    location = response.headers.get("location")
                    if not max_redirects or response.status not in _REDIRECTS or location is None:
                        return response
                    target = _redirected(target, location, policy)
                raise OutboundBroken(
                    f"more than {max_redirects} redirects, the last to {target.url}"
                )

        with self._lock:
            if self._closed:
                raise OutboundStopped
            fetch = asyncio.run_coroutine_threadsafe(get(), _background_loop())
            self._fetches.add(fetch)
        try:
            return fetch.result()
        except CancelledError:
            raise OutboundStopped from None
        finally:
            self._fetches.discard(fetch)

    def close(self) -> None:
        """End all fetches; a later one makes no connection."""
        with self._lock:
            self._closed = True
            for fetch in list(self._fetches):
                fetch.cancel()

    async def _send(self, request: Request, policy: AddressPolicy, deadline: _Deadline) -> Response:
        began = time.monotonic()
        target = request.target
        deadline.connected = False
        try:
            addresses = judge(await self._resolve(target, deadline), policy)
        except AddressRefused as refusal:
            raise OutboundRefused(str(refusal)) from refusal
        reader, writer = await self._connect(target, addresses, deadline)
        deadline.connected = True
        try:
            exchange = Exchange(reader, request)
            deadline.waiting_for = f"{target.authority} did not read the request"
            writer.write(exchange.written())
            with suppress(ConnectionError):  # the server may have answered without reading
                await writer.drain()
            deadline.waiting_for = f"no response from {target.authority}"
            status, headers = await exchange.head()
            deadline.waiting_for = f"no complete response from {target.authority}"
            body = await exchange.body(headers.get("content-length", ""))
        except OSError as error:
            words = f"the connection to {target.authority} broke: {_cause(error)}"
            raise OutboundBroken(words) from error
        finally:
            writer.transport.abort()
        return Response(status, headers, body, (time.monotonic() - began) * 1000)

    async def _resolve(self, target: Target, deadline: _Deadline) -> Sequence[str]:
        if target.is_literal:
            return [target.host]
        deadline.waiting_for = f"the name {target.host} did not resolve"
        found: Future[Sequence[str]] = Future()
        _lookups().put((found, lambda: self._resolver(target.host, target.port)))
        try:
            return await asyncio.wrap_future(found)
        except (OSError, UnicodeError) as error:
            raise unresolved(target.host, error) from error

    async def _connect(
        self, target: Target, addresses: Sequence[str], deadline: _Deadline
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that accepts the connection."""
        deadline.waiting_for = f"no connection to {target.authority}"
        tls = tls_context(self._ca_file) if target.scheme == "https" else None
        name = target.host if tls else None
        failure: OSError | None = None
        tried = addresses[:_MAX_ADDRESSES]
        for index, address in enumerate(tried):
            share = (deadline.ends - asyncio.get_running_loop().time()) / (len(tried) - index)
            try:
                async with asyncio.timeout(share):
                    return await asyncio.open_connection(
                        address, target.port, ssl=tls, server_hostname=name
                    )
            except OSError as error:  # TimeoutError is one
                failure = failure or error
        raise no_connection(target.authority, failure or OSError("there is no address"))


def _admitted(method: str, url: str, policy: AddressPolicy) -> Target:
    try:
        target = parse_target(url, policy)
        check_call(method, target)
    except AddressRefused as refusal:
        raise OutboundRefused(str(refusal)) from refusal
    return target


def _redirected(here: Target, location: str, policy: AddressPolicy) -> Target:
    """Return the target of a redirect."""
    try:
        target = parse_target(urljoin(here.url, location), policy)
        check_call("GET", target)
    except ValueError as error:  # of `urljoin`, or an `AddressRefused`
        outside = isinstance(error, AddressRefused) and not isinstance(error, UrlMalformed)
        kind = OutboundRefused if outside else OutboundBroken
        raise kind(f"{here.authority} redirects elsewhere: {error}") from error
    return target


@cache
def _background_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that runs in a daemon thread, for the fetches of threads."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="apixo-fetch", daemon=True).start()
    return loop


# Names and TLS


_Lookup = tuple[Future[Sequence[str]], Callable[[], Sequence[str]]]


@cache
def _lookups() -> SimpleQueue[_Lookup]:
    """Return the queue of names to resolve, served by a few daemon threads.

    `getaddrinfo` blocks and has no time limit. A lookup that hangs must neither block a thread of the
    event loop nor delay the end of the process.
    """
    queue: SimpleQueue[_Lookup] = SimpleQueue()
    for _ in range(MAX_LOOKUPS):
        threading.Thread(target=_look_up, args=(queue,), name="apixo-lookup", daemon=True).start()
    return queue


def _look_up(queue: SimpleQueue[_Lookup]) -> None:
    while True:
        future, lookup = queue.get()
        if future.set_running_or_notify_cancel():  # False if the call has ended meanwhile
            try:
                future.set_result(lookup())
            except Exception as error:  # noqa: BLE001 - raised again where the future is awaited
                future.set_exception(error)


def system_addresses(host: str, port: int) -> Sequence[str]:
    """Resolve a name as the system does, except that loopback names never leave the machine.

    Raises:
        OSError: the name does not resolve.
    """
    if is_loopback_name(host):
        return ["127.0.0.1", "::1"]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@cache
def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return the TLS settings of outbound calls: the public authorities and those of a PEM file.

    Raises:
        OutboundUntrusted: the file cannot be read as PEM certificates.
    """
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # SSLError is one
            words = f"the CA file {ca_file} cannot be read: {error.strerror}"
            raise OutboundUntrusted(words) from error
    return context


# Messages


def unresolved(host: str, error: OSError | UnicodeError) -> OutboundUnreachable:
    """Return the error that says that a name has no address."""
    return OutboundUnreachable(f"the name {host} does not resolve: {_cause(error)}")


def no_connection(place: str, error: OSError) -> OutboundUnreachable:
    """Return the error that says why there is no connection to a place."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return OutboundUntrusted(
            f"the TLS certificate of {place} is not trusted: {error.verify_message}; if a CA of your"
            " own has issued it, pass that CA with --ca FILE (also: --callback-ca)"
        )
    if isinstance(error, ssl.SSLError):
        return OutboundUntrusted(f"no TLS connection to {place}: {_cause(error)}")
    if isinstance(error, ConnectionRefusedError):
        return OutboundUnreachable(f"connection refused by {place}")
    return OutboundUnreachable(f"no connection to {place}: {_cause(error)}")


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
