"""Whether the live API could deliver callbacks to a URL, and if not, why."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    STRICT,
    AddressRefused,
    Target,
    judge,
    parse_target,
)
from apixo_emulator.exchange import OutboundError, OutboundUntrusted, Response
from apixo_emulator.outbound import OutboundClient, Resolver, system_addresses, unresolved
from apixo_schemas import contract, document

_ONLY_WHEN_ASKED = "not checked: it takes a call to the URL, which is made only when asked for"
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        check: `url`, `scheme`, `address`, `tls`, `redirect` or `answer`.
        ok: whether the live API would accept it; None when it could not or should not be checked.
        words: what was found and, if it is wrong, what to do.
    """

    check: str
    ok: bool | None
    words: str


def diagnose(
    url: str,
    resolver: Resolver = system_addresses,
    *,
    probe: bool = False,
    ca_file: Path | None = None,
) -> list[Finding]:
    """Return what the live API would find at a callback URL; nothing is sent unless `probe` is set.

    The probe runs an event loop of its own, so it is not for callers inside one.

    Args:
        url: the callback URL as the application gives it.
        resolver: from host and port to addresses.
        probe: also POST a sample payload to the URL, once, even where the live API could not.
        ca_file: further certificate authorities to trust in the probe, PEM.
    """
    try:
        target = parse_target(url, ANY_BUT_FORBIDDEN)
    except AddressRefused as refusal:
        return [Finding("url", ok=False, words=str(refusal))]
    findings = [Finding("url", ok=True, words=f"reads as {target.url}"), _scheme(target)]
    try:
        addresses = [target.host] if target.is_literal else resolver(target.host, target.port)
    except (OSError, UnicodeError) as error:
        words = str(unresolved(target.host, error))
        return [*findings, Finding("address", ok=False, words=words)]
    findings.append(_address(addresses))
    if probe:
        return findings + _probe(target, addresses, ca_file)
    return findings + [
        Finding(check, None, _ONLY_WHEN_ASKED) for check in ("tls", "redirect", "answer")
    ]


def _scheme(target: Target) -> Finding:
    if target.scheme == "https":
        return Finding("scheme", ok=True, words="https")
    words = "the live API calls https only: put the receiver behind TLS, for instance with a tunnel"
    return Finding("scheme", ok=False, words=words)


def _address(addresses: Sequence[str]) -> Finding:
    try:
        pinned = judge(addresses, STRICT)
    except AddressRefused as refusal:
        return Finding("address", ok=False, words=f"not reachable from the internet: {refusal}")
    return Finding("address", ok=True, words=f"public: {', '.join(pinned)}")


def _probe(target: Target, addresses: Sequence[str], ca_file: Path | None) -> list[Finding]:
    client = OutboundClient(ca_file=ca_file, resolver=lambda _host, _port: addresses)
    sample = json.dumps(document("callback.json")["examples"][0]).encode()
    timeout_s = contract().callbacks.timeout_ms / 1000
    post = client.post(target.url, sample, policy=ANY_BUT_FORBIDDEN, timeout_s=timeout_s)
    try:
        return _judged(target, asyncio.run(post))
    except OutboundError as error:
        untrusted = isinstance(error, OutboundUntrusted)
        tls = Finding("tls", False if untrusted else None, str(error))
        unasked = Finding("redirect", None, "not checked: there was no response")
        return [tls, unasked, Finding("answer", ok=False, words=str(error))]


def _judged(target: Target, response: Response) -> list[Finding]:
    wanted = contract().callbacks.success_status
    redirected = response.status in _REDIRECTS
    where = response.headers.get("location", "nowhere")
    spent = f"{response.duration_ms:.0f} ms"
    return [
        Finding("tls", ok=True, words="the certificate is trusted and names the host")
        if target.scheme == "https"
        else Finding("tls", None, "not checked: there is no TLS on http"),
        Finding("redirect", ok=False, words=f"redirects to {where}: give the final URL")
        if redirected
        else Finding("redirect", ok=True, words="no redirect"),
        Finding(
            "answer",
            ok=response.status == wanted,
            words=f"answered {response.status} after {spent}; {wanted} is delivery",
        ),
    ]
