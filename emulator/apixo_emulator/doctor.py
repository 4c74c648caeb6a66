"""Whether the live API could deliver callbacks to a URL, and if not, why."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from apixo_emulator.domain.addresses import ANY_BUT_FORBIDDEN, STRICT, Target, judge, parse_target
from apixo_emulator.domain.reach import AddressRefused
from apixo_emulator.outbound import (
    Answer,
    CallbackSender,
    OutboundError,
    OutboundUntrusted,
    Timeouts,
)
from apixo_emulator.outbound.errors import unresolved
from apixo_emulator.outbound.names import BlockingResolver, system_addresses
from apixo_schemas import contract, document

_ONLY_WHEN_ASKED = "not checked: it takes a call to the URL, which is made only when asked for"
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: `url`, `scheme`, `address`, `tls`, `redirect` or `answer`.
        ok: whether the live API would be content; None when it could not or should not be checked.
        words: what was found and, if it is wrong, what to do.
    """

    check: str
    ok: bool | None
    words: str


def diagnose(
    url: str,
    resolver: BlockingResolver = system_addresses,
    *,
    probe: bool = False,
    ca_file: Path | None = None,
) -> list[Finding]:
    """Look at a callback URL as the live API would; nothing is sent unless `probe` is set.

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


def _address(addresses: list[str]) -> Finding:
    try:
        pinned = judge(addresses, STRICT)
    except AddressRefused as refusal:
        return Finding("address", ok=False, words=f"not reachable from the internet: {refusal}")
    return Finding("address", ok=True, words=f"public: {', '.join(pinned)}")


def _probe(target: Target, addresses: list[str], ca_file: Path | None) -> list[Finding]:
    async def same_addresses(_host: str, _port: int) -> list[str]:
        return addresses

    patience = contract().callbacks.timeout_ms / 1000
    sender = CallbackSender(ca_file=ca_file, resolver=same_addresses)
    sample = json.dumps(document("callback.json")["examples"][0]).encode()
    post = sender.post(
        target.url,
        sample,
        {"Content-Type": "application/json"},
        policy=ANY_BUT_FORBIDDEN,
        timeouts=Timeouts(read=patience, total=patience),
    )
    try:
        return _judged(target, asyncio.run(post))
    except OutboundError as error:
        untrusted = isinstance(error, OutboundUntrusted)
        tls = Finding("tls", False if untrusted else None, str(error))
        unasked = Finding("redirect", None, "not checked: there was no answer")
        return [tls, unasked, Finding("answer", ok=False, words=str(error))]


def _judged(target: Target, answer: Answer) -> list[Finding]:
    wanted = contract().callbacks.success_status
    redirected = answer.status in _REDIRECTS
    where = answer.headers.get("location", "nowhere")
    return [
        Finding("tls", ok=True, words="the certificate is trusted and names the host")
        if target.scheme == "https"
        else Finding("tls", None, "not checked: there is no TLS on http"),
        Finding("redirect", ok=False, words=f"redirects to {where}: give the final URL")
        if redirected
        else Finding("redirect", ok=True, words="no redirect"),
        Finding(
            "answer",
            ok=answer.status == wanted,
            words=f"answered {answer.status} after {answer.duration_ms:.0f} ms; {wanted} is delivery",
        ),
    ]
