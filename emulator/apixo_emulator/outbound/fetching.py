"""Fetching a source picture: one GET, every hop judged, one deadline, a bounded body."""

import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

import httpcore
import httpx

from apixo_emulator.domain.addresses import AddressPolicy, Target, judge, parse_target
from apixo_emulator.domain.reach import AddressRefused
from apixo_emulator.outbound.errors import (
    OutboundError,
    OutboundFailed,
    OutboundRefused,
    OutboundTimedOut,
    OutboundTooLarge,
    in_words,
    unresolved,
)
from apixo_emulator.outbound.names import BlockingResolver, lookup_pool, system_addresses
from apixo_emulator.outbound.tls import tls_context
from apixo_emulator.outbound.wire import (
    Deadline,
    PinnedNetwork,
    origin_of,
    request_for,
)

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HEADERS: Final = (
    ("Accept", "image/*, */*;q=0.5"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "apixo-emulator"),
)


@dataclass(frozen=True)
class Fetched:
    """What a GET was answered with.

    Attributes:
        status: the HTTP status, whatever it is: judging it is the caller's business.
        headers: as received; `Content-Encoding` has been undone in `body`.
        body: complete and within the limit.
        url: the URL that answered, after redirects, in canonical form.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    url: str


def fetch(
    url: str,
    *,
    policy: AddressPolicy,
    max_bytes: int,
    timeout_s: float,
    max_redirects: int = 0,
    ca_file: Path | None = None,
    resolver: BlockingResolver = system_addresses,
) -> Fetched:
    """GET a URL and return its answer; proxies and credentials of the environment are never used.

    Args:
        url: absolute, http or https.
        policy: which addresses may be reached, at every hop.
        max_bytes: longest body, as received and once decompressed.
        timeout_s: seconds for all of it: names, connections, redirects and body.
        max_redirects: redirects to follow; with 0 a redirect is the answer.
        ca_file: further certificate authorities to trust, PEM.
        resolver: from host and port to addresses.

    Raises:
        OutboundRefused: a URL or an address is outside the policy, or there are too many redirects.
        OutboundTooLarge: the body exceeds `max_bytes`.
        OutboundFailed: there was no answer; `OutboundTimedOut` when the time was up.
    """
    deadline = Deadline(timeout_s)
    here = url
    try:
        for _ in range(max_redirects + 1):
            target = parse_target(here, policy)
            addresses = judge(_resolve(target, resolver, deadline), policy)
            answer = _get(target, addresses, deadline, max_bytes, ca_file, follow=max_redirects > 0)
            if isinstance(answer, Fetched):
                return answer
            here = _next_url(target.url, answer)
    except AddressRefused as refusal:
        raise OutboundRefused.because(refusal, here) from refusal
    except OutboundError as error:
        error.url = error.url or here
        raise
    raise OutboundRefused(f"more than {max_redirects} redirects", url=url)


def _next_url(here: str, location: str) -> str:
    try:
        return urljoin(here, location)
    except ValueError as error:
        raise OutboundRefused(f"redirected to {location!r}, which is no URL") from error


def _resolve(target: Target, resolver: BlockingResolver, deadline: Deadline) -> list[str]:
    if target.is_literal:
        return [target.host]
    lookup = lookup_pool().submit(lambda: resolver(target.host, target.port))
    if not wait([lookup], deadline.left()).done:
        lookup.cancel()
        raise _too_late(target, deadline)
    try:
        return lookup.result()
    except (OSError, UnicodeError) as error:
        raise unresolved(target.host, error) from error


def _too_late(target: Target, deadline: Deadline) -> OutboundTimedOut:
    words = f"no complete answer from {target.authority} within {deadline.timeout_s:g} s"
    return OutboundTimedOut(words)


def _get(
    target: Target,
    addresses: Sequence[str],
    deadline: Deadline,
    max_bytes: int,
    ca_file: Path | None,
    *,
    follow: bool,
) -> Fetched | str:
    """Make one hop: the answer, or where it redirects to if that is to be followed."""
    request = request_for("GET", target, _HEADERS)
    try:
        with (
            httpcore.HTTPConnection(
                origin_of(target),
                ssl_context=tls_context(ca_file) if target.scheme == "https" else None,
                network_backend=PinnedNetwork(addresses, deadline),
            ) as connection,
            closing(connection.handle_request(request)) as response,
        ):
            headers = httpx.Headers(response.headers)
            if follow and response.status in _REDIRECTS and "location" in headers:
                return headers["location"]
            body = _bounded_body(response.iter_stream(), headers, max_bytes)
            return Fetched(response.status, headers, body, target.url)
    except httpcore.TimeoutException as error:
        raise _too_late(target, deadline) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise in_words(error, target.authority) from error


def _bounded_body(chunks: Iterable[bytes], headers: httpx.Headers, max_bytes: int) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise OutboundTooLarge(f"the body has {announced} bytes, at most {max_bytes} are allowed")
    received = 0
    body = bytearray()
    decoder = _decoder(headers.get("content-encoding", "").strip().lower())
    for chunk in chunks:
        received += len(chunk)
        body += _decompressed(decoder, chunk, max_bytes - len(body) + 1) if decoder else chunk
        if max(received, len(body)) > max_bytes:
            raise OutboundTooLarge(f"the body is longer than the {max_bytes} bytes allowed")
    if decoder and not decoder.eof:
        raise OutboundFailed("the compressed body is cut short")
    return bytes(body)


def _decoder(encoding: str) -> "zlib._Decompress | None":
    """Undo what was not asked for but is common; the step-wise decoder never inflates past the limit."""
    if encoding in {"identity", ""}:
        return None
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: gzip or zlib, by the header
    raise OutboundFailed(f"the body is encoded as {encoding!r} although `identity` was asked for")


def _decompressed(decoder: "zlib._Decompress", chunk: bytes, room: int) -> bytes:
    try:
        return decoder.decompress(chunk, room)
    except zlib.error as error:
        raise OutboundFailed("the compressed body is damaged") from error
