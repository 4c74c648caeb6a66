"""Posting callbacks: one POST to a judged address, with time limits and words for every failure."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from apixo_emulator.domain.addresses import AddressPolicy, Target, judge, parse_target
from apixo_emulator.domain.reach import AddressRefused
from apixo_emulator.outbound.errors import (
    OutboundError,
    OutboundFailed,
    OutboundRefused,
    OutboundTimedOut,
    in_words,
    unresolved,
)
from apixo_emulator.outbound.exchange import BrokenProtocol, Exchange, Received, connect
from apixo_emulator.outbound.names import AsyncResolver, system_resolver
from apixo_emulator.outbound.tls import tls_context

_T = TypeVar("_T")
_HEADER: Final = re.compile(r"[!-9;-~]+: [\t -~]*")
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
                received = await self._exchange(target, addresses, body, headers, limits)
        except TimeoutError as error:
            words = f"no complete answer from {target.authority} within {limits.total:g} s"
            raise OutboundTimedOut(words) from error
        answered = dict(reversed(received.headers))
        return Answer(
            status=received.status,
            headers={n: answered[n][:_MAX_HEADER] for n in _KEPT_HEADERS if n in answered},
            excerpt=bytes(received.body[:MAX_EXCERPT_BYTES]).decode(errors="replace"),
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
    ) -> Received:
        sent = _request(target, body, headers)
        exchange = Exchange(MAX_ANSWER_BYTES)
        tls = tls_context(self._ca_file) if target.scheme == "https" else None
        place = target.authority
        try:
            transport = await connect(
                exchange, addresses, target.port, limits.connect, tls=tls, name=target.host
            )
        except TimeoutError as error:
            raise OutboundTimedOut(
                f"no connection to {place} within {limits.connect:g} s"
            ) from error
        except OSError as error:
            raise in_words(error, place, connecting=True) from error
        try:
            transport.write(sent)
            if exchange.written is not None:
                await _in_time(exchange.written, limits.write, f"{place} did not take the request")
            return await _in_time(exchange.answer, limits.read, f"no answer from {place}")
        except (OSError, BrokenProtocol) as error:
            raise in_words(error, place) from error
        finally:
            transport.abort()


async def _in_time(awaited: asyncio.Future[_T], limit: float, words: str) -> _T:
    patience = asyncio.timeout(limit)
    try:
        async with patience:
            return await awaited
    except TimeoutError as error:
        if patience.expired():
            raise OutboundTimedOut(f"{words} within {limit:g} s") from error
        raise


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Write the request; the connection is used once, so the receiver is told to close it."""
    lines = [f"POST {target.path} HTTP/1.1", f"Host: {target.authority}", "Connection: close"]
    lines += [f"Content-Length: {len(body)}"]
    for name, value in headers.items():
        if name.lower() not in _OWN_HEADERS:
            if not _HEADER.fullmatch(f"{name}: {value}"):
                raise OutboundFailed(f"a header is not printable ASCII: {name!r}: {value!r}")
            lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
