"""Posting callbacks: one POST to a judged address, with time limits and words for every failure."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpcore
import httpx

from apixo_emulator.core.addresses import AddressPolicy, Target, judge, parse_target
from apixo_emulator.core.reach import AddressRefused
from apixo_emulator.outbound.errors import (
    OutboundError,
    OutboundRefused,
    OutboundTimedOut,
    in_words,
    unresolved,
)
from apixo_emulator.outbound.names import AsyncResolver, system_resolver
from apixo_emulator.outbound.wire import AsyncPinnedNetwork, origin_of, request_for, tls_context

MAX_ANSWER_BYTES: Final = 64 * 1024
"""Bytes of an answer's body that are read; the connection is closed on a longer one."""
MAX_EXCERPT_BYTES: Final = 1024
"""Bytes of an answer's body that are kept."""
_MAX_HEADER: Final = 256
_KEPT_HEADERS: Final = ("content-type", "content-length", "location", "retry-after", "server")
_OWN_HEADERS: Final = frozenset({"host", "connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits of one post in seconds; `total` bounds the whole of it, the names too."""

    connect: float = 10.0
    write: float = 10.0
    read: float = 30.0
    total: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered, whatever the status: a redirect is an answer as well.

    Attributes:
        status: the HTTP status.
        headers: the few that explain an answer, by lower-case name, shortened.
        excerpt: the beginning of the body, undecodable bytes replaced.
        duration_ms: from the begin of the call to the end of the body, without waiting for a free slot.
    """

    status: int
    headers: Mapping[str, str]
    excerpt: str
    duration_ms: float


class CallbackSender:
    """Posts to receivers, each time on a fresh connection; belongs to one event loop.

    Connections are not kept: a receiver that restarts between two callbacks must not make the second one
    fail, and a connection that was verified for one name must not carry another's callback.
    """

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        resolver: AsyncResolver = system_resolver,
        max_connections: int = 100,
    ) -> None:
        """Set what all posts share.

        Args:
            ca_file: further certificate authorities to trust, PEM, for receivers with a local one.
            resolver: from host and port to addresses; raises OSError when there is none.
            max_connections: posts at once; further ones wait, and their time limits with them.
        """
        self._ca_file = ca_file
        self._resolver = resolver
        self._slots = asyncio.Semaphore(max_connections)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        policy: AddressPolicy,
        timeouts: Timeouts | None = None,
    ) -> Answer:
        """POST a body and return the answer; redirects are not followed.

        Raises:
            OutboundRefused: the URL or an address behind it is outside the policy.
            OutboundFailed: there was no answer; `OutboundTimedOut` when a limit passed.
        """
        limits = timeouts or Timeouts()
        try:
            target = parse_target(url, policy)
            async with self._slots:
                return await self._within(target, body, headers, policy, limits)
        except AddressRefused as refusal:
            raise OutboundRefused.because(refusal, url) from refusal
        except OutboundError as error:
            error.url = url
            raise

    async def _within(
        self,
        target: Target,
        body: bytes,
        headers: Mapping[str, str],
        policy: AddressPolicy,
        limits: Timeouts,
    ) -> Answer:
        began = time.monotonic()
        try:
            async with asyncio.timeout(limits.total):
                addresses = judge(await self._addresses(target, limits.connect), policy)
                response, read = await self._exchange(target, addresses, body, headers, limits)
        except TimeoutError as error:
            words = f"no complete answer from {target.authority} within {limits.total:g} s"
            raise OutboundTimedOut(words) from error
        answered = httpx.Headers(response.headers)
        return Answer(
            status=response.status,
            headers={n: answered[n][:_MAX_HEADER] for n in _KEPT_HEADERS if n in answered},
            excerpt=read[:MAX_EXCERPT_BYTES].decode(errors="replace"),
            duration_ms=(time.monotonic() - began) * 1000,
        )

    async def _addresses(self, target: Target, limit: float) -> list[str]:
        if target.is_literal:
            return [target.host]
        patience = asyncio.timeout(limit)
        try:
            async with patience:
                return await self._resolver(target.host, target.port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            if patience.expired():
                words = f"the name {target.host} did not resolve within {limit:g} s"
                raise OutboundTimedOut(words) from error
            raise unresolved(target.host, error) from error

    async def _exchange(
        self,
        target: Target,
        addresses: Sequence[str],
        body: bytes,
        headers: Mapping[str, str],
        limits: Timeouts,
    ) -> tuple[httpcore.Response, bytes]:
        lines = [
            (name, value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS
        ]
        steps = {"connect": limits.connect, "write": limits.write, "read": limits.read}
        request = request_for("POST", target, lines, body, steps)
        try:
            async with httpcore.AsyncHTTPConnection(
                origin_of(target),
                ssl_context=tls_context(self._ca_file) if target.scheme == "https" else None,
                network_backend=AsyncPinnedNetwork(addresses),
            ) as connection:
                response = await connection.handle_async_request(request)
                return response, await _beginning(response)
        except httpcore.TimeoutException as error:
            raise _too_late(error, target.authority, limits) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise in_words(error, target.authority) from error


async def _beginning(response: httpcore.Response) -> bytes:
    """Read the body to its end or its limit; the receiver chooses the length, we how much we take."""
    read = bytearray()
    chunks = response.aiter_stream()
    try:
        async for chunk in chunks:
            read += chunk
            if len(read) >= MAX_ANSWER_BYTES:
                break
    finally:
        await response.aclose()
    return bytes(read)


def _too_late(error: httpcore.TimeoutException, place: str, limits: Timeouts) -> OutboundTimedOut:
    if isinstance(error, httpcore.ConnectTimeout):
        return OutboundTimedOut(f"no connection to {place} within {limits.connect:g} s")
    if isinstance(error, httpcore.WriteTimeout):
        return OutboundTimedOut(f"{place} did not take the request within {limits.write:g} s")
    return OutboundTimedOut(f"no answer from {place} within {limits.read:g} s")
